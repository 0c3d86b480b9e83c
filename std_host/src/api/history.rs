//! What happened to a job, and what it logged: what there is of it.

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use toehold::{LogLevel, Uuid};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, ApiError,
    error::ApiProblem,
    follow, jobs,
    request::{self, JobId, Questions, is_on},
    source::Source,
};
use crate::{
    manager::{EventKind, JobEvent},
    store::{Event, StoreError, StoredLine},
};

/// Lines on a page, unless another number is asked for, and at most.
const PAGE: usize = 1_000;
const LARGEST_PAGE: usize = 10_000;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Part {
    /// Those with a number above this.
    after: Option<u64>,
    /// The last so many.
    tail: Option<u64>,
    /// 1 to 10,000; 1,000 without it.
    limit: Option<usize>,
    /// `1` streams what comes as well.
    follow: Option<String>,
}

/// A part of what happened to a job.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct EventPage {
    events: Vec<JobEvent>,
    /// The number of the newest event that there is.
    last: u64,
    /// Older ones that are not kept.
    dropped: u64,
}

/// A part of what a job logged.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct LogPage {
    lines: Vec<Line>,
    /// The number of the newest line that there is.
    last: u64,
    /// Older ones that are not kept.
    dropped: u64,
}

/// A line that a job logged.
#[derive(Serialize, ToSchema)]
#[schema(as = LogLine)]
struct Line {
    /// Its number, from 1 up.
    seq: u64,
    /// When, in milliseconds since 1970.
    at: u64,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    /// What it says.
    text: String,
}

/// One of a job's two histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum History {
    Events,
    Logs,
}

/// A part of a history.
pub(super) struct Page {
    pub(super) lines: Vec<(u64, Value)>,
    last: u64,
    dropped: u64,
}

#[utoipa::path(
    get,
    path = "/events",
    tag = "jobs",
    summary = "What happened to a job; with `follow=1` a stream of server-sent events",
    params(("id" = Uuid, Path, description = "The job"), Part, ("Last-Event-ID" = Option<String>, Header, description = "Goes on behind this number, where it follows")),
    responses((status = 200, description = "Events, or a stream of them", body = EventPage), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn events(
    state: State<Api>,
    id: JobId,
    query: Questions<Part>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state.0, id.0, query.0, &headers, History::Events).await
}

#[utoipa::path(
    get,
    path = "/logs",
    tag = "jobs",
    summary = "What a job logged; with `follow=1` a stream of server-sent events",
    params(("id" = Uuid, Path, description = "The job"), Part, ("Last-Event-ID" = Option<String>, Header, description = "Goes on behind this number, where it follows")),
    responses((status = 200, description = "Lines, or a stream of them", body = LogPage), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn logs(
    state: State<Api>,
    id: JobId,
    query: Questions<Part>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state.0, id.0, query.0, &headers, History::Logs).await
}

async fn answer(
    api: Api,
    id: Uuid,
    query: Part,
    headers: &HeaderMap,
    history: History,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit is {limit}; it must be 1 to {LARGEST_PAGE}")));
    }
    let status = {
        let api = api.clone();
        request::blocking(move || api.source.status(id)).await?
    };
    flush(&api).await?;
    let mut after = query.after.unwrap_or(0);
    if let Some(number) = headers.get("last-event-id").and_then(|value| value.to_str().ok()) {
        after = number.parse().map_err(|_| {
            ApiError::bad_request(format!("Last-Event-ID is {number:?}; it must be the number of an event"))
        })?;
    }
    if let Some(tail) = query.tail {
        let last = page(&api, id, history, u64::MAX, 0).await?.last;
        after = after.max(last.saturating_sub(tail));
    }
    if is_on(query.follow.as_deref(), "follow")? {
        if let Source::Store { in_use, .. } = api.source
            && !status.state.is_final()
        {
            return Err(ApiError::not_running(id, status.state, in_use));
        }
        return Ok(follow::job(api, id, history, after).await?.into_response());
    }
    let page = page(&api, id, history, after, limit).await?;
    let lines: Vec<Value> = page.lines.into_iter().map(|(_, line)| line).collect();
    let name = match history {
        History::Events => "events",
        History::Logs => "lines",
    };
    Ok(Json(json!({ name: lines, "last": page.last, "dropped": page.dropped })).into_response())
}

/// Makes sure that all can be read which was told before.
pub(super) async fn flush(api: &Api) -> Result<(), ApiError> {
    let Source::Manager(manager) = &api.source else { return Ok(()) };
    match manager.flush().await {
        // What is there can still be read.
        Ok(()) | Err(StoreError::Full { .. } | StoreError::Closed { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// At most `limit` lines with a number above `after`.
pub(super) async fn page(
    api: &Api,
    id: Uuid,
    history: History,
    after: u64,
    limit: usize,
) -> Result<Page, ApiError> {
    let reader = api.source.reader().clone();
    request::blocking(move || {
        Ok(match history {
            History::Events => {
                let found = reader.events(id, after, limit)?;
                let lines = found.lines.into_iter().map(|event| (event.seq, event_json(id, event)));
                Page { lines: lines.collect(), last: found.last, dropped: found.dropped }
            }
            History::Logs => {
                let found = reader.logs(id, after, limit)?;
                let lines = found.lines.into_iter().map(|line| (line.seq, line_json(line)));
                Page { lines: lines.collect(), last: found.last, dropped: found.dropped }
            }
        })
    })
    .await
}

/// As a [`JobEvent`] is written. One of a newer version has the name that the store has of it, and what it says.
fn event_json(job_id: Uuid, event: Event) -> Value {
    let Event { seq, at, kind, data } = event;
    match serde_json::from_str::<EventKind>(&data) {
        Ok(kind) => json!(JobEvent { job_id, seq, at, kind }),
        Err(_) => json!({ "job_id": job_id, "seq": seq, "at": at, "event": kind, "data": data }),
    }
}

fn line_json(line: StoredLine) -> Value {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    json!(Line { seq: line.seq, at: line.at, level, text: line.text })
}

/// Whether a job is over; an error if it is gone.
pub(super) async fn is_over(api: &Api, id: Uuid) -> Result<bool, ApiError> {
    let api = api.clone();
    let status = request::blocking(move || api.source.status(id)).await;
    match status {
        Ok(status) => Ok(status.state.is_final()),
        Err(error) if error.code == "unknown_job" => Err(jobs::unknown(id)),
        Err(error) => Err(error),
    }
}
