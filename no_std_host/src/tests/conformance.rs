//! The core's suite, on flashes of several kinds, with the power cut at every operation in every way.

use toehold::conformance::{self, Plan};

use crate::{
    FlashStore, StoreError,
    sim::{SimFlash, Tear},
};

fn check<const WRITE: usize, const ERASE: usize, const BLOCKS: usize>(plan: &Plan) {
    conformance::check(plan, || {
        let flash = SimFlash::<WRITE, ERASE>::new(BLOCKS * crate::flash::block_bytes(ERASE) / ERASE);
        move || Ok::<_, StoreError>(FlashStore::<_, BLOCKS>::open(flash.clone())?)
    });
}

fn check_cuts<const WRITE: usize, const ERASE: usize, const BLOCKS: usize>(
    plan: &Plan,
    tear: Tear,
    checks_words: bool,
) {
    conformance::check_power_cuts(plan, || {
        let flash = SimFlash::<WRITE, ERASE>::new(BLOCKS * crate::flash::block_bytes(ERASE) / ERASE);
        if checks_words {
            flash.check_words();
        }
        move |cut: Option<u64>| {
            match cut {
                Some(cut) => flash.cut_after(cut, tear),
                None => flash.power_on(),
            }
            Ok::<_, StoreError>(FlashStore::<_, BLOCKS>::open(flash.clone())?)
        }
    });
}

#[test]
fn serial_flash_holds_the_contract() {
    check::<4, 4096, 64>(&Plan { runs: 3, steps: 300, jobs: 8, state_bytes: 3_000, journal_bytes: 1_000 });
}

#[test]
fn small_blocks_hold_the_contract() {
    check::<8, 512, 256>(&Plan { runs: 3, steps: 300, jobs: 8, state_bytes: 3_000, journal_bytes: 1_000 });
    check::<1, 128, 128>(&Plan::small());
}

#[test]
fn large_words_hold_the_contract() {
    check::<256, 4096, 64>(&Plan { runs: 3, steps: 300, jobs: 8, state_bytes: 3_000, journal_bytes: 1_000 });
}

macro_rules! cuts {
    ($($name:ident: $tear:ident;)*) => { $(
        #[test]
        fn $name() {
            check_cuts::<4, 4096, 32>(&Plan { runs: 2, ..Plan::small() }, Tear::$tear, false);
        }
    )* };
}

cuts! {
    serial_flash_stands_cuts_that_do_nothing: Nothing;
    serial_flash_stands_cuts_after_the_front: Front;
    serial_flash_stands_cuts_that_do_only_the_back: Back;
    serial_flash_stands_cuts_that_leave_zeros: Zeros;
    serial_flash_stands_cuts_that_leave_anything: Random;
}

#[test]
fn small_blocks_stand_all_cuts() {
    for tear in Tear::ALL {
        check_cuts::<8, 512, 128>(&Plan { runs: 1, steps: 20, ..Plan::small() }, tear, false);
    }
}

/// So many that their folder is a chain of blocks.
#[test]
fn many_jobs_in_small_blocks_stand_all_cuts() {
    for tear in [Tear::Nothing, Tear::Random] {
        let plan = Plan { runs: 1, steps: 40, jobs: 16, state_bytes: 100, journal_bytes: 50 };
        check_cuts::<8, 1024, 128>(&plan, tear, false);
    }
}

#[test]
fn words_of_one_byte_stand_all_cuts() {
    for tear in Tear::ALL {
        check_cuts::<1, 1024, 64>(&Plan { runs: 1, steps: 20, ..Plan::small() }, tear, false);
    }
}

#[test]
fn large_words_stand_all_cuts() {
    for tear in Tear::ALL {
        check_cuts::<256, 1024, 64>(&Plan { runs: 1, steps: 20, ..Plan::small() }, tear, false);
    }
}

#[test]
fn chips_that_check_words_stand_all_cuts() {
    for tear in Tear::ALL {
        check_cuts::<8, 2048, 32>(&Plan { runs: 1, steps: 20, ..Plan::small() }, tear, true);
    }
}

/// Of what looks erased after a power cut, not all is: littlefs programs it, and where the power goes again meanwhile, it may program
/// the same place once more. The fuzzer found this script.
#[test]
fn what_is_programmed_again_after_a_second_power_cut_is_not_lost() {
    let [_, tear, script @ ..] = include_bytes!("../../../fuzz/seeds/flash_store/torn-twice");
    let tear = Tear::ALL[usize::from(*tear) % Tear::ALL.len()];
    for checks_words in [false, true] {
        let flash = SimFlash::<4, 4096>::new(128);
        if checks_words {
            flash.check_words();
        }
        conformance::check_script(&Plan { steps: 100, ..Plan::small() }, script, |cut| {
            match cut {
                Some(cut) => flash.cut_after(cut, tear),
                None => flash.power_on(),
            }
            Ok::<_, StoreError>(FlashStore::<_, 128>::open(flash.clone())?)
        });
    }
}
