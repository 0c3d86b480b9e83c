//! What documents say of numbers.

use std::fs;

use toehold::Limits;

/// A row of the table for each limit, in the order of the fields: a new one does not compile here until it is told of.
#[test]
fn the_limits_of_security_md_are_the_defaults() {
    let Limits {
        module_bytes,
        memory_bytes,
        tables,
        table_elements,
        call_depth,
        stack_bytes,
        fuel_per_job,
        init_fuel,
        alloc_fuel,
        grace_fuel,
        requests_per_minute,
        concurrent_jobs,
        payload_bytes,
        reply_bytes,
        journal_bytes,
        replay_fuel,
        state_bytes,
        line_bytes,
        log_lines,
        warnings,
    } = Limits::default();
    let none = |number: u64, most: u64| (number < most).then_some(number);
    let size = |number: usize| Some(number as u64);
    let expected = [
        ("module_bytes", size(module_bytes)),
        ("memory_bytes", Some(memory_bytes)),
        ("tables", size(tables)),
        ("table_elements", size(table_elements)),
        ("call_depth", size(call_depth)),
        ("stack_bytes", size(stack_bytes)),
        ("fuel_per_job", none(fuel_per_job, u64::MAX)),
        ("init_fuel", Some(init_fuel)),
        ("alloc_fuel", Some(alloc_fuel)),
        ("grace_fuel", Some(grace_fuel)),
        ("requests_per_minute", none(u64::from(requests_per_minute), u64::from(u32::MAX))),
        ("concurrent_jobs", Some(u64::from(concurrent_jobs))),
        ("payload_bytes", size(payload_bytes)),
        ("reply_bytes", size(reply_bytes)),
        ("journal_bytes", size(journal_bytes)),
        ("replay_fuel", Some(replay_fuel)),
        ("state_bytes", size(state_bytes)),
        ("line_bytes", size(line_bytes)),
        ("log_lines", Some(log_lines)),
        ("warnings", size(warnings)),
    ];
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/SECURITY.md")).unwrap();
    let (_, table) = document.split_once("## Limits").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let told: Vec<(String, Option<u64>)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| {
            let number = rest.split(" |").next().unwrap_or_default().replace(',', "");
            (name.to_owned(), (number != "none").then(|| number.parse().unwrap()))
        })
        .collect();
    assert_eq!(told, expected.map(|(name, number)| (name.to_owned(), number)));
}
