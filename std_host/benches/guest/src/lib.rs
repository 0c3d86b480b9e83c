//! Kernels as jobs: what LLVM makes of ordinary Rust, where the text guests beside are written for one thing each.

#![no_std]

extern crate alloc;

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::alloc::{GlobalAlloc, Layout};

use sha2::{Digest, Sha256};

/// Hands out one arena from its start to its end; each job starts it anew.
struct Arena;

const ARENA: usize = 4 << 20;
static mut BYTES: [u64; ARENA / 8] = [0; ARENA / 8];
static mut TOP: usize = 0;

// SAFETY: a guest has one thread, and no block is handed out twice in one job.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe {
            let start = TOP.next_multiple_of(layout.align());
            if start + layout.size() > ARENA {
                return core::ptr::null_mut();
            }
            TOP = start + layout.size();
            (&raw mut BYTES).cast::<u8>().add(start)
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Arena = Arena;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// For the context, which no kernel reads.
#[unsafe(no_mangle)]
extern "C" fn wasm_alloc(_: i32) -> *mut u8 {
    (&raw mut BYTES).cast()
}

macro_rules! jobs {
    ($($export:ident = $kernel:ident),*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $export(_: i32, _: i32, _: i32, _: i32) -> i32 {
            // SAFETY: nothing of an earlier job is alive.
            unsafe { TOP = 0 };
            if $kernel() { 0 } else { 2 }
        }
    )*};
}

jobs!(execute_sort = sort, execute_hash = hash, execute_bodies = bodies, execute_text = text);

fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

fn sort() -> bool {
    let mut state = 1;
    let mut numbers: Vec<u32> = (0..20_000).map(|_| random(&mut state)).collect();
    numbers.sort_unstable();
    numbers.is_sorted()
}

fn hash() -> bool {
    let bytes: Vec<u8> = (0..100_000_u32).map(|number| (number * 7) as u8).collect();
    Sha256::digest(&bytes)[..] != [0; 32]
}

/// Five bodies that attract each other.
fn bodies() -> bool {
    let mut at: [[f64; 3]; 5] =
        core::array::from_fn(|i| [i as f64, (i * i) as f64 * 0.5, 1.0 / (i + 1) as f64]);
    let mut speed = [[0.0_f64; 3]; 5];
    for _ in 0..2_000 {
        for i in 0..5 {
            for j in i + 1..5 {
                let distance: [f64; 3] = core::array::from_fn(|axis| at[i][axis] - at[j][axis]);
                let square = distance.iter().map(|part| part * part).sum::<f64>() + 0.01;
                for axis in 0..3 {
                    let pull = distance[axis] * 1e-3 / square;
                    speed[i][axis] -= pull;
                    speed[j][axis] += pull;
                }
            }
        }
        for (at, speed) in at.iter_mut().zip(&speed) {
            for axis in 0..3 {
                at[axis] += speed[axis] * 1e-2;
            }
        }
    }
    at[0][0].is_finite()
}

/// Splits a text into words and counts them by name.
fn text() -> bool {
    let mut state = 1;
    let mut text = String::new();
    for _ in 0..4_000 {
        for _ in 0..2 + random(&mut state) % 3 {
            text.push(char::from(b'a' + (random(&mut state) % 6) as u8));
        }
        text.push(if random(&mut state) % 9 == 0 { '\n' } else { ' ' });
    }
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    counts.values().sum::<u32>() == 4_000
}
