//! What servers do not let this process's user do. They say so beside the stream of answers: whoever asked gets none, and would wait
//! until his patience is over.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Event, ServerError};
use tokio::sync::watch;

use super::FleetError;

/// Refusals that are remembered, and for how long those beyond them are.
const MOST: usize = 256;
const AGE: Duration = Duration::from_secs(60);

/// What was refused on one connection. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Refusals(Arc<watch::Sender<HashMap<Refused, Instant>>>);

/// What a user may not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refused {
    /// Whether it is to hear of the subject, else to send to it.
    hears: bool,
    subject: String,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(HashMap::new())))
    }

    /// Takes down what the connection tells, if it is a refusal.
    pub(super) fn heed(&self, event: &Event) {
        let Event::ServerError(ServerError::Other(text)) = event else { return };
        let Some(refused) = Refused::parse(text) else {
            log::warn!("the NATS server says: {text}");
            return;
        };
        let waited_for = self.0.receiver_count() > 0;
        self.0.send_modify(|known| {
            let now = Instant::now();
            if known.get(&refused).is_none_or(|before| now.duration_since(*before) > AGE) {
                // Who waits for an answer tells it himself.
                let level = if waited_for { log::Level::Info } else { log::Level::Warn };
                log::log!(level, "the NATS servers do not let this user {refused}");
            }
            if known.len() >= MOST {
                known.retain(|_, at| now.duration_since(*at) <= AGE);
            }
            known.insert(refused, now);
        });
    }

    /// Does something, but no longer than until servers refuse a subject on which it depends.
    ///
    /// # Errors
    /// [`FleetError::Refused`].
    pub(super) async fn unless_refused<T>(
        &self,
        what: impl FnOnce() -> String,
        depends_on: impl Fn(&str) -> bool,
        act: impl Future<Output = T>,
    ) -> Result<T, FleetError> {
        let start = Instant::now();
        let mut known = self.0.subscribe();
        let refused = async {
            let of = |known: &HashMap<Refused, Instant>| {
                let mut new =
                    known.iter().filter(|(refused, at)| **at >= start && depends_on(&refused.subject));
                new.next().map(|(refused, _)| refused.to_string())
            };
            match known.wait_for(|known| of(known).is_some()).await.map(|known| of(&known)) {
                Ok(refused) => refused.unwrap_or_default(),
                // Nobody can tell any more.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = act => Ok(done),
            refused = refused => Err(FleetError::Refused { what: what(), refused }),
        }
    }
}

impl Refused {
    /// Reads `Permissions Violation for Publish to "SUBJECT"` and the like.
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix("Permissions Violation for ")?.split_once(" to \"")?;
        let (subject, _) = rest.split_once('"')?;
        Some(Self { hears: kind != "Publish", subject: subject.to_owned() })
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", if self.hears { "subscribe" } else { "publish" }, self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Event {
        Event::ServerError(ServerError::Other(text.to_owned()))
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_a_refusal_of_what_he_waits_for() {
        let refusals = Refusals::new();
        refusals.heed(&says("Permissions Violation for Publish to \"a.b\""));
        let before = refusals.unless_refused(String::new, |_| true, async { 5 }).await;
        assert!(matches!(before, Ok(5)), "{before:?}");
        let waiting = refusals.unless_refused(
            || "asking".to_owned(),
            |subject| subject == "a.c",
            std::future::pending::<()>(),
        );
        let telling = async {
            tokio::task::yield_now().await;
            refusals.heed(&says("Permissions Violation for Publish to \"a.b\""));
            refusals.heed(&says("Permissions Violation for Subscription to \"a.c\" using queue \"workers\""));
        };
        let (waited, ()) = tokio::join!(waiting, telling);
        let error = waited.unwrap_err().to_string();
        assert!(
            error.starts_with("asking: the NATS servers do not let this user subscribe to a.c;"),
            "{error}"
        );
    }
}
