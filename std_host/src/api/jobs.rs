//! Jobs: listed, shown, dispatched, exported and imported.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use toehold::{Bundle, JobState, Priority, Uuid};
use utoipa::{IntoParams, ToSchema};

use super::{
    Api, ApiError,
    error::ApiProblem,
    request::{self, JobId, Questions, is_on},
};
use crate::{
    manager::{Dispatch, ImportOptions, JobError, JobStatus},
    store::{Cursor, JobFilter, ListOrder},
};

/// Jobs on a page, unless another number is asked for, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;
/// Bytes of a request to dispatch: a state within the default limits, and some more.
const DISPATCH_BYTES: usize = 4 << 20;
/// Bytes of a bundle that may be imported.
pub const BUNDLE_BYTES: usize = 256 << 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// Names of states, with commas between them.
    state: Option<String>,
    /// The id of their extension.
    extension: Option<String>,
    /// What the full name starts with.
    job: Option<String>,
    /// The job that dispatched them.
    parent: Option<Uuid>,
    /// Hexadecimal digits that the id starts with.
    id_prefix: Option<String>,
    /// `newest` first, or `oldest`.
    order: Option<String>,
    /// What `next` was on the page before.
    after: Option<i64>,
    /// 1 to 1,000; 100 without it.
    limit: Option<usize>,
}

#[utoipa::path(
    get,
    path = "",
    tag = "jobs",
    summary = "Jobs, newest first",
    params(Listing),
    responses((status = 200, description = "A page of jobs", body = JobPage), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn list(
    State(api): State<Api>,
    Questions(query): Questions<Listing>,
) -> Result<Json<JobPage>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit is {limit}; it must be 1 to {LARGEST_PAGE}")));
    }
    let order = match query.order.as_deref() {
        None | Some("newest") => ListOrder::NewestFirst,
        Some("oldest") => ListOrder::OldestFirst,
        Some(other) => {
            return Err(ApiError::bad_request(format!("order is {other:?}; it must be newest or oldest")));
        }
    };
    let filter = JobFilter {
        states: query.state.as_deref().map_or(Ok(Vec::new()), states)?,
        extension: query.extension,
        job_prefix: query.job,
        parent: query.parent,
    };
    if let Some(prefix) = query.id_prefix {
        let jobs = request::blocking(move || with_prefix(&api, &prefix, limit)).await?;
        return Ok(Json(JobPage::new(jobs, None)));
    }
    let after = query.after.map(Cursor::from_number);
    let (jobs, next) = request::blocking(move || api.source.list(&filter, order, after, limit)).await?;
    Ok(Json(JobPage::new(jobs, next.map(Cursor::to_number))))
}

impl JobPage {
    fn new(jobs: Vec<JobStatus>, next: Option<i64>) -> Self {
        Self { jobs: jobs.into_iter().map(JobStatus::listed).collect(), next }
    }
}

fn states(names: &str) -> Result<Vec<JobState>, ApiError> {
    let state = |name: &str| {
        JobState::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = JobState::ALL.into_iter().map(JobState::name).collect();
            ApiError::bad_request(format!("{name:?} is no state of a job; they are {}", known.join(", ")))
        })
    };
    names.split(',').filter(|name| !name.is_empty()).map(state).collect()
}

