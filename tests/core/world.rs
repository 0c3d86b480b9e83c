//! A job with effects, and the world outside of it, which cuts it off.

use std::collections::BTreeMap;

use toehold::{Call, CallKey, Commit, Extension, Limits, Outcome, Recovery, Registry, Saved, Step};

use crate::guests::*;

/// Effects of [`drawer`].
pub(crate) const ROUNDS: u32 = 12;

/// A job that draws a number in its prologue, which its state does not have, and puts it into each of [`ROUNDS`] effects
/// with a checkpoint after every fourth. It asks whether to stop before each, and then checkpoints and returns 1.
///
/// At 200 stands what it puts: the number that was drawn and the round, 4 bytes each. Its state is the round, at 300.
pub(crate) fn drawer(limits: &Limits) -> Extension {
    let job = job_body(
        r#"(local $i i32)
          (if (local.get 3) (then (local.set $i (i32.load (local.get 2)))))
          (if (i32.eq (local.get $i) (i32.const 12)) (then (return (i32.const 0))))
          ;; The reply is JSON of four digits, which are taken as they are.
          (i32.store (i32.const 200)
            (i32.load offset=4 (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0))))
          (loop $next
            (i32.store (i32.const 300) (local.get $i))
            (if (call $interrupt (i32.const 64)) (then
              (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const 4)))
              (return (i32.const 1))))
            (i32.store (i32.const 204) (local.get $i))
            (drop (call $call (i32.const 150) (i32.const 13) (i32.const 0) (i32.const 200) (i32.const 8)))
            (call $items (i32.const 64) (i64.const 1))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (i32.store (i32.const 300) (local.get $i))
            (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 4)))
              (then (drop (call $checkpoint (i32.const 64) (i32.const 300) (i32.const 4)))))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 12))))
          (i32.const 0)"#,
    );
    load(&format!("(data (i32.const 150) \"action:kv.put\") {job}"), limits).unwrap()
}

/// The world outside of a job: a store that keeps what it acknowledged, an operation that honours keys, and a random
/// query. It cuts the job off after so many of its events.
pub(crate) struct World {
    pub(crate) extension: Extension,
    pub(crate) saved: Saved,
    /// What the operation was called with, by key.
    pub(crate) effects: BTreeMap<CallKey, Vec<u8>>,
    /// Fuel of a slice.
    pub(crate) slice: u64,
    /// Events until the cut.
    pub(crate) left: usize,
    /// What it had counted when it ended.
    pub(crate) newest_items: u64,
    draws: u32,
    sequences: Vec<u64>,
}

/// The job was cut off.
#[derive(Debug)]
pub(crate) struct Cut;

impl World {
    /// With the job of [`drawer`], dispatched.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::of(drawer(limits), b"")
    }

    /// With the job `go` of an extension, dispatched with this state.
    pub(crate) fn of(extension: Extension, state: &[u8]) -> Self {
        let first = extension.first_checkpoint("go", &with_state(state)).unwrap().encode();
        Self {
            extension,
            saved: Saved { base: first.clone(), newest: first, ..Saved::default() },
            effects: BTreeMap::new(),
            slice: 500,
            left: 0,
            draws: 0,
            sequences: Vec::new(),
            newest_items: 0,
        }
    }

    fn event(&mut self) -> Result<(), Cut> {
        self.left = self.left.checked_sub(1).ok_or(Cut)?;
        Ok(())
    }

    /// Stores a commit, cut before or after.
    pub(crate) fn store(&mut self, commit: &Commit) -> Result<(), Cut> {
        self.event()?;
        if commit.new_run {
            self.saved.base.clone_from(&self.saved.newest);
            self.saved.journal.clear();
        }
        self.saved.journal.extend_from_slice(&commit.journal);
        if let Some(checkpoint) = &commit.checkpoint {
            self.saved.newest = checkpoint.encode();
            self.sequences.push(checkpoint.sequence);
        }
        self.event()
    }

    /// Carries out a call, cut before or after.
    pub(crate) fn carry_out(&mut self, call: &Call) -> Result<Vec<u8>, Cut> {
        self.event()?;
        let reply = if call.is_effect() {
            let known = self.effects.entry(call.key).or_insert_with(|| call.payload.clone());
            assert_eq!(*known, call.payload, "the key {} came with something else", call.key);
            b"null".to_vec()
        } else {
            self.draws += 1;
            format!("{}", 1_000 + self.draws).into_bytes()
        };
        self.event()?;
        Ok(reply)
    }

    /// Recovers the job and runs it until it is over, or cut off after `events`. It is paused before every slice for which
    /// `pause` says so.
    pub(crate) fn run(&mut self, events: usize, mut pause: impl FnMut() -> bool) -> Option<Outcome> {
        self.left = events;
        let recovery = Recovery::new(&self.saved).unwrap().without_needless_journal();
        let mut job = self.extension.recover(&Registry::default(), recovery).unwrap();
        let mut answer = None;
        loop {
            let control = job.context().control();
            if pause() {
                control.pause()
            } else {
                control.resume()
            }
            let step = match answer.take() {
                Some(answer) => job.answer(answer, 0),
                None => job.step(self.slice, 0),
            };
            let step = step.unwrap_or_else(|error| match (job.call(), job.commit()) {
                // It was paused when it came to that.
                (Some(call), _) => Step::Call(call.clone()),
                (_, Some(commit)) => Step::Commit(commit.clone()),
                _ => panic!("{error}"),
            });
            let answered = match step {
                Step::Yielded | Step::Paused => Ok(None),
                Step::Commit(commit) => self.store(&commit).map(|()| Some(durable(&commit))),
                Step::Call(call) => {
                    assert!(!job.is_replaying(), "a replay calls {call:?}");
                    self.carry_out(&call).map(|json| Some(reply(&call, Ok(json))))
                }
                Step::Finished(Outcome::Interrupted) => {
                    job = job.next_run().unwrap();
                    Ok(None)
                }
                Step::Finished(outcome) => {
                    self.newest_items = job.context().report().items;
                    return Some(outcome);
                }
            };
            answer = match answered {
                Ok(answer) => answer,
                Err(Cut) => return None,
            };
        }
    }

    /// That each effect stands once, and that all since a run's prologue have the number that was drawn there.
    pub(crate) fn check(&self) {
        let rounds: Vec<u32> = self.effects.values().map(|payload| number(&payload[4..])).collect();
        assert_eq!(rounds, (0..ROUNDS).collect::<Vec<_>>(), "each effect, in order, once");
        assert!(self.sequences.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", self.sequences);
        assert_eq!(self.newest_items, u64::from(ROUNDS));
    }

    /// The numbers that its effects have, each once.
    pub(crate) fn drawn(&self) -> Vec<u32> {
        let mut drawn: Vec<u32> = self.effects.values().map(|payload| number(&payload[..4])).collect();
        drawn.dedup();
        drawn
    }
}

pub(crate) fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}
