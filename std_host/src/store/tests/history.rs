use super::*;

fn flush(store: &SqliteStore) {
    wait(store, |done| store.flush(done)).expect("there is room");
}

fn small(folder: &TempDir) -> SqliteStore {
    let options = StoreOptions {
        events: Cap { rows: 5, bytes: 1_000 },
        logs: Cap { rows: 1_000, bytes: 100 },
        ..StoreOptions::default()
    };
    open_with(folder, options)
}

#[test]
fn lines_are_numbered_and_read_from_any_on() {
    let folder = folder();
    let mut store = open(&folder);
    let (job, other) = (dispatch(&store, 1, JobState::Running), dispatch(&store, 2, JobState::Running));
    for number in 1..=6 {
        store.append_log(job, number, LogLevel::Warn, &format!("line {number}"));
        store.append_event(job, number * 10, "state", r#"{"to":"running"}"#);
        store.append_log(other, 0, LogLevel::Info, "another job's");
        if number == 3 {
            drop(store);
            store = open(&folder);
        }
    }
    store.append_log(id(3), 0, LogLevel::Info, "no job's");
    flush(&store);
    let logs = store.reader().logs(job, 2, 3).expect("it can be read");
    let lines: Vec<_> = logs.lines.iter().map(|line| (line.seq, line.at, line.text.as_str())).collect();
    assert_eq!(lines, [(3, 3, "line 3"), (4, 4, "line 4"), (5, 5, "line 5")]);
    assert_eq!((logs.lines[0].level, logs.last, logs.dropped), (LogLevel::Warn, 6, 0));
    let events = store.reader().events(job, 5, 10).expect("it can be read");
    assert_eq!(events.lines.len(), 1);
    assert_eq!((events.lines[0].seq, events.lines[0].at, events.lines[0].kind.as_str()), (6, 60, "state"));
    assert_eq!(events.lines[0].data, r#"{"to":"running"}"#);
    assert_eq!(store.reader().logs(id(3), 0, 10).expect("it can be read").last, 0);
    wait(&store, |done| store.remove(job, done)).expect("it is removed");
    assert_eq!(store.reader().logs(job, 0, 10).expect("it can be read").lines, []);
}

#[test]
fn the_oldest_lines_go_and_are_counted() {
    let folder = folder();
    let store = small(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    for number in 1..=12 {
        store.append_event(job, 0, "n", &number.to_string());
        // 100 bytes are three lines of thirty.
        store.append_log(job, 0, LogLevel::Info, &"x".repeat(30));
    }
    flush(&store);
    drop(store);
    let store = small(&folder);
    store.append_event(job, 0, "n", "13");
    store.append_log(job, 0, LogLevel::Info, &"y".repeat(500));
    flush(&store);
    let events = store.reader().events(job, 0, 100).expect("it can be read");
    let numbers: Vec<_> = events.lines.iter().map(|event| (event.seq, event.data.as_str())).collect();
    assert_eq!(numbers, [(9, "9"), (10, "10"), (11, "11"), (12, "12"), (13, "13")]);
    assert_eq!((events.last, events.dropped), (13, 8));
    // One that is over the limit by itself is kept as long as it is the newest.
    let logs = store.reader().logs(job, 0, 100).expect("it can be read");
    assert_eq!((logs.lines.len(), logs.lines[0].text.len(), logs.last, logs.dropped), (1, 500, 13, 12));
    for _ in 0..2 {
        store.append_log(job, 0, LogLevel::Info, &"z".repeat(50));
    }
    flush(&store);
    let logs = store.reader().logs(job, 0, 100).expect("it can be read");
    assert_eq!((logs.lines.len(), logs.last, logs.dropped), (2, 15, 13));
}

#[test]
fn lines_that_come_too_fast_are_counted() {
    let folder = folder();
    let store = open(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    let held = hold(&store);
    let text = "x".repeat(4_096);
    for _ in 0..5_000 {
        store.append_log(job, 0, LogLevel::Info, &text);
    }
    drop(held);
    flush(&store);
    store.append_log(job, 0, LogLevel::Info, "the next");
    flush(&store);
    let logs = store.reader().logs(job, 0, 10_000).expect("it can be read");
    assert_eq!(logs.last, 5_001);
    assert_eq!(logs.dropped, 5_001 - logs.lines.len() as u64);
    let kept = logs.lines.iter().map(|line| line.text.len()).sum::<usize>();
    assert!(kept <= StoreOptions::default().logs.bytes as usize, "{kept} bytes");
}

#[test]
fn lines_that_were_dropped_stay_counted_when_a_group_is_undone() {
    let folder = folder();
    let store = open(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    let held = hold(&store);
    let append = |count: u64| {
        let text = "x".repeat(4_096);
        (0..count).for_each(|_| store.append_log(job, 0, LogLevel::Info, &text));
    };
    append(1_000);
    // It has these lines in its group, which is undone.
    let mut tries = 0;
    store.ask(
        0,
        |_: Result<(), StoreError>| {},
        move |_| {
            tries += 1;
            if tries == 1 { Err(rusqlite::Error::InvalidQuery) } else { Ok(Ok(())) }
        },
    );
    append(4_000);
    drop(held);
    flush(&store);
    store.append_log(job, 0, LogLevel::Info, "the next");
    flush(&store);
    let logs = store.reader().logs(job, 0, 1).expect("it can be read");
    assert_eq!(logs.last, 5_001);
}

#[test]
fn lines_alone_are_written_soon() {
    let folder = folder();
    let store = open(&folder);
    let job = dispatch(&store, 1, JobState::Running);
    store.append_log(job, 0, LogLevel::Info, "alone");
    // Nothing else comes: what is waited for is the store's own haste.
    while store.reader().logs(job, 0, 1).expect("it can be read").lines.is_empty() {
        std::thread::yield_now();
    }
}
