//! JSON of contexts, states and calls, to and from Rust's types.
//!
//! With the feature `serde_json` that crate reads and writes states and calls. Without, a reader and a writer of our own
//! do, for guests that must be small: what either writes, the other reads, so that a job can move between a large and a
//! small build of its extension. Ours is shorter in what it says of bad JSON, takes a struct only as an object, and may
//! spell a number with a fraction another way (`1e-5` for `0.00001`).

// All of it is compiled, and tested, in each build.
#![cfg_attr(feature = "serde_json", allow(dead_code))]

mod access;
mod error;
mod key;
mod read;
mod scan;
mod text;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use self::{error::Error, scan::Scanner};
#[cfg(not(feature = "serde_json"))]
pub(crate) use self::{read::from_slice, write::to_vec};
#[cfg(feature = "serde_json")]
pub(crate) use serde_json::{from_slice, to_vec};
