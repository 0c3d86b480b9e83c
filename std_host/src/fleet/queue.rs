//! The queue: where workers learn which jobs want one.
//!
//! A message of the queue decides nothing: the job's log does. It is there before its job wants a worker, and it is
//! acknowledged only by one who has seen in the log that it does not any more. So a job that wants a worker always has a
//! message, which comes again when the worker that has it shows no sign of life.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{Consumer, pull},
};
use futures_util::StreamExt;
use toehold::{Priority, Uuid};

use super::{
    FleetError,
    connect::Link,
    log::{error_code, is_full, shared},
};

/// Times that a queue's message is looked at again where its job is not there, or is paused: whoever has put it into the queue
/// writes the job next.
const LOOKS: i64 = 8;
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// Times that a message is sent again where nobody knows whether it was taken.
const ATTEMPTS: u32 = 5;

/// The queues of all priorities, the highest first.
#[derive(Debug)]
pub(super) struct Queues([Consumer<pull::Config>; 3]);

/// A message of the queue, until it is acknowledged or comes again.
pub(super) struct Ticket {
    pub(super) job: Option<Uuid>,
    deliveries: i64,
    message: Message,
}

impl Link {
    /// Has a worker look for a job, once one is free. The message is there when this returns.
    pub(super) async fn enqueue(&self, job: Uuid, priority: Priority) -> Result<(), FleetError> {
        let what = || format!("putting job {job} into the queue");
        let mut wait = Duration::from_millis(50);
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let subject = self.names.queue(priority);
            let sent = async { self.jetstream.publish(subject.clone(), job.to_string().into()).await?.await };
            match self.unless_refused(what, &subject, sent).await? {
                Ok(_) => return Ok(()),
                Err(error) if error_code(&error).is_some_and(is_full) => {
                    return Err(FleetError::Full { what: what(), reason: error.to_string() });
                }
                // One message more does no harm.
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
        Err(FleetError::server(what(), last))
    }

    /// The queues, to take jobs from.
    pub(super) async fn queues(&self) -> Result<Queues, FleetError> {
        Ok(Queues([
            self.consumer(Priority::High).await?,
            self.consumer(Priority::Normal).await?,
            self.consumer(Priority::Low).await?,
        ]))
    }

    async fn consumer(&self, priority: Priority) -> Result<Consumer<pull::Config>, FleetError> {
        let config = shared(priority.name(), self.names.queue(priority), self.lease);
        let made = self.queue.get_or_create_consumer(priority.name(), config).await;
        made.map_err(|error| FleetError::server(format!("the queue of {priority} jobs"), error))
    }
}

impl Queues {
    /// What waits, at most `count`, without waiting for more.
    pub(super) async fn take(&self, count: usize) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for consumer in &self.0 {
            let left = count.saturating_sub(tickets.len());
            if left == 0 {
                break;
            }
            let mut messages = match consumer.fetch().max_messages(left).messages().await {
                Ok(messages) => messages,
                Err(error) => {
                    log::debug!("the queue does not answer: {error}");
                    continue;
                }
            };
            while let Some(message) = messages.next().await {
                match message {
                    Ok(message) => tickets.push(Ticket::new(message)),
                    Err(error) => log::debug!("the queue does not answer: {error}"),
                }
            }
        }
        tickets
    }
}

impl Ticket {
    fn new(message: Message) -> Self {
        let job = std::str::from_utf8(&message.payload).ok().and_then(|text| Uuid::parse_str(text).ok());
        let deliveries = message.info().map_or(1, |info| info.delivered);
        Self { job, deliveries, message }
    }

    /// Its job wants no worker, as its log says: the message goes.
    pub(super) async fn done(&self) {
        self.answer(AckKind::Ack).await;
    }

    /// Its job is not there, or is paused. Whoever has put it into the queue may be about to write that it wants a worker.
    pub(super) async fn unwanted(&self) {
        if self.deliveries > LOOKS {
            self.done().await;
        } else {
            self.later(FIRST_LOOK.saturating_mul(self.doublings())).await;
        }
    }

    /// Twice as much with each time that the message was delivered.
    fn doublings(&self) -> u32 {
        let doublings = u32::try_from(self.deliveries.saturating_sub(1)).unwrap_or(0);
        1 << doublings.min(10)
    }

    /// Its job is for other workers. The message comes again soon at first, so that one of those has it that are free now, and
    /// later each time, `longest` at most.
    pub(super) async fn declined(&self, longest: Duration) {
        self.later(FIRST_LOOK.saturating_mul(self.doublings()).min(longest)).await;
    }

    /// The message comes again after this time.
    pub(super) async fn later(&self, wait: Duration) {
        self.answer(AckKind::Nak(Some(wait))).await;
    }

    /// Its worker is alive: the message does not come again for a while.
    pub(super) async fn hold(&self) {
        self.answer(AckKind::Progress).await;
    }

    async fn answer(&self, kind: AckKind) {
        // What is not answered comes again.
        if let Err(error) = self.message.ack_with(kind).await {
            log::debug!("the queue does not answer: {error}");
        }
    }
}
