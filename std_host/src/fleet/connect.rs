//! The connection, and the streams that a fleet lies in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    Client, ConnectOptions,
    jetstream::{
        self, Context, ErrorCode,
        context::AccountErrorKind,
        kv,
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};

use url::Url;

use super::{FleetConfig, FleetError, error::is_missing, names::Names, refused::Refusals};

/// The oldest server that will do: all tests ran with 2.15.1, and 2.9 lets two writers win one compare-and-set.
const OLDEST: (&str, [u64; 3]) = ("2.15.0", [2, 15, 0]);
/// How long a server may take to acknowledge a message.
const ACK_TIME: Duration = Duration::from_secs(4);
/// For how long, and after how long each time, servers are asked again that can't do something: they choose a leader, perhaps. One
/// that says that it has no JetStream may only be starting.
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT_PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(250);
/// Bytes of a message that are left for its headers and subject.
const HEADERS: usize = 4 << 10;
/// Bytes of the longest message, whatever servers take: longer ones hold up those behind them.
const LONGEST: usize = 512 << 10;
/// Events, and log lines, that are kept of a job.
const EVENTS_PER_JOB: i64 = 1_000;
/// For how long they are kept.
const EVENTS_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A connection to a fleet; clones share it.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) jetstream: Context,
    pub(super) names: Arc<Names>,
    /// What subjects of JetStream's API begin with.
    pub(super) api: String,
    pub(super) jobs: Stream,
    pub(super) parts: Stream,
    pub(super) queue: Stream,
    pub(super) events: Stream,
    pub(super) values: Stream,
    pub(super) workers: kv::Store,
    pub(super) refusals: Refusals,
    /// How many servers keep what is made anew.
    pub(super) replicas: usize,
    /// Bytes of the longest message of a log; what is longer goes into parts.
    pub(super) longest: usize,
    /// How long after its last sign of life a worker is taken for gone.
    pub(super) lease: Duration,
}

impl Link {
    /// Connects, refuses servers that are too old, and makes the streams that are not there.
    pub(super) async fn open(config: &FleetConfig) -> Result<Self, FleetError> {
        let names = Names::new(&config.name)?;
        let refusals = Refusals::new();
        let client = connect(config, &refusals).await?;
        check(&client)?;
        let set_up = patiently(async || {
            let link = Self::set_up(config, names.clone(), client.clone(), refusals.clone()).await?;
            // Who adds extensions later need not be one who may make it.
            link.objects().await?;
            Ok(link)
        });
        refusals.unless_refused(|| format!("opening the fleet {}", config.name), is_needed, set_up).await?
    }

    /// Begins something in the fleet that needs all that it asks for.
    pub(super) async fn begin<T>(
        &self,
        what: &str,
        act: impl Future<Output = Result<T, FleetError>>,
    ) -> Result<T, FleetError> {
        self.refusals.unless_refused(|| what.to_owned(), is_needed, act).await?
    }

    /// Waits for what was asked of a subject, but no longer than until a server refuses that.
    pub(super) async fn unless_refused<T>(
        &self,
        what: impl FnOnce() -> String,
        subject: &str,
        act: impl Future<Output = T>,
    ) -> Result<T, FleetError> {
        self.refusals.unless_refused(what, |refused| refused == subject, act).await
    }

