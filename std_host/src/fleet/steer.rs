//! What is asked of jobs, whoever has them.

use toehold::{Interrupt, JobState, Uuid};

use super::{
    FleetError,
    connect::Link,
    entry::{Changed, Entry, What},
    log::Wrote,
    state::{Found, State},
};
use crate::manager::unix_now;

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steered {
    /// It is as was asked for, or will be: that is durable.
    Heeded,
    /// The job is over.
    Over(JobState),
}

impl Link {
    /// Asks a job to pause, to be cancelled, or, by [`Interrupt::None`], to go on. Once this returns, it holds, whoever has the
    /// job and whoever takes it next.
    pub(super) async fn steer(&self, job: Uuid, wanted: Interrupt) -> Result<Steered, FleetError> {
        loop {
            let mut found = self.read_newest(job).await?;
            let Found::Job(state) = &found else { return Err(FleetError::Unknown { job }) };
            if state.record.state.is_final() {
                return Ok(Steered::Over(state.record.state));
            }
            let owner = state.owner;
            let what = match owner {
                // Nothing takes a cancel back.
                Some(_) if state.wants() == wanted || state.wants() == Interrupt::Cancel => {
                    return Ok(Steered::Heeded);
                }
                Some(_) => What::Wanted(wanted.code()),
                None => match self.steer_unowned(job, state, wanted).await? {
                    Some(changed) => What::Changed(vec![changed]),
                    None => return Ok(Steered::Heeded),
                },
            };
            let entry = Entry::new(state.epoch, what);
            if self.write(job, &entry, &mut found).await? != Wrote::Done {
                continue;
            }
            if let Some(owner) = owner {
                // Only so that it hears of it soon: it looks by itself from time to time, and with whatever it writes.
                let signal =
                    self.client.publish(self.names.signal(owner.worker), job.to_string().into()).await;
                if let Err(error) = signal {
                    log::debug!("job {job}: its worker was not told: {error}");
                }
            }
            return Ok(Steered::Heeded);
        }
    }

    /// What changes about a job that nobody has, if anything.
    async fn steer_unowned(
        &self,
        job: Uuid,
        state: &State,
        wanted: Interrupt,
    ) -> Result<Option<Changed>, FleetError> {
        let mut record = state.record.clone();
        match (wanted, record.state) {
            (Interrupt::Pause, JobState::Paused) => return Ok(None),
            (Interrupt::Pause, _) => record.state = JobState::Paused,
            (Interrupt::Cancel, _) => {
                (record.state, record.ended_at) = (JobState::Cancelled, Some(unix_now()));
                record.reason = None;
            }
            (Interrupt::None, before) => {
                // First into the queue, so that it is never forgotten. A job that waits is put there once more.
                self.enqueue(job, record.priority).await?;
                if before != JobState::Paused {
                    return Ok(None);
                }
                record.state = JobState::Queued;
                (record.reason, record.retry_at) = (None, None);
            }
        }
        record.wanted = wanted;
        Ok(Some(Changed { record: Some(record.encode()), ..Changed::default() }))
    }
}
