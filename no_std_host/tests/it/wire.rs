//! A wire that is not what it should be.

use toehold::console::{Data, LINE_BYTES};

use crate::{
    guests::{JOBS, package, state},
    support::Bench,
};

fn begun(bench: &mut Bench) -> Vec<u8> {
    let package = package("jobs", JOBS);
    let (bytes, checksum) = (package.len() as u32, toehold::Crc32::of(&package));
    assert_eq!(bench.tell(&format!("install {bytes} {checksum:08x}")), ["> 0"]);
    package
}

#[test]
fn data_that_is_damaged_out_of_recognition_is_asked_for_again() {
    let mut bench = Bench::new();
    let package = begun(&mut bench);
    let line = Data::of(&package, 0).unwrap().to_string();
    let mut garbled = line.clone().into_bytes();
    garbled[30] |= 0x80;
    garbled.push(b'\n');
    bench.send(&garbled);
    assert_eq!(bench.answer(), ["> 0"], "no UTF-8");
    assert_eq!(bench.tell(&line.replacen(':', ";", 1)), ["> 0"], "no command");
    assert_eq!(bench.tell(&format!("{line}{line}")), ["> 0"], "the end of a line is lost");
    assert_eq!(bench.refused("pause").0, "usage");
    assert_eq!(bench.tell(&line), ["> 240"], "it goes on all the same");
    bench.ok("abort");
    assert_eq!(bench.refused("sudo").0, "unknown");
}

#[test]
fn data_that_comes_twice_is_asked_for_once() {
    let mut bench = Bench::new();
    let package = begun(&mut bench);
    let first = Data::of(&package, 0).unwrap().to_string();
    bench.send(format!("{first}\n{first}\n{first}\n").as_bytes());
    for _ in 0..6 {
        bench.turn();
    }
    assert_eq!(bench.lines.iter().filter(|line| line.starts_with('>')).count(), 1, "{:?}", bench.lines);
    bench.lines.clear();
    let second = Data::of(&package, 240).unwrap().to_string();
    assert_eq!(bench.tell(&second), ["> 480"]);
    let ahead = Data::of(&package, 960).unwrap().to_string();
    assert_eq!(bench.tell(&ahead), ["> 480"]);
}

#[test]
fn sizes_that_no_data_has_are_refused_at_once() {
    let mut bench = Bench::new();
    for command in ["install", "import"] {
        for size in ["0", "4294967295"] {
            bench.refused(&format!("{command} {size} 00000000"));
        }
        for size in ["4294967296", "-1", "x", ""] {
            assert_eq!(bench.refused(&format!("{command} {size} 00000000")).0, "usage");
        }
    }
    assert_eq!(bench.refused(": 0 00000000 AAAA").0, "unasked", "nothing was begun");
}

#[test]
fn a_line_may_be_as_long_as_it_may_be() {
    let mut bench = Bench::new();
    let longest = format!("info{}", " ".repeat(LINE_BYTES - 4));
    bench.ok(&longest);
    assert_eq!(bench.refused(&format!("{longest} ")).0, "too_long");
    bench.send(b"\0\0\0\n");
    assert!(bench.answer()[0].starts_with("err unknown"));
    bench.send("inöé\x08\x08fo\r\n".as_bytes());
    assert!(bench.answer()[0].starts_with("ok"), "backspace takes back a character");
    bench.ok("info");
}

#[test]
fn bytes_without_end_hold_no_job_up() {
    let mut bench = Bench::new();
    bench.install(&package("jobs", JOBS));
    let id = bench.dispatch("jobs:count", &state(10));
    bench.wire.noise.set(true);
    bench.rounds(150);
    assert!(bench.events("completed").iter().any(|line| line.contains(&id)));
    bench.wire.noise.set(false);
    bench.send(b"\n");
    assert!(bench.answer()[0].starts_with("err too_long"));
}

#[test]
fn what_a_guest_says_pushes_nothing_out_of_its_line() {
    // What takes most room on the console: control characters.
    let noisy = JOBS.replace(r#"(data (i32.const 64) "Counted")"#, r#"(data (i32.const 64) "Counted")
        (data (i32.const 4096) "\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01\01")"#)
        .replace("(i32.const 64) (i32.const 7))\n            (drop", "(i32.const 4096) (i32.const 96))\n            (drop");
    let mut bench = Bench::new();
    assert!(bench.install(&package("jobs", &noisy)).starts_with("ok"));
    let id = bench.dispatch("jobs:count", &state(9));
    bench.until(&id, "completed");
    let line = bench.ok(&format!("status {id}")).remove(0);
    assert!(line.contains("\\u{01}") && line.len() <= LINE_BYTES, "{line}");
    assert_eq!(bench.status(&id, "items").as_deref(), Some("9"));
    assert_eq!(bench.status(&id, "attempt").as_deref(), Some("1"));
}

#[test]
fn empty_log_lines_take_room_too() {
    let empty = JOBS.replace(
        "(call $log (i32.const 1) (i32.const 64) (i32.const 7))",
        "(call $log (i32.const 1) (i32.const 64) (i32.const 0))",
    );
    let mut bench = Bench::new();
    bench.install(&package("jobs", &empty));
    bench.send(format!("run jobs:log {}\n", state(78)).as_bytes());
    bench.rounds(50);
    let logs = bench.events("log");
    let dropped: u64 =
        logs.iter().filter_map(|line| crate::support::field(line, "dropped")?.parse::<u64>().ok()).sum();
    assert!(dropped > 30 && logs.len() as u64 - 1 + dropped == 78, "{} and {dropped}", logs.len());
}