/// The jobs whose id starts so, oldest first.
fn with_prefix(api: &Api, prefix: &str, limit: usize) -> Result<Vec<JobStatus>, ApiError> {
    let digits: String = prefix.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    let jobs = api.source.reader().jobs()?;
    let mut found = Vec::new();
    for id in jobs.into_iter().filter(|id| id.simple().to_string().starts_with(&digits)).take(limit) {
        match api.source.status(id) {
            Ok(status) => found.push(status),
            // Removed since, for its age.
            Err(error) if error.code == "unknown_job" => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[utoipa::path(
    get,
    path = "",
    tag = "jobs",
    summary = "How a job stands",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn show(State(api): State<Api>, JobId(id): JobId) -> Result<Json<JobStatus>, ApiError> {
    request::blocking(move || api.source.status(id)).await.map(Json)
}

#[utoipa::path(
    delete,
    path = "",
    tag = "jobs",
    summary = "Removes a job that is paused or over, and all that is kept of it",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 204, description = "It is gone"), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn remove(State(api): State<Api>, JobId(id): JobId) -> Result<StatusCode, ApiError> {
    api.source.manager()?.remove(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A job to dispatch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJob {
    /// Its full name, `EXTENSION_ID:NAME`.
    job: String,
    /// The state that it starts from; the guest's default without it.
    #[schema(value_type = Option<Value>)]
    state: Option<Box<RawValue>>,
    /// Its id; a random one without it.
    id: Option<Uuid>,
    /// The library that it works on.
    library: Option<Uuid>,
    /// `low`, `normal` or `high`.
    priority: Option<String>,
    /// Attempts that it has, 1 or more.
    attempts: Option<u32>,
}

/// A page of jobs, without their warnings and last lines, and with long texts cut: a job by itself has all.
#[derive(Serialize, ToSchema)]
pub(super) struct JobPage {
    jobs: Vec<JobStatus>,
    /// What `after` takes for the next page; null on the last one.
    next: Option<i64>,
}

#[utoipa::path(
    post,
    path = "",
    tag = "jobs",
    summary = "Dispatches a job; once answered, it outlives a power cut",
    request_body(content = NewJob),
    responses((status = 201, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn dispatch(State(api): State<Api>, body: Body) -> Result<impl IntoResponse, ApiError> {
    let new: NewJob = request::json(body, DISPATCH_BYTES).await?;
    let priority = match new.priority {
        None => Priority::default(),
        Some(name) => Priority::from_name(&name).ok_or_else(|| {
            ApiError::bad_request(format!("{name:?} is no priority; they are low, normal and high"))
        })?,
    };
    let dispatch = Dispatch {
        id: new.id,
        library: new.library,
        state: new.state.map(|state| state.get().as_bytes().to_vec()).unwrap_or_default(),
        priority,
        attempts: new.attempts,
        parent: None,
    };
    let job = api.source.manager()?.dispatch(&new.job, dispatch).await?;
    Ok(created(&job.status()))
}

fn created(status: &JobStatus) -> impl IntoResponse + use<> {
    let location = format!("/api/v1/jobs/{}", status.job_id);
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(json!(status)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Exported {
    /// `1` brings the extension too.
    extension: Option<String>,
}

#[utoipa::path(
    get,
    path = "/bundle",
    tag = "jobs",
    summary = "All there is of a job, to go on elsewhere",
    params(("id" = Uuid, Path, description = "The job"), Exported),
    responses((status = 200, description = "A bundle", body = Vec<u8>, content_type = "application/octet-stream"), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn export(
    State(api): State<Api>,
    JobId(id): JobId,
    Questions(query): Questions<Exported>,
) -> Result<impl IntoResponse, ApiError> {
    let with_extension = is_on(query.extension.as_deref(), "extension")?;
    let bytes = request::blocking(move || Ok(api.source.export(id, with_extension)?.encode())).await?;
    let name = format!("attachment; filename=\"{id}.bundle\"");
    let headers =
        [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, bytes))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Imported {
    /// `1` leaves it paused.
    paused: Option<String>,
}

#[utoipa::path(
    post,
    path = "/import",
    tag = "jobs",
    summary = "Takes over the job of a bundle",
    params(Imported),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, description = "The job", body = JobStatus), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn import(
    State(api): State<Api>,
    Questions(query): Questions<Imported>,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let options = ImportOptions { paused: is_on(query.paused.as_deref(), "paused")? };
    let (bytes, _room) = request::large(&api, body, BUNDLE_BYTES).await?;
    let bundle = request::blocking(move || Ok(Bundle::decode(&bytes)?)).await?;
    let _turn = api.turn_to_load().await;
    let job = api.source.manager()?.import(&bundle, options).await?;
    Ok(created(&job.status()))
}

/// That there is no such job.
pub(super) fn unknown(id: Uuid) -> ApiError {
    JobError::Unknown(id).into()
}
