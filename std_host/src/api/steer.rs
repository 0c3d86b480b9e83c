//! Jobs that are paused, resumed, cancelled and waited for.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;

use utoipa::IntoParams;

use super::{
    Api, ApiError,
    error::ApiProblem,
    request::{JobId, Questions},
    source::Source,
};
use crate::manager::JobStatus;

/// Milliseconds that a wait lasts, unless another number is asked for, and at most. Who wants to wait for longer asks
/// again.
const WAIT_MS: u64 = 30_000;
const LONGEST_WAIT_MS: u64 = 60_000;

type Shown = Result<Json<JobStatus>, ApiError>;

#[utoipa::path(
    post,
    path = "/pause",
    tag = "jobs",
    summary = "Asks a job to stop for now; once answered, the wish is durable",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn pause(State(api): State<Api>, JobId(id): JobId) -> Shown {
    let job = api.source.job(id)?;
    job.pause().await?;
    Ok(Json(job.status()))
}

#[utoipa::path(
    post,
    path = "/resume",
    tag = "jobs",
    summary = "Lets a paused job go on",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn resume(State(api): State<Api>, JobId(id): JobId) -> Shown {
    let job = api.source.job(id)?;
    job.resume().await?;
    Ok(Json(job.status()))
}

#[utoipa::path(
    post,
    path = "/cancel",
    tag = "jobs",
    summary = "Asks a job to stop for good, and all that it has dispatched",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn cancel(State(api): State<Api>, JobId(id): JobId) -> Shown {
    let job = api.source.job(id)?;
    job.cancel().await?;
    Ok(Json(job.status()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// `over`, or `stopped`: paused or over.
    until: Option<String>,
    /// Milliseconds to wait, at most 60,000; 30,000 without it.
    timeout_ms: Option<u64>,
}

#[utoipa::path(
    get,
    path = "/wait",
    tag = "jobs",
    summary = "How a job stands once it is over, or after a while",
    params(("id" = Uuid, Path, description = "The job"), Waiting),
    responses((status = 200, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn wait(
    State(api): State<Api>,
    JobId(id): JobId,
    Questions(query): Questions<Waiting>,
) -> Shown {
    let timeout = Duration::from_millis(query.timeout_ms.unwrap_or(WAIT_MS).min(LONGEST_WAIT_MS));
    let until_stopped = match query.until.as_deref() {
        None | Some("over") => false,
        Some("stopped") => true,
        Some(other) => {
            return Err(ApiError::bad_request(format!("until is {other:?}; it must be over or stopped")));
        }
    };
    if let Source::Store { in_use, .. } = api.source {
        let status = api.source.status(id)?;
        let stands = status.state.is_final() || (until_stopped && status.state == toehold::JobState::Paused);
        return if stands { Ok(Json(status)) } else { Err(ApiError::not_running(id, status.state, in_use)) };
    }
    let job = api.source.job(id)?;
    let stopped = async {
        if until_stopped {
            job.wait_until_stopped().await;
        } else {
            job.wait().await;
        }
    };
    tokio::select! {
        () = stopped => {}
        () = tokio::time::sleep(timeout) => {}
        () = api.closed() => {}
    }
    Ok(Json(job.status()))
}
