//! Where events are told to those who listen, and counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::broadcast;

use super::{EventKind, JobEvent};

/// Events that may wait for one who listens, before it has to read them from the store.
const WAITING: usize = 4_096;

pub(super) struct Hub {
    sender: broadcast::Sender<Arc<JobEvent>>,
    counts: [AtomicU64; EventKind::NAMES.len()],
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            sender: broadcast::channel(WAITING).0,
            counts: [const { AtomicU64::new(0) }; EventKind::NAMES.len()],
        }
    }

    pub(super) fn tell(&self, event: JobEvent) {
        let name = event.kind.name();
        if let Some(index) = EventKind::NAMES.iter().position(|known| *known == name)
            && let Some(count) = self.counts.get(index)
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody may be listening.
        let _ = self.sender.send(Arc::new(event));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<JobEvent>> {
        self.sender.subscribe()
    }

    /// How many events of each kind were told so far, by the kind's name.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EventKind::NAMES.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use toehold::Uuid;

    use super::*;

    #[test]
    fn events_are_counted_by_their_kind() {
        let hub = Hub::new();
        let event = |kind| JobEvent { job_id: Uuid::nil(), seq: 1, at: 0, kind };
        hub.tell(event(EventKind::Removed));
        hub.tell(event(EventKind::Queued));
        hub.tell(event(EventKind::Queued));
        let told: Vec<_> = hub.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [("queued", 2), ("removed", 1)]);
    }
}
