//! The fleet, on real servers: `cargo xtask test fleet` runs these, and gets the server's program.

mod bare_job;
mod boards;
/// The board of `tests/it`.
#[expect(dead_code, reason = "the tests there do more to it")]
#[path = "../it/board/emulated.rs"]
mod emulated;

mod access;
mod checkpoints;
mod faults;
mod full;
mod leaf;
mod link;
mod migration;
mod old;
mod race;
mod serve;
mod servers;
mod steer;
mod store;
mod sync;
mod workers;

/// What the board needs of `tests/it`.
mod command {
    pub(crate) fn signal(signal: &str, process: u32) {
        let sent = std::process::Command::new("kill").args([signal, &process.to_string()]).status();
        assert!(sent.unwrap().success());
    }
}
