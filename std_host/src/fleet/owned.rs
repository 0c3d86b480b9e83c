//! A job that this process owns: one task writes all that it adds to the job's log, in order.

use std::sync::{Arc, Mutex, PoisonError};

use toehold::{Interrupt, Saved, UnixMillis, Uuid};
use tokio::sync::mpsc;

use super::{
    FleetError,
    connect::Link,
    entry::{Changed, Entry, Owner, What},
    log::Wrote,
    parts,
    state::{Found, State, gives_up},
};

/// Bytes of changes that go into one entry together, at most, unless a single one is larger.
const TOGETHER: usize = 128 << 10;

/// What a `done` of a change is.
pub(super) type Done = Box<dyn FnOnce(Result<(), FleetError>) + Send>;

/// What a job's task is asked.
pub(super) enum Ask {
    /// To make changes durable.
    Change(Vec<Changed>, Done),
    /// To look whether others have written.
    Look,
    /// To give the job back as it is.
    Release,
}

/// What a job's task tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Somebody asks the job for this.
    Wanted(Uuid, Interrupt),
    /// The job that was this process's in this epoch wants no worker any more: it is paused or over. That is durable.
    GivenUp(Uuid, u64),
    /// The job that was this process's in this epoch was given back, and wants a worker.
    Returned(Uuid, u64),
    /// The job that was this process's in this epoch is another worker's, or was removed.
    Lost(Uuid, u64),
}

/// A job that this process owns, for as long as nobody else claims it.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    ask: mpsc::UnboundedSender<Ask>,
    saved: Arc<Mutex<Saved>>,
    /// The how many-th claim of the job this is.
    pub(super) epoch: u64,
    /// When the job was dispatched.
    pub(super) born: UnixMillis,
}

impl Owned {
    /// Asks the job's task for something. Where that has ended, the job is this process's no longer.
    pub(super) fn ask(&self, ask: Ask) -> Result<(), Ask> {
        self.ask.send(ask).map_err(|unsent| unsent.0)
    }

