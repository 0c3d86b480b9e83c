//! The states that a job was dispatched with and has checkpointed, as far as somebody can read them.

use axum::{Json, extract::State};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json, value::RawValue};
use toehold::{Checkpoint, Uuid};

use super::{
    Api, ApiError,
    request::{self, JobId},
};
use crate::manager::JobError;

/// The newest state: of the last checkpoint, or what the job was dispatched with.
pub(super) async fn newest(State(api): State<Api>, JobId(id): JobId) -> Result<Json<Value>, ApiError> {
    request::blocking(move || Ok(Json(shown(&read(&api, id)?.0)))).await
}

/// What the job was dispatched with, as long as it is kept.
pub(super) async fn first(State(api): State<Api>, JobId(id): JobId) -> Result<Json<Value>, ApiError> {
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

fn shown(checkpoint: &Checkpoint) -> Value {
    let Checkpoint { sequence, state, state_version, fuel_used, .. } = checkpoint;
    // As it is, with each digit of its numbers, where it is JSON.
    let text: Option<&RawValue> = serde_json::from_slice(state).ok();
    json!({
        "sequence": sequence,
        "state_version": state_version,
        "fuel_used": fuel_used,
        "bytes": state.len(),
        "json": text,
        "base64": STANDARD.encode(state),
    })
}
