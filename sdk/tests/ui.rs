//! What the macros say to mistakes. `TRYBUILD=overwrite cargo test -p toehold-sdk --test ui` writes the answers anew.

#[test]
fn mistakes_are_told_where_they_are() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass.rs");
    cases.compile_fail("tests/ui/job_*.rs");
    cases.compile_fail("tests/ui/extension_*.rs");
}
