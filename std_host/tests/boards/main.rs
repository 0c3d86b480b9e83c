//! The firmwares, in their emulators, with the command `toehold` at the other end of the wire.
//!
//! `cargo xtask test` builds the firmwares, says in `TOEHOLD_BOARDS` how to start them, and runs these tests; plain `cargo test`
//! leaves them out.

mod bad_input;
mod bench;
mod cuts;
mod hostile;
mod jobs;
mod measure;
mod migration;
mod unvalidated;
