//! The shell as a board runs it: its console on one end of a wire, the real store on a flash in memory.

mod bundles;
mod carry;
mod console;
mod full;
mod guests;
mod jobs;
mod model;
mod packages;
mod power;
mod rescue;
mod resets;
mod steer;
mod support;
mod wire;
