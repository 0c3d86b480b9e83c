//! The suite is seen to pass and to fail.

extern crate std;

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use uuid::Uuid;

use super::{Cut, Plan, PowerOff, PowerStore, check, check_power_cuts, check_script, model::change_saved};
use crate::{Change, Saved, Store};

#[test]
fn a_store_that_keeps_the_contract_passes() {
    check(&Plan::default(), || {
        let store = PowerStore::default();
        move || Ok(store.clone())
    });
    for how in [Cut::Forgotten, Cut::Unacknowledged] {
        let mut cuts = 0;
        check_power_cuts(&Plan::small(), || {
            let store = PowerStore::default();
            cuts += 1;
            move |cut| {
                store.power_on();
                cut.inspect(|changes| store.cut_after(*changes, how));
                Ok(store.clone())
            }
        });
        // Each run has some 35 changes, is cut at each of them, and once at none.
        assert!(cuts > 90, "{cuts} cuts");
    }
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Nothing, for once.
    Nothing,
    /// The change before the cut is lost, though it was acknowledged.
    LostAck,
    /// Of the change that is cut, only the record is there.
    RecordOnly,
    /// Of the change that is cut, only the commit is there.
    CommitOnly,
    /// Of the checkpoint that is cut, the front is there over the one before.
    TornCheckpoint,
    /// Of the journal that is cut, the front is there.
    TornJournal,
    /// The change that is cut is there, and the one before of the same job is not.
    Reordered,
    /// The removal that is cut leaves an empty journal.
    HalfRemoved,
    /// A cut takes another job with it.
    Bystander,
    /// A cut while it is opened loses a job.
    OpeningLoses,
    /// A new run keeps the journal.
    OldJournal,
    /// A new run keeps the base.
    OldBase,
    /// A checkpoint becomes the base each time.
    AlwaysBase,
    /// A record that comes with a commit is left out.
    NoRecord,
    /// What was removed is there again once the store is opened.
    Undead,
    /// It keeps no more than two jobs.
    Forgetful,
}

const WITHOUT_CUTS: [Wrong; 6] =
    [Wrong::OldJournal, Wrong::OldBase, Wrong::AlwaysBase, Wrong::NoRecord, Wrong::Undead, Wrong::Forgetful];
const WITH_CUTS: [Wrong; 9] = [
    Wrong::LostAck,
    Wrong::RecordOnly,
    Wrong::CommitOnly,
    Wrong::TornCheckpoint,
    Wrong::TornJournal,
    Wrong::Reordered,
    Wrong::HalfRemoved,
    Wrong::Bystander,
    Wrong::OpeningLoses,
];

type Jobs = BTreeMap<Uuid, Saved>;

#[derive(Clone)]
struct WrongStore {
    wrong: Wrong,
    disk: Rc<RefCell<Disk>>,
}

#[derive(Default)]
struct Disk {
    jobs: Jobs,
    /// As it was before the last change, for those that lose it.
    before: Jobs,
    removed: Jobs,
    left: Option<u64>,
    off: bool,
}

