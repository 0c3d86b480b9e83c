//! What the store promises, on a flash that hurts.

mod conformance;
mod packages;

use crate::{FlashStore, sim::SimFlash};

/// Blocks of 4 KiB as serial flash chips have.
type Serial = SimFlash<4, 4096>;
type SerialStore = FlashStore<Serial, 32>;

/// Opens the store that is on a flash, or makes one.
fn open(flash: &Serial) -> SerialStore {
    flash.power_on();
    SerialStore::open(flash.clone()).unwrap()
}

/// So many bytes that do not repeat soon.
fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed).wrapping_add((at >> 8) as u8))
        .collect()
}
