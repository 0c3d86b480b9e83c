use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use toehold::{Priority, UnixMillis, Uuid};

/// The jobs that wait for their turn, and how many run: of each extension at most its `concurrent_jobs`, of all together
/// at most the manager's limit. Those of a higher priority go first, then the older ones.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    running: usize,
    extensions: HashMap<String, Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: BTreeSet<Place>,
    running: usize,
    /// Jobs that may run at a time; as many as want until it is known.
    limit: Option<usize>,
}

/// A job's place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Reverse<Priority>,
    created_at: UnixMillis,
    id: Uuid,
}

impl Place {
    pub(super) fn new(id: Uuid, priority: Priority, created_at: UnixMillis) -> Self {
        Self { priority: Reverse(priority), created_at, id }
    }
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, running: 0, extensions: HashMap::new() }
    }

    /// Sets how many jobs of an extension may run at a time.
    pub(super) fn limit(&mut self, extension: &str, limit: usize) {
        self.extensions.entry(extension.to_owned()).or_default().limit = Some(limit);
    }

    pub(super) fn push(&mut self, extension: &str, place: Place) {
        self.extensions.entry(extension.to_owned()).or_default().jobs.insert(place);
    }

    /// Takes a job off the queue. Says whether it was there.
    pub(super) fn remove(&mut self, extension: &str, place: Place) -> bool {
        self.extensions.get_mut(extension).is_some_and(|waiting| waiting.jobs.remove(&place))
    }

    /// The next job that may run, which counts as running from now on.
    pub(super) fn pop(&mut self) -> Option<Uuid> {
        if self.running >= self.limit {
            return None;
        }
        let next = self.extensions.values_mut().filter(|waiting| waiting.has_room());
        let next = next.min_by_key(|waiting| waiting.jobs.first().copied())?;
        let place = next.jobs.pop_first()?;
        next.running += 1;
        self.running += 1;
        Some(place.id)
    }

    /// A job of this extension runs no longer.
    pub(super) fn stopped(&mut self, extension: &str) {
        if let Some(waiting) = self.extensions.get_mut(extension) {
            waiting.running = waiting.running.saturating_sub(1);
        }
        self.running = self.running.saturating_sub(1);
    }
}

impl Waiting {
    fn has_room(&self) -> bool {
        !self.jobs.is_empty() && self.limit.is_none_or(|limit| self.running < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u128, priority: Priority) -> Place {
        Place::new(Uuid::from_u128(id), priority, id as u64)
    }

    fn order(queue: &mut Queue) -> Vec<u128> {
        std::iter::from_fn(|| queue.pop()).map(|id| id.as_u128()).collect()
    }

    #[test]
    fn higher_priorities_go_first_then_older_jobs() {
        let mut queue = Queue::new(usize::MAX);
        for (id, priority) in
            [(1, Priority::Low), (2, Priority::Normal), (3, Priority::High), (4, Priority::Normal)]
        {
            queue.push(if id % 2 == 0 { "even" } else { "odd" }, place(id, priority));
        }
        assert_eq!(order(&mut queue), [3, 2, 4, 1]);
    }

    #[test]
    fn no_more_run_than_may() {
        let mut queue = Queue::new(3);
        queue.limit("one", 1);
        for id in 1..=3 {
            queue.push("one", place(id, Priority::High));
            queue.push("many", place(10 + id, Priority::Low));
        }
        assert_eq!(order(&mut queue), [1, 11, 12]);
        queue.stopped("many");
        assert_eq!(order(&mut queue), [13]);
        queue.stopped("one");
        assert_eq!(order(&mut queue), [2]);
        assert!(queue.remove("one", place(3, Priority::High)));
        assert!(!queue.remove("one", place(3, Priority::High)));
        queue.stopped("one");
        assert_eq!(order(&mut queue), [0_u128; 0]);
    }
}
