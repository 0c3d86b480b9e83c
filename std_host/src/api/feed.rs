//! What happens to all jobs, numbered, so that a client whose connection broke can go on where it was.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, Sse},
};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};

use utoipa::IntoParams;

use super::{
    Api, ApiError,
    error::ApiProblem,
    follow,
    request::{Questions, is_on},
};
use crate::manager::JobEvent;

/// Events that are kept for those who come back, and bytes of them.
const KEPT: usize = 8_192;
const KEPT_BYTES: usize = 8 << 20;
/// Events that are taken at a time for one client.
const TAKEN: usize = 64;

/// The newest events of all jobs. Each is written as JSON once, for all who read it.
#[derive(Debug)]
pub(super) struct Feed {
    /// Tells the numbers of this process from those of another one.
    epoch: u32,
    kept: Mutex<Kept>,
    /// The number of the newest event; closed once there will be no more.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    /// The number of the first line.
    first: u64,
    lines: VecDeque<Line>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Line {
    json: Arc<str>,
    is_progress: bool,
}

/// What there is for somebody who has read up to some number.
#[derive(Debug)]
enum Next {
    Lines(Vec<Line>),
    /// What came next is kept no longer.
    Gone,
}

impl Feed {
    /// A feed of what comes from now on. Must be called within a tokio runtime.
    pub(super) fn start(events: Receiver<Arc<JobEvent>>) -> Arc<Self> {
        let mut epoch = [0; 4];
        // Where there is no randomness, a client may once go on at a wrong place: it sees a gap, no more.
        let _ = getrandom::fill(&mut epoch);
        let kept = Kept { first: 1, lines: VecDeque::new(), bytes: 0 };
        let feed = Arc::new(Self {
            epoch: u32::from_ne_bytes(epoch),
            kept: Mutex::new(kept),
            newest: watch::Sender::new(0),
        });
        tokio::spawn(feed.clone().fill(events));
        feed
    }

