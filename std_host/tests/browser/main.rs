//! The page, in a real browser, with a `toehold serve` behind it.
//!
//! `cargo xtask test browser` starts the browser's driver, says in `TOEHOLD_BROWSER` where it listens, and runs these tests;
//! plain `cargo test` leaves them out. With `TOEHOLD_SCREENSHOTS` as well, the pictures of docs/screenshots are made anew.
//!
//! Nothing here waits for a time: a test waits until the page shows something, and fails where that never comes.

mod access;
mod browser;
mod extensions;
mod forms;
mod hostile;
mod journey;
mod keyboard;
mod live;
mod log;
mod many;
mod picture;
mod place;
mod resume;
mod screenshots;
mod token;
