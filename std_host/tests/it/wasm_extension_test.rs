use crate::support::{TestHost, root, was_logged};

#[test]
fn test_load_wasm_extension() {
    let test = TestHost::new();
    let extensions = test.host.extensions();
    let installed = extensions.load(&root().join("test-extension")).unwrap();
    assert_eq!(installed.extension().manifest().name(), "Test Extension");
    let list: Vec<_> = extensions.list().iter().map(|one| one.extension().id().to_owned()).collect();
    assert_eq!(list, ["test-extension"]);
    let jobs: Vec<_> = installed.extension().jobs().iter().map(|job| job.name.clone()).collect();
    assert_eq!(jobs, ["counter", "wordcount", "tally", "draw", "nap", "family", "spin", "flaky", "crash"]);
    assert_eq!(installed.extension().warnings(), [""; 0]);
    assert!(was_logged("Loading extension: test-extension"));
    assert!(was_logged("✓ Test extension initialized!"));
    extensions.unload("test-extension").unwrap();
    assert!(extensions.list().is_empty());
}
