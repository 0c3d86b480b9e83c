//! The embedded shell: runs Toehold jobs on a board, many on one thread, and keeps them in NOR flash.
//!
//! A board gives its [`Parts`]: flash, a clock, a console, entropy, and what its allocator knows.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod parts;

pub use parts::{Clock, Entropy, Memory, Parts, Witness};
