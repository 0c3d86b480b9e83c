//! The API of a data folder: JSON over HTTP/1.1, for the command and for whoever writes a client.
//!
//! | route | |
//! | --- | --- |
//! | `GET /api/v1/health` | that somebody is there: version, process, data folder, keys that it trusts, how many jobs are in each state |
//! | `GET /api/v1/jobs?state=&extension=&job=&parent=&id_prefix=&order=&after=&limit=` | jobs, newest first |
//! | `POST /api/v1/jobs` | dispatches `{"job", "state", "id", "library", "priority", "attempts"}` |
//! | `POST /api/v1/jobs/import?paused=1` | takes over the job of a bundle, which is the body |
//! | `GET /api/v1/jobs/{id}` | how a job stands |
//! | `DELETE /api/v1/jobs/{id}` | removes one that is paused or over, and all that is kept of it |
//! | `POST /api/v1/jobs/{id}/pause`, `/resume`, `/cancel` | asks it for that; once answered, the wish is durable |
//! | `GET /api/v1/jobs/{id}/wait?until=over&timeout_ms=` | how it stands once it is over (or `stopped`: paused or over) |
//! | `GET /api/v1/jobs/{id}/events?after=&tail=&limit=&follow=1` | what happened to it |
//! | `GET /api/v1/jobs/{id}/logs?after=&tail=&limit=&follow=1` | what it logged |
//! | `GET /api/v1/jobs/{id}/bundle?extension=1` | all there is of it, as bytes |
//! | `GET /api/v1/jobs/{id}/checkpoint` | its newest state: `{"sequence", "state_version", "fuel_used", "bytes", "json", "base64"}`, where `json` is null if the state is none |
//! | `GET /api/v1/jobs/{id}/state` | the same of what it was dispatched with, as long as that is kept |
//! | `GET /api/v1/events?progress=1` | what happens to all jobs from now on; with `progress=0` without how far they are |
//! | `GET /api/v1/openapi.json` | this, for programs (OpenAPI 3.1) |
//! | `GET /metrics` | numbers for Prometheus (OpenMetrics) |
//! | `GET /healthz` | 200 if jobs can be read, 503 if not or while the server stops |
//! | `GET /api/v1/extensions`, `/api/v1/extensions/{id}` | what is installed |
//! | `POST /api/v1/extensions` | installs an extension: the folder or package `{"path"}` of the host; a package, as `application/octet-stream`; or the parts `package`, or `manifest` and `module`, of a `multipart/form-data` |
//! | `POST /api/v1/extensions/inspect` | tells of such an extension without installing it, and of the one that is `installed` in its place |
//! | `POST /api/v1/extensions/{id}/reload`, `DELETE /api/v1/extensions/{id}` | loads its files anew; removes it |
//!
//! What is refused is answered with a status of 400 or more and `{"error": {"code": "unknown_job", "message": "…"}}`.
//! A job is answered as a [`JobStatus`](crate::manager::JobStatus), several as `{"jobs": […], "next"}`, where `next` is what
//! `after` takes for the next page, or null. A history is `{"events": […], "last", "dropped"}`, or `lines` for a log: a
//! [`JobEvent`](crate::manager::JobEvent) each, or `{"seq", "at", "level", "text"}`.
//!
//! With `follow=1`, and at `/api/v1/events`, the answer is a stream of server-sent events. Those of one job have the number
//! that `after`, or the header `Last-Event-ID`, goes on from; after the last one of a job that is over comes one named
//! `end`, and one named `error` where the stream can't go on. A stream that ends without either was cut off. Those of all jobs
//! begin with one named `start`, and each has an id that `Last-Event-ID` goes on from, for the last 8,192 events of the process.
//! Where it can't go on, or the client was too slow, comes one named `reset`, `{"lost": 7}`:
//! then what is known of jobs must be asked for anew.
//!
//! [`Api::router`] is for any server that takes an axum router; [`Server`](crate::server::Server) is one. There is no
//! authentication here.