    /// All that there is of the job.
    pub(super) fn saved(&self) -> Saved {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Link {
    /// Claims a job that was found so, if it is there and `may` says so, now and wherever others have written meanwhile: from then
    /// on nobody else who owned it can write. Else gives how it stands.
    pub(super) async fn claim(
        &self,
        job: Uuid,
        worker: Uuid,
        since: u64,
        mut found: Found,
        may: impl Fn(&State) -> bool,
    ) -> Result<Result<State, Found>, FleetError> {
        loop {
            let epoch = match &found {
                Found::Job(state) if may(state) => state.epoch.saturating_add(1),
                _ => return Ok(Err(found)),
            };
            let entry = Entry::new(epoch, What::Claimed(Owner { worker, since }));
            if self.write(job, &entry, &mut found).await? == Wrote::Done {
                // Another claim may have come behind it already.
                return Ok(match found {
                    Found::Job(state) if state.epoch == epoch && state.is_owned_by(worker) => Ok(state),
                    found => Err(found),
                });
            }
        }
    }

    /// Begins the task of a job that was claimed for `worker`.
    pub(super) fn own(
        &self,
        job: Uuid,
        worker: Uuid,
        state: State,
        tell: mpsc::UnboundedSender<Told>,
    ) -> Owned {
        let (ask, asked) = mpsc::unbounded_channel();
        let saved = Arc::new(Mutex::new(state.saved.clone()));
        let (epoch, born) = (state.epoch, state.record.created_at);
        let writer = Writer {
            link: self.clone(),
            job,
            worker,
            epoch,
            found: Found::Job(state),
            saved: saved.clone(),
            tell,
        };
        tokio::spawn(writer.run(asked));
        Owned { ask, saved, epoch, born }
    }
}

struct Writer {
    link: Link,
    job: Uuid,
    worker: Uuid,
    epoch: u64,
    found: Found,
    saved: Arc<Mutex<Saved>>,
    tell: mpsc::UnboundedSender<Told>,
}

impl Writer {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Ask>) {
        let mut next = None;
        let end = loop {
            let ask = match next.take() {
                Some(ask) => ask,
                None => match asked.recv().await {
                    Some(ask) => ask,
                    None => return,
                },
            };
            let went = match ask {
                Ask::Change(changes, done) => {
                    let (mut changes, mut dones) = (changes, vec![done]);
                    let mut bytes: usize = changes.iter().map(Changed::bytes).sum();
                    // What has come meanwhile goes along.
                    while next.is_none() && bytes < TOGETHER && !self.is_last(&changes) {
                        match asked.try_recv() {
                            Ok(Ask::Change(more, done)) => {
                                bytes = bytes.saturating_add(more.iter().map(Changed::bytes).sum());
                                changes.extend(more);
                                dones.push(done);
                            }
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.change(changes, dones).await
                }
                Ask::Look => self.look().await,
                Ask::Release => self.write(|_| Ok(What::Released)).await,
            };
            match went {
                Ok(()) if self.is_mine() => {}
                // Another claim has come behind what was written.
                Ok(()) if self.is_others() => break Told::Lost(self.job, self.epoch),
                Ok(()) if self.wants_worker() => break Told::Returned(self.job, self.epoch),
                Ok(()) => break Told::GivenUp(self.job, self.epoch),
                Err(FleetError::Fenced { .. } | FleetError::Format { .. }) => {
                    break Told::Lost(self.job, self.epoch);
                }
                // Nothing was written, and it can be tried again.
                Err(_) => {}
            }
        };
        asked.close();
        // Whoever is told lets go of the job first; what it still wanted written is nobody's business any more.
        let _ = self.tell.send(end);
        for ask in next.into_iter().chain(std::iter::from_fn(|| asked.try_recv().ok())) {
            if let Ask::Change(_, done) = ask {
                done(Err(FleetError::Fenced { job: self.job }));
            }
        }
    }

    /// Whether the job is given up with these: what comes after them must not go along.
    fn is_last(&self, changes: &[Changed]) -> bool {
        let record = changes.iter().rev().find_map(|change| change.record.as_deref());
        record
            .and_then(|record| toehold::JobRecord::decode(record).ok())
            .is_some_and(|record| gives_up(record.state))
    }

    async fn change(&mut self, changes: Vec<Changed>, dones: Vec<Done>) -> Result<(), FleetError> {
        let (bytes, goes_on) = (changes.iter().map(Changed::bytes).sum(), !self.is_last(&changes));
        let written = self
            .write(|state| {
                if !state.is_due(bytes, goes_on) {
                    return Ok(What::Changed(changes.clone()));
                }
                let mut after = state.clone();
                for change in changes.clone() {
                    after.change(change)?;
                }
                Ok(What::Whole(after.to_whole()))
            })
            .await;
        if let (Ok(()), Found::Job(state)) = (&written, &self.found) {
            self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&state.saved);
        }
        for done in dones {
            done(match &written {
                Ok(()) => Ok(()),
                Err(FleetError::Full { what, reason }) => {
                    Err(FleetError::Full { what: what.clone(), reason: reason.clone() })
                }
                Err(FleetError::Fenced { job }) => Err(FleetError::Fenced { job: *job }),
                Err(other) => Err(FleetError::server(format!("writing job {}", self.job), other)),
            });
        }
        written
    }

    /// Writes an entry that is made from the state behind which it is written, as long as the job is this process's.
    async fn write(
        &mut self,
        make: impl Fn(&State) -> Result<What, toehold::FormatError>,
    ) -> Result<(), FleetError> {
        let job = self.job;
        loop {
            let Found::Job(state) = &self.found else { return Err(FleetError::Fenced { job }) };
            if !self.is_mine() {
                return Err(FleetError::Fenced { job });
            }
            let what = make(state).map_err(|source| FleetError::Format { job, source })?;
            let (is_whole, last_part) = (matches!(what, What::Whole(_)), state.last_part);
            let entry = Entry::new(self.epoch, what);
            match self.link.write(job, &entry, &mut self.found).await? {
                Wrote::Done => {
                    if is_whole && last_part > 0 {
                        parts::remove(&self.link, job, last_part.saturating_add(1)).await;
                    }
                    return Ok(());
                }
                Wrote::Behind => self.heed()?,
            }
        }
    }

    /// Looks whether others have written.
    async fn look(&mut self) -> Result<(), FleetError> {
        match self.link.read_on(self.job, &mut self.found).await {
            Ok(true) => self.heed(),
            Ok(false) => Ok(()),
            // It is looked at again.
            Err(FleetError::Server { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Others have written. Where it was no claim, it was somebody who wants something.
    fn heed(&mut self) -> Result<(), FleetError> {
        match &self.found {
            Found::Job(state) if state.epoch == self.epoch && state.is_owned_by(self.worker) => {
                if let Some(wanted) = state.wanted {
                    // Whoever listened may have gone; then nobody runs the job here.
                    let _ = self.tell.send(Told::Wanted(self.job, wanted));
                }
                Ok(())
            }
            _ => Err(FleetError::Fenced { job: self.job }),
        }
    }

    fn is_others(&self) -> bool {
        match &self.found {
            Found::Job(state) => state.epoch != self.epoch || state.owner.is_some(),
            Found::Nothing { .. } => true,
        }
    }

    fn wants_worker(&self) -> bool {
        matches!(&self.found, Found::Job(state) if !gives_up(state.record.state))
    }

    fn is_mine(&self) -> bool {
        matches!(&self.found, Found::Job(state) if state.epoch == self.epoch && state.is_owned_by(self.worker))
    }
}
