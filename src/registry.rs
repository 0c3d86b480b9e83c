use alloc::{collections::BTreeMap, string::String, sync::Arc, vec::Vec};

use heapless::HistoryBuf;
use spin::Mutex;
use uuid::Uuid;

use crate::{
    Limits,
    control::Control,
    report::{LogLine, Progress, Report},
};

/// Log lines that stay with a running job, the last ones.
pub const LOG_TAIL_LINES: usize = 16;

/// What a running job shares with those who look at it or steer it, on whichever thread.
#[derive(Debug)]
pub struct JobContext {
    id: Uuid,
    extension: String,
    job: String,
    control: Control,
    shown: Mutex<Shown>,
}

#[derive(Debug, Default)]
struct Shown {
    report: Report,
    fuel_used: u64,
    log_tail: HistoryBuf<LogLine, LOG_TAIL_LINES>,
    follower: Option<LogFollower>,
}

/// Log lines for a shell that takes them from time to time.
#[derive(Debug, Default)]
struct LogFollower {
    lines: Vec<LogLine>,
    bytes: usize,
    limit: usize,
    dropped: u64,
}

impl LogFollower {
    fn add(&mut self, line: LogLine) {
        // An empty line takes memory, too.
        let bytes = line.text.len().saturating_add(size_of::<LogLine>());
        if self.bytes.saturating_add(bytes) > self.limit {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.bytes += bytes;
        self.lines.push(line);
    }
}

impl JobContext {
    /// The job's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The id of the extension that the job belongs to.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// The job's full name, `EXTENSION_ID:NAME`.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.job
    }

    /// Where one asks the job to stop. Lock-free, so fit for interrupt service routines.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// A copy of what the job has told so far. Takes a spin lock: not for interrupt service routines.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shown.lock().report.clone()
    }

    /// How far the job has come, if it ever said.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.shown.lock().report.progress.clone()
    }

    /// Fuel used up to the job's last slice, its `start` function, `plugin_init` and `wasm_alloc` included.
    #[must_use]
    pub fn fuel_used(&self) -> u64 {
        self.shown.lock().fuel_used
    }

    /// The last lines that the guest logged, oldest first.
    #[must_use]
    pub fn log_tail(&self) -> Vec<LogLine> {
        self.shown.lock().log_tail.oldest_ordered().cloned().collect()
    }

    /// From now on, keeps all lines that the guest logs for [`JobContext::take_log`], up to so many bytes of memory.
    pub fn follow_log(&self, bytes: usize) {
        self.shown.lock().follower.get_or_insert_default().limit = bytes;
    }

    /// The lines that the guest has logged since this was called last, oldest first, and how many more there were than
    /// were kept. None unless [`JobContext::follow_log`] was called. A replay logs nothing again.
    #[must_use]
    pub fn take_log(&self) -> (Vec<LogLine>, u64) {
        let mut shown = self.shown.lock();
        shown.follower.as_mut().map_or_else(Default::default, |follower| {
            let empty = LogFollower { limit: follower.limit, ..LogFollower::default() };
            let taken = core::mem::replace(follower, empty);
            (taken.lines, taken.dropped)
        })
    }

    pub(crate) fn with_report<R>(&self, change: impl FnOnce(&mut Report) -> R) -> R {
        change(&mut self.shown.lock().report)
    }

    pub(crate) fn set_fuel_used(&self, fuel_used: u64) {
        self.shown.lock().fuel_used = fuel_used;
    }

    /// Notes a log line. Says whether it may be logged, or there were too many; the last ones are kept in any case.
    pub(crate) fn add_log_line(&self, line: LogLine, limits: &Limits, replaying: bool) -> bool {
        let mut shown = self.shown.lock();
        let logged = shown.report.count_log_line(limits.log_lines);
        if logged
            && !replaying
            && let Some(follower) = &mut shown.follower
        {
            follower.add(line.clone());
        }
        shown.log_tail.write(line);
        logged
    }
}

/// The running jobs of a host, by id. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<BTreeMap<Uuid, Arc<JobContext>>>>);

impl Registry {
    /// The context of the running job with this id.
    #[must_use]
    pub fn get(&self, id: Uuid) -> Option<Arc<JobContext>> {
        self.0.lock().get(&id).cloned()
    }

    /// All running jobs, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<JobContext>> {
        self.0.lock().values().cloned().collect()
    }

    /// Enters a job; `None` if one with this id runs already.
    pub(crate) fn enter(&self, id: Uuid, extension: &str, job: String) -> Option<Entry> {
        let mut jobs = self.0.lock();
        if jobs.contains_key(&id) {
            return None;
        }
        let context = Arc::new(JobContext {
            id,
            extension: String::from(extension),
            job,
            control: Control::default(),
            shown: Mutex::default(),
        });
        jobs.insert(id, context.clone());
        Some(Entry { registry: self.clone(), context })
    }
}

/// A job's place in the registry, which it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    registry: Registry,
    context: Arc<JobContext>,
}

impl Entry {
    pub(crate) fn context(&self) -> &Arc<JobContext> {
        &self.context
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.0.lock().remove(&self.context.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_in_it_once_and_only_while_its_job_lives() {
        let registry = Registry::default();
        let id = Uuid::from_u128(7);
        let entry = registry.enter(id, "x", String::from("x:y"));
        assert!(entry.is_some());
        assert!(registry.enter(id, "x", String::from("x:z")).is_none());
        assert_eq!(registry.list().len(), 1);
        drop(entry);
        assert!(registry.get(id).is_none());
    }
}
