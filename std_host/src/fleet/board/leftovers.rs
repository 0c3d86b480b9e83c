//! What must go from the board: copies of the fleet's jobs that are not held here.

use std::time::{Duration, Instant};

use toehold::{Uuid, console::Command};

use super::{
    super::state::Found,
    keeper::{Keeper, after},
    look::is_over,
};
use crate::board::BoardError;

/// How often it is looked at what must go.
const LOOK: Duration = Duration::from_millis(100);

/// A job that must go from the board.
pub(super) struct Leftover {
    /// The board was told to end it.
    cancelled: bool,
    look_at: Instant,
}

impl Keeper {
    /// Notes that a job must go from the board.
    pub(super) fn remove(&mut self, job: Uuid) {
        self.leftovers.entry(job).or_insert_with(|| Leftover { cancelled: false, look_at: Instant::now() });
    }

    pub(super) fn is_leftover(&self, job: Uuid) -> bool {
        self.leftovers.contains_key(&job)
    }

    /// Removes what must go, as far as it can be removed by now: a board removes only what is over.
    pub(super) fn clear(&mut self) -> Result<(), BoardError> {
        let now = Instant::now();
        let due = self.leftovers.iter().filter(|(_, leftover)| leftover.look_at <= now);
        let due: Vec<Uuid> = due.map(|(job, _)| *job).collect();
        for job in due {
            let name = job.to_string();
            let gone = match self.status(&name)? {
                None => true,
                Some(status) if is_over(&status) => match self.board()?.remove(&name) {
                    Ok(()) => true,
                    Err(error) if error.is("unknown_job") => true,
                    Err(error) if error.is_refusal() => {
                        log::warn!("job {job} can't be removed from the board yet: {error}");
                        false
                    }
                    Err(error) => return Err(error),
                },
                Some(_) => {
                    let asked = self.leftovers.get(&job).is_some_and(|leftover| leftover.cancelled);
                    if !asked {
                        self.steer(&Command::Cancel(&name))?;
                    }
                    false
                }
            };
            if gone {
                self.leftovers.remove(&job);
            } else if let Some(leftover) = self.leftovers.get_mut(&job) {
                (leftover.cancelled, leftover.look_at) = (true, after(LOOK));
            }
        }
        Ok(())
    }

    /// Looks for copies of the fleet's jobs that are not held here. What the fleet knows nothing of is the board's own.
    pub(super) fn sweep(&mut self) -> Result<(), BoardError> {
        let listed = self.board()?.ask(&Command::List)?;
        let jobs = listed.items.iter().filter(|item| item.kind() == "job");
        for job in jobs.filter_map(|item| Uuid::parse_str(item.get("id")?).ok()) {
            if self.kept.contains_key(&job) {
                continue;
            }
            // What a server has that is behind the others may be what the job was before `send` carried it here.
            match self.runtime.block_on(self.link.read_newest(job)) {
                Ok(Found::Nothing { .. }) => {}
                Ok(Found::Job(_)) => {
                    log::warn!("the board's copy of job {job} is removed: the fleet has what counts of it");
                    self.remove(job);
                }
                Err(error) => {
                    log::warn!("{error}");
                    return Ok(());
                }
            }
        }
        self.swept = true;
        Ok(())
    }
}
