//! What happens to a job, as it happens: streams of server-sent events.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream::poll_fn};
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use toehold::Uuid;
use tokio::sync::mpsc::{self, Sender};

use super::{
    Api, ApiError,
    history::{self, History},
    source::Source,
};

/// Lines that may wait for one who reads slowly.
const WAITING: usize = 8;
/// How often the store is asked for new log lines: it has them about 50 ms after they were logged.
const POLL: Duration = Duration::from_millis(100);
/// Lines that are read at a time. A client that does not read holds so many, of up to some KiB each.
const PAGE: usize = 32;

/// Where the lines of a stream go. Says whether anybody is there.
#[derive(Clone)]
pub(super) struct Lines(Sender<Event>);

impl Lines {
    async fn send(&self, number: Option<u64>, line: &Value) -> bool {
        // Without a name: for a browser, those are messages.
        let event = Event::default().data(line.to_string());
        let event = match number {
            Some(number) => event.id(number.to_string()),
            None => event,
        };
        self.send_event(event).await
    }

    pub(super) async fn send_event(&self, event: Event) -> bool {
        self.0.send(event).await.is_ok()
    }
}

/// Streams a job's history from behind `after` on, until the job is over and all is told.
pub(super) async fn job(
    api: Api,
    id: Uuid,
    history: History,
    after: u64,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let live = match (&api.source, history) {
        (Source::Manager(manager), History::Events) => Some(manager.job(id)?.events(after).await?),
        _ => None,
    };
    let source = api.clone();
    Ok(stream(api, move |lines| async move {
        let Some(mut events) = live else { return poll(source, id, history, after, lines).await };
        while let Some(event) = events.next().await? {
            if !lines.send(Some(event.seq), &json!(event)).await {
                break;
            }
        }
        Ok(())
    }))
}

/// Reads the store again and again, since nobody tells when there is something new.
async fn poll(api: Api, id: Uuid, history: History, mut after: u64, lines: Lines) -> Result<(), ApiError> {
    loop {
        // First this, then the lines: so that what it logged last is among them.
        let is_over = history::is_over(&api, id).await?;
        if is_over {
            history::flush(&api).await?;
        }
        loop {
            let page = history::page(&api, id, history, after, PAGE).await?;
            let count = page.lines.len();
            for (number, line) in page.lines {
                after = number;
                if !lines.send(Some(number), &line).await {
                    return Ok(());
                }
            }
            if count < PAGE {
                break;
            }
        }
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A stream of what `produce` sends, which ends with it, with the API, or once nobody reads it.
pub(super) fn stream<F>(
    api: Api,
    produce: impl FnOnce(Lines) -> F,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let produced = produce(Lines(sender.clone()));
    tokio::spawn(async move {
        let _counted = Counted::new(&api.metrics.streams);
        let last = tokio::select! {
            produced = produced => match produced {
                Ok(()) => Event::default().event("end").data("{}"),
                Err(error) => Event::default().event("error").data(error.to_json().to_string()),
            },
            () = api.closed() => return,
            () = sender.closed() => return,
        };
        // Who read it may have gone.
        let _ = sender.send(last).await;
    });
    let events = poll_fn(move |context| receiver.poll_recv(context).map(|event| event.map(Ok)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Counts a stream for as long as this is there.
struct Counted(Gauge);

impl Counted {
    fn new(streams: &Gauge) -> Self {
        streams.inc();
        Self(streams.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