impl WrongStore {
    fn open(&self, cut: Option<u64>) -> Result<Self, PowerOff> {
        let mut disk = self.disk.borrow_mut();
        disk.off = false;
        disk.left = cut;
        if self.wrong == Wrong::Undead {
            let removed = core::mem::take(&mut disk.removed);
            disk.jobs.extend(removed);
        }
        // Opening counts as an operation here.
        match &mut disk.left {
            Some(0) => {
                disk.off = true;
                if self.wrong == Wrong::OpeningLoses {
                    disk.jobs.pop_first();
                }
                return Err(PowerOff);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(self.clone())
    }

    /// The power goes while this change is under way.
    fn tear(&self, disk: &mut Disk, job: Uuid, change: &Change) {
        let mut whole = disk.jobs.get(&job).cloned().unwrap_or_default();
        change_saved(&mut whole, change);
        match self.wrong {
            Wrong::LostAck => disk.jobs.clone_from(&disk.before),
            Wrong::Reordered => {
                if let Some(before) = disk.before.get(&job) {
                    let mut saved = before.clone();
                    change_saved(&mut saved, change);
                    disk.jobs.insert(job, saved);
                }
            }
            Wrong::RecordOnly => {
                if let Some(saved) = disk.jobs.get_mut(&job) {
                    change_saved(saved, &Change { commit: None, ..change.clone() });
                }
            }
            Wrong::CommitOnly => {
                if let Some(saved) = disk.jobs.get_mut(&job) {
                    change_saved(saved, &Change { record: None, ..change.clone() });
                }
            }
            Wrong::TornCheckpoint => {
                if let Some(saved) = disk.jobs.get_mut(&job) {
                    let half = whole.newest.len() / 2;
                    let rest = saved.newest.get(half..).unwrap_or_default();
                    saved.newest = [whole.newest.get(..half).unwrap_or_default(), rest].concat();
                }
            }
            Wrong::TornJournal => {
                whole.journal.pop();
                disk.jobs.insert(job, whole);
            }
            Wrong::Bystander => {
                let other = disk.jobs.keys().copied().find(|other| *other != job);
                other.and_then(|other| disk.jobs.remove(&other));
            }
            _ => {}
        }
    }

    fn do_it(&self, disk: &mut Disk, job: Uuid, change: &Change) {
        let saved = disk.jobs.entry(job).or_default();
        let old = saved.clone();
        change_saved(saved, change);
        let (new_run, checkpoint) = change
            .commit
            .as_ref()
            .map_or((false, false), |commit| (commit.new_run, commit.checkpoint.is_some()));
        match self.wrong {
            Wrong::OldJournal if new_run => saved.journal = [old.journal, saved.journal.clone()].concat(),
            Wrong::OldBase if new_run && !old.base.is_empty() => saved.base = old.base,
            Wrong::AlwaysBase if checkpoint => saved.base.clone_from(&saved.newest),
            Wrong::NoRecord if change.commit.is_some() && !old.record.is_empty() => saved.record = old.record,
            _ => {}
        }
        if self.wrong == Wrong::Forgetful && disk.jobs.len() > 2 {
            disk.jobs.pop_first();
        }
    }

    /// Counts an operation; whether the power goes at it.
    fn is_cut(disk: &mut Disk) -> bool {
        match &mut disk.left {
            Some(0) => {
                disk.off = true;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

impl Store for WrongStore {
    type Error = PowerOff;

    fn change(&mut self, job: Uuid, change: &Change) -> Result<(), PowerOff> {
        let mut disk = self.disk.borrow_mut();
        if disk.off {
            return Err(PowerOff);
        }
        if Self::is_cut(&mut disk) {
            self.tear(&mut disk, job, change);
            return Err(PowerOff);
        }
        disk.before = disk.jobs.clone();
        self.do_it(&mut disk, job, change);
        Ok(())
    }

    fn load(&mut self, job: Uuid) -> Result<Option<Saved>, PowerOff> {
        let disk = self.disk.borrow();
        if disk.off { Err(PowerOff) } else { Ok(disk.jobs.get(&job).cloned()) }
    }

    fn jobs(&mut self) -> Result<Vec<Uuid>, PowerOff> {
        let disk = self.disk.borrow();
        if disk.off { Err(PowerOff) } else { Ok(disk.jobs.keys().copied().collect()) }
    }

    fn remove(&mut self, job: Uuid) -> Result<(), PowerOff> {
        let mut disk = self.disk.borrow_mut();
        if disk.off {
            return Err(PowerOff);
        }
        if Self::is_cut(&mut disk) {
            if self.wrong == Wrong::HalfRemoved {
                disk.jobs.entry(job).and_modify(|saved| saved.journal = Vec::from(*b"left"));
            }
            return Err(PowerOff);
        }
        disk.before = disk.jobs.clone();
        if let Some(saved) = disk.jobs.remove(&job) {
            disk.removed.insert(job, saved);
        }
        Ok(())
    }
}

fn wrong_store(wrong: Wrong) -> WrongStore {
    WrongStore { wrong, disk: Rc::default() }
}

/// What the suite says of a store, if it finds fault with it.
fn found(check: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(check)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| String::from("no text")))
}

/// Scripts as a fuzzer may write them.
fn scripts() -> impl Iterator<Item = Vec<u8>> {
    let mut random = 1_u64;
    (0..400).map(move |_| {
        let mut byte = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        (0..300).map(|_| byte()).collect()
    })
}

#[test]
fn every_broken_store_is_found_out() {
    let plan = Plan { runs: 6, ..Plan::small() };
    let without = |wrong| {
        found(|| {
            check(&plan, || {
                let store = wrong_store(wrong);
                move || store.open(None)
            });
        })
    };
    let with = |wrong| {
        found(|| {
            check_power_cuts(&plan, || {
                let store = wrong_store(wrong);
                move |cut| store.open(cut)
            });
        })
    };
    let scripted = |wrong| {
        scripts().find_map(|script| {
            let store = wrong_store(wrong);
            found(|| check_script(&plan, &script, |cut| store.open(cut)))
        })
    };
    let results: Vec<_> = (WITHOUT_CUTS.into_iter().map(|wrong| (wrong, without(wrong))))
        .chain(WITH_CUTS.into_iter().map(|wrong| (wrong, with(wrong))))
        .chain(WITHOUT_CUTS.into_iter().chain(WITH_CUTS).map(|wrong| (wrong, scripted(wrong))))
        .collect();
    let right = [without(Wrong::Nothing), with(Wrong::Nothing), scripted(Wrong::Nothing)];
    for (wrong, found) in results {
        let found = found.unwrap_or_else(|| panic!("{wrong:?} was not found"));
        std::println!("{wrong:?}: {found}");
    }
    assert_eq!(right, [None, None, None]);
}
