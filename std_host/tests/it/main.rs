//! The std shell with a real extension, real files and the real command.

#[cfg(unix)]
mod api;
mod bad_input;
#[cfg(unix)]
mod board;
mod bundles;
mod cli;
#[cfg(unix)]
mod command;
mod crash;
mod dispatch_test;
mod embedding;
#[cfg(unix)]
mod fetching;
mod futures;
mod guest_matches_source;
mod histories;
mod hostile;
#[cfg(unix)]
mod job_command;
mod jobs;
mod manager;
mod not_loaded;
mod power;
mod races;
mod readme;
#[cfg(unix)]
mod removal;
mod schemas;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
mod signing;
#[cfg(target_os = "linux")]
mod soak;
mod support;
mod wasm_extension_test;
#[cfg(unix)]
mod web;
#[cfg(unix)]
mod writing;