    async fn set_up(
        config: &FleetConfig,
        names: Names,
        client: Client,
        refusals: Refusals,
    ) -> Result<Self, FleetError> {
        let builder = jetstream::ContextBuilder::new().timeout(Duration::from_secs(5)).ack_timeout(ACK_TIME);
        let jetstream = match &config.domain {
            Some(domain) => builder.domain(domain).build(client.clone()),
            None => builder.build(client.clone()),
        };
        let api = config.domain.as_ref().map_or("$JS.API".to_owned(), |domain| format!("$JS.{domain}.API"));
        let info = client.server_info();
        jetstream.query_account().await.map_err(|error| {
            let is_off = match error.kind() {
                AccountErrorKind::JetStreamUnavailable => true,
                AccountErrorKind::JetStream(error) => matches!(
                    error.error_code(),
                    ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT
                ),
                // It did not answer in time: perhaps it has no leader.
                _ => false,
            };
            if is_off {
                FleetError::NoJetStream { server: info.server_name.clone(), reason: error.to_string() }
            } else {
                FleetError::server("the account of JetStream", error)
            }
        })?;
        let replicas = config.replicas.unwrap_or(if info.cluster.is_some() { 3 } else { 1 });
        let make = Maker { jetstream: &jetstream, replicas };
        let limits = |name: String, subjects: Vec<String>| Config {
            name,
            subjects,
            allow_direct: true,
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        let jobs = make
            .stream(Config {
                allow_rollup: true,
                allow_message_ttl: true,
                ..limits(names.jobs_stream(), vec![names.all_jobs(), names.all_children()])
            })
            .await?;
        let parts = make.stream(limits(names.parts_stream(), vec![names.all_parts()])).await?;
        let queue = make
            .stream(Config {
                retention: RetentionPolicy::WorkQueue,
                max_messages: config.queue_limit.into(),
                ..limits(names.queue_stream(), vec![names.all_queues()])
            })
            .await?;
        let events = make
            .stream(Config {
                discard: DiscardPolicy::Old,
                max_messages_per_subject: EVENTS_PER_JOB,
                max_age: EVENTS_AGE,
                ..limits(names.events_stream(), names.all_events().to_vec())
            })
            .await?;
        let values = make
            .stream(Config {
                max_messages_per_subject: 1,
                ..limits(names.values_stream(), vec![names.all_values()])
            })
            .await?;
        let workers = make.workers(&names, config.lease).await?;
        let status =
            workers.status().await.map_err(|error| FleetError::server("the workers' bucket", error))?;
        let lease = Some(status.max_age()).filter(|age| !age.is_zero()).unwrap_or(config.lease);
        let longest = info.max_payload.saturating_sub(HEADERS).min(LONGEST);
        let names = Arc::new(names);
        Ok(Self {
            client,
            jetstream,
            names,
            api,
            jobs,
            parts,
            queue,
            events,
            values,
            workers,
            refusals,
            replicas,
            longest,
            lease,
        })
    }

    /// Whether the server that this is connected to now is new enough: it may have changed since.
    pub(super) fn check(&self) -> Result<(), FleetError> {
        check(&self.client)
    }
}

/// Does something that servers can't do for a while after others of them were lost.
pub(super) async fn patiently<T>(
    mut act: impl AsyncFnMut() -> Result<T, FleetError>,
) -> Result<T, FleetError> {
    let start = Instant::now();
    loop {
        let (error, patience) = match act().await {
            Err(error @ FleetError::NoJetStream { .. }) => (error, SHORT_PATIENCE),
            Err(error @ FleetError::Server { .. }) => (error, PATIENCE),
            done => return done,
        };
        if start.elapsed() >= patience {
            return Err(error);
        }
        log::info!("{error}; it is tried again");
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect(config: &FleetConfig, refusals: &Refusals) -> Result<Client, FleetError> {
    let told = refusals.clone();
    let mut options = ConnectOptions::new()
        .name("toehold")
        .ping_interval(Duration::from_secs(5))
        .connection_timeout(Duration::from_secs(5))
        .event_callback(move |event| {
            told.heed(&event);
            std::future::ready(())
        })
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(u64::try_from(attempts).unwrap_or(u64::MAX).saturating_mul(100).min(2_000))
        });
    if let Some(path) = &config.credentials {
        let read = |source| FleetError::File { path: path.clone(), source };
        options = options.credentials_file(path).await.map_err(read)?;
    }
    for path in config.tls_ca.iter().chain(config.tls_identity.iter().flat_map(|(cert, key)| [cert, key])) {
        std::fs::metadata(path).map_err(|source| FleetError::File { path: path.clone(), source })?;
    }
    if let Some(path) = &config.tls_ca {
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &config.tls_identity {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    let (servers, login) = without_login(&config.servers);
    options = match login {
        Some((user, password)) if password.is_empty() => options.token(user),
        Some((user, password)) => options.user_and_password(user, password),
        None => options,
    };
    options
        .connect(servers.as_slice())
        .await
        .map_err(|source| FleetError::Connect { servers: servers.join(", "), source })
}

/// The addresses without user and password, which no message must show; and those of the first that has them.
fn without_login(servers: &[String]) -> (Vec<String>, Option<(String, String)>) {
    let mut login = None;
    let plain = |server: &String| {
        let full = if server.contains("://") { server.clone() } else { format!("nats://{server}") };
        let Ok(mut url) = Url::parse(&full) else { return server.clone() };
        if url.username().is_empty() && url.password().is_none() {
            return server.clone();
        }
        login.get_or_insert((decoded(url.username()), decoded(url.password().unwrap_or_default())));
        // Only URLs that can't have any refuse to lose them.
        if url.set_username("").and(url.set_password(None)).is_err() {
            return server.clone();
        }
        url.to_string()
    };
    (servers.iter().map(plain).collect(), login)
}

/// A part of a URL with its `%` escapes read.
fn decoded(text: &str) -> String {
    // Of a form's value, but for what only forms escape.
    let form = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// Whether nothing can be begun without a subject: consumers of which nothing is left go by themselves.
fn is_needed(subject: &str) -> bool {
    !subject.contains(".CONSUMER.DELETE.")
}

fn check(client: &Client) -> Result<(), FleetError> {
    let info = client.server_info();
    if version(&info.version).is_some_and(|found| found >= OLDEST.1) {
        return Ok(());
    }
    Err(FleetError::OldServer { server: info.server_name, found: info.version, oldest: OLDEST.0 })
}

/// The numbers of a version such as `2.15.1` or `2.16.0-preview.1`.
fn version(text: &str) -> Option<[u64; 3]> {
    let numbers = text.split_once('-').map_or(text, |(numbers, _)| numbers);
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

struct Maker<'a> {
    jetstream: &'a Context,
    replicas: usize,
}

impl Maker<'_> {
    async fn stream(&self, config: Config) -> Result<Stream, FleetError> {
        let name = config.name.clone();
        let config = Config { num_replicas: self.replicas, ..config };
        let made = self.jetstream.get_or_create_stream(config).await;
        made.map_err(|error| FleetError::server(format!("the stream {name}"), error))
    }

    /// Who is there need not outlive the servers: who is there says so again.
    async fn workers(&self, names: &Names, lease: Duration) -> Result<kv::Store, FleetError> {
        let bucket = names.workers_bucket();
        match self.jetstream.get_key_value(&bucket).await {
            Ok(store) => return Ok(store),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(FleetError::server(format!("the bucket {bucket}"), error)),
        }
        let config = kv::Config {
            bucket: bucket.clone(),
            history: 1,
            max_age: lease,
            storage: StorageType::Memory,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        let made = self.jetstream.create_key_value(config).await;
        made.map_err(|error| FleetError::server(format!("the bucket {bucket}"), error))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("names", &self.names).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_taken_out_of_addresses() {
        let servers = ["tls://me:s%40+c&=t@a.example.com:4222", "b.example.com", "nats://token@c"];
        let (plain, login) = without_login(&servers.map(str::to_owned));
        assert_eq!(plain, ["tls://a.example.com:4222", "b.example.com", "nats://c"]);
        assert_eq!(login, Some(("me".to_owned(), "s@+c&=t".to_owned())));
        assert_eq!(
            without_login(&["nats://token@c".to_owned()]).1,
            Some(("token".to_owned(), String::new()))
        );
        assert_eq!(without_login(&["a:4222".to_owned()]), (vec!["a:4222".to_owned()], None));
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert_eq!(version("2.15.1"), Some([2, 15, 1]));
        assert_eq!(version("2.16.0-preview.1"), Some([2, 16, 0]));
        assert!(version("2.9.10").is_some_and(|old| old < OLDEST.1));
        assert_eq!(version("new"), None);
    }
}
