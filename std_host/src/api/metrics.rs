//! Numbers for those who watch many servers: `/metrics`, in the text format of OpenMetrics, which Prometheus reads.

use std::{fmt, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

use super::{Api, ApiError, request, source::Source};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted of requests, and where all that is counted can be read.
#[derive(Clone)]
pub(super) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram>,
    /// Clients that follow events or logs now.
    pub(super) streams: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: String,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

impl Metrics {
    pub(super) fn new(source: &Source) -> Self {
        let mut registry = Registry::with_prefix("toehold");
        let requests = Family::<Answered, Counter>::default();
        // From a millisecond to 16 s.
        let seconds = Family::<Asked, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 4.0, 8))
        });
        let streams = Gauge::<i64, _>::default();
        registry.register("http_requests", "Requests that were answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time until the head of the answer was there",
            seconds.clone(),
        );
        registry.register("event_streams", "Clients that follow events or logs", streams.clone());
        registry.register("build", "The version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register_collector(Box::new(Jobs(source.clone())));
        Self { registry: Arc::new(registry), requests, seconds, streams }
    }

    /// The same routes, whose requests are counted, with those where that is read.
    pub(super) fn route(&self, router: Router<Api>) -> Router<Api> {
        router
            .route("/metrics", get(read))
            .route("/healthz", get(alive))
            .route_layer(middleware::from_fn_with_state(self.clone(), observe))
    }
}

async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    // The pattern and not the path: there are few of them, whatever somebody asks for.
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let asked = Asked { method, route };
    // A wait takes as long as it was asked to.
    if !asked.route.ends_with("/wait") {
        metrics.seconds.get_or_create(&asked).observe(started.elapsed().as_secs_f64());
    }
    let Asked { method, route } = asked;
    let status = response.status().as_u16();
    metrics.requests.get_or_create(&Answered { method, route, status }).inc();
    response
}

async fn read(State(api): State<Api>) -> Result<impl IntoResponse, ApiError> {
    let text = request::blocking(move || {
        let mut text = String::new();
        text::encode(&mut text, &api.metrics.registry).map_err(|_: fmt::Error| {
            let message = "the store can't be read, so that there are no numbers of jobs";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", message)
        })?;
        Ok(text)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

/// Whether the server can do its work: its store can be read, and it is not about to stop. For those who start and stop
/// servers, without a token, so it says no more.
async fn alive(State(api): State<Api>) -> Response {
    let closing = *api.closing.borrow();
    let reader = api.source.reader().clone();
    match request::blocking(move || Ok(reader.counts()?)).await {
        Ok(_) if !closing => "ok\n".into_response(),
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        Err(error) => {
            log::error!("{}", error.message);
            (StatusCode::SERVICE_UNAVAILABLE, "the store can't be read\n").into_response()
        }
    }
}

/// The jobs, as they are when somebody asks.
#[derive(Debug)]
struct Jobs(Source);

impl Collector for Jobs {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counts = self.0.counts().map_err(|error| {
            log::error!("{error}");
            fmt::Error
        })?;
        let mut jobs = encoder.encode_descriptor("jobs", "Jobs in each state", None, MetricType::Gauge)?;
        for state in toehold::JobState::ALL {
            let count = counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
            let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            count.encode(jobs.encode_family(&[("state", state.name())])?)?;
        }
        let bytes = ConstGauge::new(i64::try_from(self.0.reader().bytes()).unwrap_or(i64::MAX));
        bytes.encode(encoder.encode_descriptor(
            "store_bytes",
            "Bytes of the database's files",
            None,
            MetricType::Gauge,
        )?)?;
        let Source::Manager(manager) = &self.0 else { return Ok(()) };
        let mut events = encoder.encode_descriptor(
            "job_events",
            "What happened to jobs since the server was started",
            None,
            MetricType::Counter,
        )?;
        for (name, count) in manager.event_counts() {
            ConstCounter::<u64>::new(count).encode(events.encode_family(&[("event", name)])?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
