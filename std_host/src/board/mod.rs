//! A board with Toehold on it, over its console: commands out, answers and events in.
//!
//! [`Board`] speaks the protocol of [`toehold::console`] over a [`Link`], which is a serial device, a socket, or whatever else
//! carries bytes; [`Port`] opens those that the command `toehold board` knows. docs/console.md has the protocol.
//!
//! Lines may get lost or damaged on the way, and a board may be reset at any time. All that a board is asked here can be asked
//! again without doing it twice, so that is what is done, a few times.

mod client;
mod error;
mod link;
mod record;
mod transfer;

pub use client::{Answer, Board, Happened};
pub use error::BoardError;
pub use link::{Link, OpenPortError, Port};
pub use record::Record;