    async fn fill(self: Arc<Self>, mut events: Receiver<Arc<JobEvent>>) {
        loop {
            match events.recv().await {
                Ok(event) => self.push(&event),
                Err(RecvError::Lagged(lost)) => {
                    log::warn!("{lost} events came faster than they could be told");
                    self.skip();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn push(&self, event: &JobEvent) {
        let is_progress = matches!(event.kind, crate::manager::EventKind::Progress { .. });
        let json: Arc<str> = serde_json::to_string(event).unwrap_or_default().into();
        let mut kept = self.lock();
        kept.bytes += json.len();
        kept.lines.push_back(Line { json, is_progress });
        while kept.lines.len() > KEPT || kept.bytes > KEPT_BYTES {
            let Some(line) = kept.lines.pop_front() else { break };
            kept.bytes -= line.json.len();
            kept.first += 1;
        }
        self.newest.send_replace(kept.newest());
    }

    /// Leaves a gap, so that everybody who reads notices that something is missing.
    fn skip(&self) {
        let mut kept = self.lock();
        *kept = Kept { first: kept.newest() + 2, lines: VecDeque::new(), bytes: 0 };
        self.newest.send_replace(kept.newest());
    }

    /// At most [`TAKEN`] lines from behind this number on.
    fn after(&self, number: u64) -> Next {
        let kept = self.lock();
        if number > kept.newest() || number + 1 < kept.first {
            return Next::Gone;
        }
        let start = usize::try_from(number + 1 - kept.first).unwrap_or(usize::MAX);
        Next::Lines(kept.lines.iter().skip(start).take(TAKEN).cloned().collect())
    }

    fn newest(&self) -> u64 {
        self.lock().newest()
    }

    /// The number in an id that this feed gave; none of one that another one did.
    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        (u32::from_str_radix(epoch, 16).ok()? == self.epoch).then(|| number.parse().ok())?
    }

    fn id(&self, number: u64) -> String {
        format!("{:08x}-{number}", self.epoch)
    }

    // A thread that panicked while it held the lock left whole lines behind.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn newest(&self) -> u64 {
        self.first - 1 + self.lines.len() as u64
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `0` leaves out how far jobs are.
    progress: Option<String>,
}

/// Streams what happens to all jobs, until the host stops.
#[utoipa::path(
    get,
    path = "",
    tag = "events",
    summary = "What happens to all jobs from now on, as server-sent events",
    params(Wanted, ("Last-Event-ID" = Option<String>, Header, description = "Goes on behind this event")),
    responses((status = 200, description = "A stream of JobEvent", body = JobEvent, content_type = "text/event-stream"), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn all(
    State(api): State<Api>,
    Questions(query): Questions<Wanted>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let with_progress = query.progress.is_none() || is_on(query.progress.as_deref(), "progress")?;
    let feed = api.feed()?;
    let last = headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| feed.number(id)));
    // Before the answer begins: whoever has it misses nothing from then on.
    let newest = feed.newest();
    Ok(follow::stream(api, move |lines| async move {
        let mut changed = feed.newest.subscribe();
        let reset = |number, lost: u64| {
            let data = format!("{{\"lost\":{lost}}}");
            Event::default().event("reset").id(feed.id(number)).data(data)
        };
        let mut at = match last {
            None => {
                lines.send_event(Event::default().event("start").id(feed.id(newest)).data("{}")).await;
                newest
            }
            // What it saw was told by another process.
            Some(None) => {
                lines.send_event(reset(newest, 0)).await;
                newest
            }
            Some(Some(number)) => number,
        };
        loop {
            changed.mark_unchanged();
            match feed.after(at) {
                Next::Gone => {
                    let newest = feed.newest();
                    let lost = newest.saturating_sub(at);
                    at = newest;
                    if !lines.send_event(reset(at, lost)).await {
                        return Ok(());
                    }
                }
                Next::Lines(found) if found.is_empty() => {
                    if changed.changed().await.is_err() {
                        return Ok(());
                    }
                }
                Next::Lines(found) => {
                    for line in found {
                        at += 1;
                        let is_told = with_progress || !line.is_progress;
                        let event = || Event::default().id(feed.id(at)).data(&*line.json);
                        if is_told && !lines.send_event(event()).await {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use toehold::Uuid;

    use super::*;
    use crate::manager::EventKind;

    fn feed() -> Feed {
        let kept = Kept { first: 1, lines: VecDeque::new(), bytes: 0 };
        Feed { epoch: 7, kept: Mutex::new(kept), newest: watch::Sender::new(0) }
    }

    fn event(seq: u64) -> JobEvent {
        JobEvent { job_id: Uuid::nil(), seq, at: 0, kind: EventKind::Queued }
    }

    fn count(next: Next) -> Option<usize> {
        match next {
            Next::Lines(lines) => Some(lines.len()),
            Next::Gone => None,
        }
    }

    #[test]
    fn who_comes_back_in_time_goes_on_where_it_was() {
        let feed = feed();
        assert_eq!(count(feed.after(0)), Some(0));
        (1..=3).for_each(|seq| feed.push(&event(seq)));
        let Next::Lines(lines) = feed.after(1) else { panic!() };
        let numbers: Vec<JobEvent> =
            lines.iter().map(|line| serde_json::from_str(&line.json).unwrap()).collect();
        assert_eq!(numbers, [event(2), event(3)]);
        assert_eq!(count(feed.after(3)), Some(0));
        assert_eq!(count(feed.after(4)), None, "nobody has read what was never told");
        assert_eq!(count(feed.after(u64::MAX)), None, "nor this, whatever is added to it");
        assert_eq!(feed.number(&feed.id(u64::MAX)), Some(u64::MAX));
        assert_eq!(feed.number("00000007-18446744073709551616"), None);
    }

    #[test]
    fn who_comes_too_late_is_told_so() {
        let feed = feed();
        (0..=KEPT as u64).for_each(|seq| feed.push(&event(seq)));
        assert_eq!(count(feed.after(0)), None);
        assert_eq!(count(feed.after(1)), Some(TAKEN));
        let newest = feed.newest();
        feed.skip();
        assert_eq!(count(feed.after(newest)), None, "there is a gap behind it");
        assert_eq!(count(feed.after(feed.newest())), Some(0));
        feed.push(&event(9));
        assert_eq!(count(feed.after(feed.newest() - 1)), Some(1));
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_too() {
        let feed = feed();
        let text = "x".repeat(1 << 20);
        let warning = EventKind::Warning { text };
        (0..20).for_each(|seq| feed.push(&JobEvent { kind: warning.clone(), ..event(seq) }));
        assert!(feed.lock().bytes <= KEPT_BYTES);
        let held: usize = feed.lock().lines.iter().map(|line| line.json.len()).sum();
        assert_eq!(held, feed.lock().bytes);
    }

    #[test]
    fn the_numbers_of_another_process_are_not_these() {
        let feed = feed();
        assert_eq!(feed.number(&feed.id(5)), Some(5));
        for foreign in ["", "5", "00000008-5", "00000007-", "00000007-x", "00000007--5"] {
            assert_eq!(feed.number(foreign), None, "{foreign:?}");
        }
    }
}
