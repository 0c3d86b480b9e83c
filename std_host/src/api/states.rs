//! The states that a job was dispatched with and has checkpointed, as far as somebody can read them.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::value::RawValue;
use toehold::{Checkpoint, Uuid};
use utoipa::ToSchema;

use super::{
    Api, ApiError,
    error::ApiProblem,
    request::{self, JobId},
};
use crate::manager::JobError;

/// A state, as its guest wrote it.
#[derive(Serialize, ToSchema)]
pub(super) struct ShownState {
    /// The how many-th checkpoint it is; 0 is what the job was dispatched with.
    sequence: u64,
    /// The version that the extension's manifest gives its states.
    state_version: u32,
    /// Fuel that the job had used.
    fuel_used: u64,
    /// How many bytes it has.
    bytes: usize,
    /// The state, if it is JSON.
    #[schema(value_type = Option<Value>)]
    json: Option<Box<RawValue>>,
    /// Its bytes.
    base64: String,
}

/// The newest state: of the last checkpoint, or what the job was dispatched with.
#[utoipa::path(
    get,
    path = "/checkpoint",
    tag = "jobs",
    summary = "The newest state of a job",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The state", body = ShownState), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn newest(State(api): State<Api>, JobId(id): JobId) -> Result<Json<ShownState>, ApiError> {
    request::blocking(move || Ok(Json(shown(&read(&api, id)?.0)))).await
}

/// What the job was dispatched with, as long as it is kept.
#[utoipa::path(
    get,
    path = "/state",
    tag = "jobs",
    summary = "What a job was dispatched with, as long as that is kept",
    params(("id" = Uuid, Path, description = "The job")),
    responses((status = 200, description = "The state", body = ShownState), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn first(State(api): State<Api>, JobId(id): JobId) -> Result<Json<ShownState>, ApiError> {
    request::blocking(move || {
        let (newest, base) = read(&api, id)?;
        match [base, newest].into_iter().find(|checkpoint| checkpoint.sequence == 0) {
            Some(first) => Ok(Json(shown(&first))),
            None => {
                let message = format!(
                    "job {id} has gone on from a checkpoint; what it was dispatched with is kept no longer"
                );
                Err(ApiError::new(axum::http::StatusCode::NOT_FOUND, "no_state", message))
            }
        }
    })
    .await
}

/// The newest checkpoint, and the one that the run was entered with.
fn read(api: &Api, id: Uuid) -> Result<(Checkpoint, Checkpoint), ApiError> {
    let saved = api.source.reader().load(id)?.ok_or(JobError::Unknown(id))?;
    let decode = |bytes: &[u8]| Checkpoint::decode(bytes).map_err(|source| JobError::Format { id, source });
    Ok((decode(&saved.newest)?, decode(&saved.base)?))
}

fn shown(checkpoint: &Checkpoint) -> ShownState {
    let &Checkpoint { sequence, ref state, state_version, fuel_used, .. } = checkpoint;
    ShownState {
        sequence,
        state_version,
        fuel_used,
        bytes: state.len(),
        // With each digit of its numbers, as it is.
        json: serde_json::from_slice(state).ok(),
        base64: STANDARD.encode(state),
    }
}
