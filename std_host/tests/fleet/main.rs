//! The fleet, on real servers: `cargo xtask test fleet` runs these, and gets the server's program.

mod faults;
mod old;
mod race;
mod servers;
mod steer;
mod store;
mod workers;
