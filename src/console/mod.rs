//! The line protocol between a board and a desk: both ends use these types, so they can't drift apart.
//!
//! Lines of UTF-8 end in LF; CR is left out. A person can type them at a terminal. docs/console.md has all of them.
//!
//! ```text
//! desk                                board
//!  run test-extension:counter    ──►
//!                                ◄──  ok id=1f0c…
//!                                ◄──  * progress id=1f0c… fraction=0.100 message="Counted 10/100"
//!  install 1024 0a1b2c3d         ──►
//!                                ◄──  > 0
//!  : 0 5d41402a AAECAw…          ──►
//!                                ◄──  > 240
//! ```
//!
//! A [`Command`] is answered by any number of [`Line::Item`] and [`Line::Data`], then one [`Line::Ok`] or [`Line::Err`].
//! Events and remarks come at any time. Bytes go in chunks of at most [`DATA_BYTES`], each with a checksum and asked for
//! one by one, so a slow board is never flooded and a damaged line is only asked for again.

mod command;
mod data;
mod fields;
mod line;

pub use command::{Command, CommandError};
pub use data::Data;
pub use fields::{Fields, LineWriter};
pub use line::Line;

/// Bytes of the longest line, without its end.
pub const LINE_BYTES: usize = 512;

/// Bytes that one line of data carries at most, before base64 makes a third more of them.
pub const DATA_BYTES: usize = 240;