mod error;
mod extensions;
mod feed;
mod follow;
mod history;
mod jobs;
mod metrics;
mod openapi;
mod request;
mod schema;
mod source;
mod states;
mod steer;
mod upload;

use std::sync::{Arc, OnceLock};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    routing::get,
};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub use error::ApiError;
pub use extensions::{describe, describe_failed};
pub use jobs::BUNDLE_BYTES;

use self::{error::ApiProblem, feed::Feed, metrics::Metrics, schema::Health, source::Source};
use crate::{manager::Manager, store::StoreReader};

/// Extensions that are loaded at a time.
const LOADS: usize = 1;

/// Answers requests about the jobs and extensions of a data folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    source: Source,
    closing: Arc<watch::Sender<bool>>,
    /// Mebibytes of large bodies that may still come into memory.
    room: Arc<Semaphore>,
    /// Extensions that may be loaded at a time: each may take as much memory as a job.
    loading: Arc<Semaphore>,
    /// From when somebody first asks for it.
    feed: Arc<OnceLock<Arc<Feed>>>,
    metrics: Metrics,
}

impl Api {
    /// All routes, on a manager. It is kept for as long as a clone of this, or of the router, is there.
    #[must_use]
    pub fn new(manager: Manager) -> Self {
        Self::of(Source::Manager(manager))
    }

    /// Routes that only read a store, since there is no manager here. `in_use` says whether another process has it open:
    /// if none has, no job runs.
    #[must_use]
    pub fn read_only(reader: StoreReader, in_use: bool) -> Self {
        Self::of(Source::Store { reader, in_use })
    }

    fn of(source: Source) -> Self {
        let room = Arc::new(Semaphore::new(request::ROOM_MIB));
        let metrics = Metrics::new(&source);
        Self {
            source,
            closing: Arc::new(watch::Sender::new(false)),
            room,
            loading: Arc::new(Semaphore::new(LOADS)),
            feed: Arc::default(),
            metrics,
        }
    }

    /// The routes.
    pub fn router(&self) -> Router {
        let (router, description) = openapi::v1().split_for_parts();
        let description = Bytes::from(openapi::json(&description));
        let router = router.route("/api/v1/openapi.json", get(async || openapi::answer(description)));
        let router = self.metrics.route(router);
        router
            // Each route has a limit of its own.
            .layer(DefaultBodyLimit::disable())
            .fallback(error::no_route)
            .method_not_allowed_fallback(error::no_method)
            .with_state(self.clone())
    }

    /// Ends streams and waits that are under way, so that a server can stop.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    fn feed(&self) -> Result<Arc<Feed>, ApiError> {
        let manager = self.source.manager()?;
        Ok(self.feed.get_or_init(|| Feed::start(manager.events())).clone())
    }

    /// A turn to load an extension, until what this gives is dropped.
    async fn turn_to_load(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        self.loading.clone().acquire_owned().await.ok()
    }

    /// Comes back once the API is closed.
    pub(crate) async fn closed(&self) {
        // The sender is here, so it can't be gone.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }
}

#[utoipa::path(
    get,
    path = "/health",
    tag = "server",
    summary = "That somebody is there, and what it has",
    responses((status = 200, description = "It is", body = Health), (status = "default", description = "Refused", body = ApiProblem))
)]
async fn health(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let source = api.source.clone();
    let data = source.reader().path().parent().map(|folder| folder.display().to_string());
    let counts = request::blocking(move || Ok(source.counts()?)).await?;
    let jobs: serde_json::Map<String, Value> =
        counts.into_iter().map(|(state, count)| (state.name().to_owned(), count.into())).collect();
    Ok(Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "process": std::process::id(),
        "data": data,
        // Null where everybody's extensions are taken.
        "trusted_keys": api.source.trusted_keys(),
        "jobs": jobs,
    })))
}
