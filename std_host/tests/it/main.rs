//! The std shell with a real extension, real files and the real command.

mod bad_input;
mod bundles;
mod cli;
mod crash;
mod dispatch_test;
mod guest_matches_source;
mod histories;
mod jobs;
mod manager;
mod power;
mod readme;
mod support;
mod wasm_extension_test;
