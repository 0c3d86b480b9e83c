//! What the shell does for a job that has its turn.

use alloc::{boxed::Box, collections::BTreeMap, format, string::ToString, sync::Arc};
use core::task::Poll;

use toehold::{Call, Called, Change, Commit, JobContext, Millis, NotDurable, Platform, Sleep, Store, Uuid};

use crate::{
    Board, Clock, Entropy, Memory, Operations,
    entry::Entry,
    operations,
    room::{NoRoom, for_commit},
};

/// Sleeps shorter than this, in milliseconds, are not noted: after a reset such a one starts again.
const NOTED_SLEEP: u64 = 1_000;

pub(crate) struct Desk<'a, B: Board> {
    pub(crate) store: &'a mut B::Store,
    pub(crate) clock: &'a mut B::Clock,
    pub(crate) entropy: &'a mut B::Entropy,
    pub(crate) operations: &'a mut Operations,
    pub(crate) entries: &'a mut BTreeMap<Uuid, Box<Entry>>,
    pub(crate) memory: &'a B::Memory,
    /// See [`Config::reserve_bytes`](crate::Config::reserve_bytes).
    pub(crate) reserve: usize,
}

impl<B: Board> Platform for Desk<'_, B> {
    fn now(&mut self) -> Millis {
        self.clock.now()
    }

    fn call(&mut self, call: &Arc<Call>) -> Called {
        if let Some(called) = self.operations.call(call) {
            return called;
        }
        Called::Ready(match call.method.as_str() {
            "query:ping" => operations::ping(call),
            "query:time.now" => match self.clock.unix() {
                Some(ms) => Ok(format!(r#"{{"unix_ms":{ms}}}"#).into_bytes()),
                None => Err(format!("{}: this board has no clock that knows the date", call.method)),
            },
            "query:random.bytes" => operations::random_bytes(call, |bytes| self.entropy.fill(bytes)),
            "query:job.attempt" => {
                let attempt = self.entries.get(&call.key.job).map_or(1, |entry| entry.record.attempt);
                Ok(format!(r#"{{"attempt":{attempt}}}"#).into_bytes())
            }
            "action:sleep" => return self.sleep(call),
            other => Err(format!("{other}: this board has no such operation")),
        })
    }

    fn commit(&mut self, job: &JobContext, commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        for_commit(self.memory, commit).map_err(|NoRoom(text)| NotDurable::Held(text))?;
        let change = Change { record: None, commit: Some(commit.clone()) };
        let stored = self.store.change(job.id(), &change);
        Poll::Ready(stored.map_err(|error| NotDurable::Held(error.to_string())))
    }

    fn idle(&mut self, _until: Option<Millis>) {}

    fn guest_runs(&mut self, runs: bool) {
        self.memory.guard(if runs { self.reserve } else { 0 });
    }
}

impl<B: Board> Desk<'_, B> {
    /// Has a job sleep: on through a reset, where the board knows the date.
    fn sleep(&mut self, call: &Call) -> Called {
        let ms = match operations::sleep_ms(call) {
            Ok(ms) => ms,
            Err(error) => return Called::Ready(Err(error)),
        };
        let number = call.key.number;
        let (now, unix) = (self.clock.now(), self.clock.unix());
        let Some(entry) = self.entries.get_mut(&call.key.job) else { return Called::Pending };
        if let Some((_, until)) = entry.sleep.filter(|(of, _)| *of == number) {
            if until > now {
                return Called::Until(until);
            }
            (entry.sleep, entry.record.sleep) = (None, None);
            return Called::Ready(Ok(format!(r#"{{"slept_ms":{ms}}}"#).into_bytes()));
        }
        let left = match (entry.record.sleep, unix) {
            // It was asleep when the board was reset. Where the clock was put back it sleeps no longer than it wanted to.
            (Some(sleep), Some(unix)) if sleep.call == number => sleep.until.saturating_sub(unix).min(ms),
            (_, Some(unix)) if ms >= NOTED_SLEEP => {
                entry.record.sleep = Some(Sleep { call: number, ms, until: unix.saturating_add(ms) });
                let change = Change { record: Some(entry.record.clone()), commit: None };
                if let Err(error) = self.store.change(call.key.job, &change) {
                    log::warn!("job {}: after a reset it sleeps anew: {error}", call.key.job);
                }
                ms
            }
            _ => ms,
        };
        let until = now.saturating_add(left);
        entry.sleep = Some((number, until));
        Called::Until(until)
    }
}
