//! What waits to be written.
//!
//! It has no bound for tasks: a job waits for its change before it asks for the next, so there is at most one for each
//! job. Lines of history have one, since nobody waits for them.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    history::{Line, Lost},
    task::Task,
};

/// How long lines of history wait for a task to go with.
const LINES_WAIT: Duration = Duration::from_millis(50);
/// Bytes of lines that wait at most; more are counted and dropped.
const LINES_BYTES: usize = 16 << 20;
/// Bytes and entries of a group, so that the first of it does not wait for long, and the write-ahead log stays small.
const GROUP_BYTES: usize = 8 << 20;
const GROUP_ENTRIES: usize = 4_096;

/// Something that waits to be written.
pub(super) enum Entry {
    Task(Box<dyn Task>),
    Line(Line),
}

/// What goes into one transaction.
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    /// Lines that were dropped since the last group.
    pub(super) lost: Lost,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    tasks: usize,
    /// The thread that writes waits for so many tasks, not just for one; 0 if it does not.
    wanted: usize,
    /// Bytes of all entries, about, and of the lines among them.
    bytes: usize,
    line_bytes: usize,
    /// When the first line came that waits.
    since: Option<Instant>,
    lost: Lost,
    closed: bool,
}

impl Queue {
    /// Appends a task; gives it back if the queue is closed.
    pub(super) fn push(&self, task: Box<dyn Task>) -> Result<(), Box<dyn Task>> {
        let mut state = self.lock();
        if state.closed {
            return Err(task);
        }
        state.bytes = state.bytes.saturating_add(task.bytes());
        state.entries.push_back(Entry::Task(task));
        state.tasks += 1;
        let is_enough = state.tasks == state.wanted.max(1);
        drop(state);
        if is_enough {
            self.more.notify_one();
        }
        Ok(())
    }

    /// Appends a line, or counts it as lost.
    pub(super) fn push_line(&self, line: Line) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.line_bytes.saturating_add(line.bytes()) > LINES_BYTES {
            state.lost.count(&line);
            return;
        }
        state.line_bytes += line.bytes();
        state.bytes = state.bytes.saturating_add(line.bytes());
        state.entries.push_back(Entry::Line(line));
        if state.since.is_none() {
            state.since = Some(Instant::now());
            self.more.notify_one();
        }
    }

    /// Waits for a group; `None` once the queue is closed and empty. Where there are tasks, but fewer than `wanted`, it
    /// waits for the others too, at most for `patience`.
    pub(super) fn take(&self, wanted: usize, patience: Duration) -> Option<Group> {
        let mut state = self.lock();
        loop {
            if state.tasks > 0 && state.tasks < wanted && !state.closed {
                state.wanted = wanted;
                let few = |state: &mut State| state.tasks < wanted && !state.closed;
                let waited = self.more.wait_timeout_while(state, patience, few);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                state.wanted = 0;
            }
            if state.tasks > 0 || (state.closed && !state.entries.is_empty()) {
                return Some(state.take());
            }
            if state.closed {
                return None;
            }
            let Some(since) = state.since else {
                state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = LINES_WAIT.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Some(state.take());
            }
            let (again, _) = self.more.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = again;
        }
    }

    /// Tasks that wait.
    pub(super) fn tasks(&self) -> usize {
        self.lock().tasks
    }

    /// Lets nothing more in. What waits is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    /// Lets nothing more in, and gives what waits.
    pub(super) fn abandon(&self) -> Vec<Entry> {
        let mut state = self.lock();
        state.closed = true;
        std::mem::take(&mut state.entries).into()
    }

    /// Nothing that could panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Group {
        let lost = std::mem::take(&mut self.lost);
        if self.entries.len() <= GROUP_ENTRIES && self.bytes <= GROUP_BYTES {
            let room = VecDeque::with_capacity(self.entries.len());
            let entries = std::mem::replace(&mut self.entries, room).into();
            (self.tasks, self.bytes, self.line_bytes, self.since) = (0, 0, 0, None);
            return Group { entries, lost };
        }
        let mut bytes = 0_usize;
        let mut entries = Vec::new();
        while entries.len() < GROUP_ENTRIES && bytes < GROUP_BYTES {
            let Some(entry) = self.entries.pop_front() else { break };
            let size = match &entry {
                Entry::Task(task) => {
                    self.tasks = self.tasks.saturating_sub(1);
                    task.bytes()
                }
                Entry::Line(line) => {
                    self.line_bytes = self.line_bytes.saturating_sub(line.bytes());
                    line.bytes()
                }
            };
            bytes = bytes.saturating_add(size);
            entries.push(entry);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.entries.is_empty() {
            self.since = None;
        }
        Group { entries, lost }
    }
}
