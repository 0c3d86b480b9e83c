//! Boards whose power is cut, again and again.

use toehold::{Checkpoint, JobRecord, JobState};

use crate::bench::{Board, board, field};

/// A number from 0 up to `below`, by a generator (xorshift64) that starts anew in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

const CUTS: u32 = 30;

fn ends_with_every_item_counted_once(mut board: Board) {
    let seed = std::process::id().into();
    println!("{}: seed {seed}", board.name());
    let mut random = Random(seed);
    board.power_on();
    board.install_small();
    let mut console = board.console();
    let answer = console.ask(r#"run test-extension:counter {"target": 100000000}"#);
    let id = field(&answer, "id").unwrap();
    // What was acknowledged by the time of a cut, by what the board said itself.
    let mut checkpoints = 0;
    for cut in 1..=CUTS {
        // At any byte of what it says: a line is never at the same place of the job.
        for _ in 0..random.below(4) {
            console.line();
        }
        let mut asked = String::new();
        if random.below(2) == 0 {
            asked = console.status(&id);
        }
        board.power_off();
        board.power_on();
        console = board.console();
        console.until(|line| line.starts_with("* running"));
        let now = console.status(&id);
        let number = |line: &str, key| field(line, key).map_or(0, |text| text.parse::<u64>().unwrap());
        let newest = number(&now, "checkpoints");
        if !asked.is_empty() {
            checkpoints = checkpoints.max(number(&asked, "checkpoints"));
        }
        assert!(newest >= checkpoints, "cut {cut}: checkpoint {newest} after {checkpoints} was told");
        checkpoints = newest;
    }
    drop(console);
    // It would go on for long; a pause has it checkpoint, and the state says how far it is.
    board.ok(&["pause", &id]);
    while board.ok(&["status", &id])["state"] != "paused" {}
    let bundle = board.bundle(&id);
    let (record, newest) =
        (JobRecord::decode(&bundle.record).unwrap(), Checkpoint::decode(&bundle.newest).unwrap());
    assert_eq!(record.state, JobState::Paused);
    let state: serde_json::Value = serde_json::from_slice(&newest.state).unwrap();
    assert!(state["current"].as_u64() > Some(0));
    assert_eq!(state["current"], state["processed"], "each item was counted once");
    assert_eq!(state["current"].as_u64(), Some(newest.report.items), "also by the host");
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn cortex_m_ends_with_every_item_counted_once() {
    ends_with_every_item_counted_once(board("cortex-m"));
}

#[test]
#[ignore = "needs firmware: `cargo xtask test` runs it"]
fn riscv_ends_with_every_item_counted_once() {
    ends_with_every_item_counted_once(board("riscv"));
}
