//! What libFuzzer throws at Toehold: a function for each target in `fuzz_targets/`, which panics where something is not as it must be.
//!
//! ```text
//! bytes ──► load         a module ──────────┐
//!       ──► host_calls   a generated guest ─┼──► drive: a shell that answers anything, and looks at what is promised
//!       ──► slices       a generated guest ─┴──► observe: straight, and cut anywhere
//!       ──► journal      a job with effects ───► World: cut off anywhere
//!       ──► flash_store  operations, cuts ─────► the core's conformance suite
//!       ──► checkpoint, manifest               what is read
//!       ──► http                               requests to the API
//! ```
//!
//! The guests' models are those of the tests in `tests/core/`.

mod drive;
mod errand;
mod formats;
mod guest;
#[path = "../../tests/core/guests.rs"]
#[allow(dead_code)]
mod guests;
mod http;
mod manifest;
#[path = "../../tests/core/observe.rs"]
mod observe;
#[path = "../../tests/core/world.rs"]
#[allow(dead_code)]
mod world;

pub use errand::journal;
pub use formats::checkpoint;
pub use http::http;
pub use manifest::manifest;

use arbitrary::{Arbitrary, Unstructured};
use no_std_host::{
    FlashStore, StoreError,
    sim::{SimFlash, Tear},
};
use toehold::{
    Extension, Limits, Registry,
    conformance::{self, Plan},
};

use crate::{drive::Drive, guest::Guest};

/// What guests get here: little enough for many of them in a second.
fn limits() -> Limits {
    Limits {
        tables: 4,
        table_elements: 2_000,
        call_depth: 100,
        stack_bytes: 64 << 10,
        fuel_per_job: 200_000,
        init_fuel: 100_000,
        alloc_fuel: 20_000,
        grace_fuel: 20_000,
        payload_bytes: 4_000,
        reply_bytes: 4_000,
        journal_bytes: 20_000,
        state_bytes: 4_000,
        line_bytes: 100,
        log_lines: 50,
        warnings: 5,
        ..Limits::default()
    }
}

/// A module: any bytes, or one that is valid and has the exports of a guest. What loads is started and stepped.
pub fn load(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let made = if *kind == 0 { None } else { guest::smith(bytes) };
    let module = made.as_deref().unwrap_or(bytes);
    if let Ok(extension) = Extension::load(guests::manifest(), module, &limits()) {
        let mut answers = Unstructured::new(bytes);
        for job in extension.jobs().iter().take(2) {
            Drive::new(&extension, &job.name).run(&mut answers);
        }
        let _ = extension.cleanup();
    }
}

/// A guest that calls all nine host functions with any arguments in any order, and a shell that answers anything.
pub fn host_calls(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(guest) = Guest::arbitrary(&mut data) else { return };
    let Ok(extension) = Extension::load(guests::manifest(), guest.module(), &limits()) else { return };
    Drive::new(&extension, "go").run(&mut data);
}

/// The same guests: one that is cut into any slices, and paused anywhere, does what one does that runs straight.
pub fn slices(data: &[u8]) {
    let mut data = Unstructured::new(data);
    let Ok(guest) = Guest::arbitrary(&mut data) else { return };
    // No grace: a pause holds the guest where it is, and tells it nothing.
    let limits = Limits { grace_fuel: 0, ..limits() };
    let module = guest.module();
    // Each has an extension of its own, for the calls in a minute.
    let start = || {
        let extension = Extension::load(guests::manifest(), &module, &limits).ok()?;
        extension.start(&Registry::default(), "go", guests::with_state(b"")).ok()
    };
    let (Some(straight), Some(cut)) = (start(), start()) else { return };
    let straight = observe::observe(straight, || (u64::MAX, false));
    let cut = observe::observe(cut, || {
        let fuel: u16 = data.arbitrary().unwrap_or(50);
        // Where there is nothing left to decide by, it goes on in slices that end.
        let pause = !data.is_empty() && fuel % 8 == 7;
        (u64::from(fuel % 1_000) + 1, pause)
    });
    assert_eq!(straight, cut, "straight, and cut");
}

/// Changes, removals and restarts of a store on flash, and power cuts that tear what is written, against a model.
pub fn flash_store(data: &[u8]) {
    let Some(([kind, tear], script)) = data.split_first_chunk() else { return };
    let tear = Tear::ALL[usize::from(*tear) % Tear::ALL.len()];
    match kind % 4 {
        0 => flash::<4, 4096, 128>(script, tear, false),
        1 => flash::<8, 512, 512>(script, tear, false),
        2 => flash::<256, 1024, 256>(script, tear, false),
        _ => flash::<8, 2048, 256>(script, tear, true),
    }
}

fn flash<const WRITE: usize, const ERASE: usize, const BLOCKS: usize>(
    script: &[u8],
    tear: Tear,
    checks_words: bool,
) {
    let flash = SimFlash::<WRITE, ERASE>::new(BLOCKS);
    if checks_words {
        flash.check_words();
    }
    // Few enough that the flash is never full, though each step may add a piece to a journal.
    let plan = Plan { steps: 100, ..Plan::small() };
    conformance::check_script(&plan, script, |cut| {
        match cut {
            Some(cut) => flash.cut_after(cut, tear),
            None => flash.power_on(),
        }
        Ok::<_, StoreError>(FlashStore::<_, BLOCKS>::open(flash.clone())?)
    });
}
