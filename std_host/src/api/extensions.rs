//! Extensions: listed, described, installed, reloaded and removed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{
    Api, ApiError,
    error::ApiProblem,
    request,
    schema::{Extension, Extensions},
    upload::{Files, Named, Upload},
};
use crate::{
    ExtensionError, Installed, NotLoaded,
    manager::{Manager, RemoveError, hex},
};

#[utoipa::path(
    get,
    path = "",
    tag = "extensions",
    summary = "What is installed",
    responses((status = 200, description = "Extensions", body = Extensions), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    let manager = api.source.manager()?.extensions();
    let extensions: Vec<Value> = manager.list().iter().map(|one| describe(one)).collect();
    let failed: Vec<Value> = manager.not_loaded().iter().map(describe_failed).collect();
    Ok(Json(json!({ "extensions": extensions, "not_loaded": failed })))
}

#[utoipa::path(
    get,
    path = "",
    tag = "extensions",
    summary = "All about an extension",
    params(("id" = String, Path, description = "The extension")),
    responses((status = 200, description = "The extension", body = Extension), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(Json(describe(&*api.source.manager()?.extensions().get(&id)?)))
}

#[utoipa::path(
    post,
    path = "",
    tag = "extensions",
    summary = "Installs an extension, or another version of one",
    request_body(content((Named = "application/json"), (Vec<u8> = "application/octet-stream"), (Files = "multipart/form-data"))),
    responses((status = 201, description = "The extension", body = Extension), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn add(State(api): State<Api>, request: Request) -> Result<impl IntoResponse, ApiError> {
    let upload = Upload::receive(&api, request).await?;
    // With the work, which goes on where nobody waits for it any more.
    let turn = api.turn_to_load().await;
    let manager = api.source.manager()?.clone();
    let added = request::blocking(move || {
        let _turn = turn;
        installed(&manager, manager.add_extension(upload.path())).map_err(|error| upload.error(error))
    });
    Ok((StatusCode::CREATED, Json(added.await?)))
}

/// What would be installed, and what is there in its place.
#[utoipa::path(
    post,
    path = "/inspect",
    tag = "extensions",
    summary = "Tells of an extension without installing it",
    request_body(content((Named = "application/json"), (Vec<u8> = "application/octet-stream"), (Files = "multipart/form-data"))),
    responses((status = 200, description = "The extension, and what is `installed` in its place", body = Extension), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn inspect(State(api): State<Api>, request: Request) -> Result<Json<Value>, ApiError> {
    let upload = Upload::receive(&api, request).await?;
    let turn = api.turn_to_load().await;
    let manager = api.source.manager()?.clone();
    let looked = move || {
        let _turn = turn;
        let found =
            manager.extensions().look_into(upload.path()).map_err(|error| upload.error(error.into()))?;
        let there = manager.extensions().get(found.extension().id()).ok();
        let mut description = describe(&found);
        description["folder"] = Value::Null;
        description["installed"] = there.map_or(Value::Null, |there| {
            let extension = there.extension();
            json!({ "version": extension.manifest().version(), "module_sha256": hex(&extension.module().hash) })
        });
        Ok(description)
    };
    request::blocking(looked).await.map(Json)
}

#[utoipa::path(
    post,
    path = "/reload",
    tag = "extensions",
    summary = "Loads the files of an extension anew",
    params(("id" = String, Path, description = "The extension")),
    responses((status = 200, description = "The extension", body = Extension), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn reload(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let manager = api.source.manager()?.clone();
    let turn = api.turn_to_load().await;
    let reloaded = request::blocking(move || {
        let _turn = turn;
        installed(&manager, manager.reload_extension(&id))
    });
    Ok(Json(reloaded.await?))
}

/// What is installed now. That the one before it failed to clean up changes nothing about it.
fn installed(manager: &Manager, result: Result<Arc<Installed>, ExtensionError>) -> Result<Value, ApiError> {
    match result {
        Ok(installed) => Ok(describe(&installed)),
        Err(ExtensionError::Cleanup { id, fault }) => {
            log::warn!("the clean-up of the {id} before failed: {fault}");
            Ok(describe(&*manager.extensions().get(&id)?))
        }
        Err(error) => Err(error.into()),
    }
}

#[utoipa::path(
    delete,
    path = "",
    tag = "extensions",
    summary = "Removes an extension, none of whose jobs is left to run",
    params(("id" = String, Path, description = "The extension")),
    responses((status = 204, description = "It is gone"), (status = "default", description = "Refused", body = ApiProblem))
)]
pub(super) async fn remove(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, ApiError> {
    let manager = api.source.manager()?.clone();
    request::blocking(move || match manager.remove_extension(&id) {
        Err(RemoveError::Extension(error @ ExtensionError::Cleanup { .. })) => {
            log::warn!("{error}");
            Ok(())
        }
        removed => Ok(removed?),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What there is to say of an extension that could not be loaded.
#[must_use]
pub fn describe_failed(failed: &NotLoaded) -> Value {
    json!({ "id": failed.id, "folder": failed.folder.display().to_string(), "error": failed.error })
}

/// Lines of a list of an extension's parts, and characters of each. A module may have a million exports, or names of a mebibyte.
const LISTED: usize = 1_000;
const LISTED_CHARS: usize = 300;

/// What is shown of a list, and how much more there is.
fn bounded(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = lines.fuse();
    let cut = |mut line: String| {
        if let Some((end, _)) = line.char_indices().nth(LISTED_CHARS) {
            line.truncate(end);
            line.push('…');
        }
        line
    };
    let mut shown: Vec<String> = lines.by_ref().take(LISTED).map(cut).collect();
    let more = lines.count();
    if more > 0 {
        shown.push(format!("… and {more} more"));
    }
    shown
}

/// All that there is to know of an extension, in the order in which people want it.
#[must_use]
pub fn describe(installed: &Installed) -> Value {
    let extension = installed.extension();
    let (manifest, module, limits) = (extension.manifest(), extension.module(), extension.limits());
    let hash = hex(&module.hash);
    let grants = installed.grants();
    let refused = grants.files.refused().iter().map(ToString::to_string);
    let refused =
        refused.chain(grants.network.refused().iter().cloned()).chain(installed.doubts().iter().cloned());
    let warnings = bounded(extension.warnings().iter().cloned().chain(refused));
    let imports = bounded(
        module.imports.iter().map(|import| format!("{}.{} {}", import.module, import.name, import.ty)),
    );
    let exports = bounded(module.exports.iter().map(|export| format!("{} {}", export.name, export.ty)));
    let jobs: Vec<Value> = extension
        .jobs()
        .iter()
        .map(|job| {
            json!({
                "name": format!("{}:{}", extension.id(), job.name),
                "export": job.export,
                "resumable": job.resumable,
                "registered": job.registered,
                "state_schema": installed.state_schema(&job.name),
            })
        })
        .collect();
    json!({
        "id": manifest.id(),
        "name": manifest.name(),
        "version": manifest.version(),
        "description": manifest.description(),
        "author": manifest.author(),
        "homepage": manifest.homepage(),
        "folder": installed.folder().display().to_string(),
        "signer": installed.signer().map(ToString::to_string),
        "module": { "file": manifest.wasm_file(), "bytes": module.bytes, "sha256": hash },
        "jobs": jobs,
        "config_schema": installed.config_schema(),
        "permissions": serde_json::to_value(manifest.permissions()).unwrap_or_default(),
        "limits": {
            "module_bytes": limits.module_bytes,
            "memory_bytes": limits.memory_bytes,
            "tables": limits.tables,
            "table_elements": limits.table_elements,
            // The largest number there is stands for no limit.
            "fuel_per_job": (limits.fuel_per_job != u64::MAX).then_some(limits.fuel_per_job),
            "requests_per_minute": limits.requests_per_minute,
            "concurrent_jobs": limits.concurrent_jobs,
            "grace_fuel": limits.grace_fuel,
            "call_depth": limits.call_depth,
            "stack_bytes": limits.stack_bytes,
            "state_bytes": limits.state_bytes,
            "payload_bytes": limits.payload_bytes,
            "reply_bytes": limits.reply_bytes,
            "line_bytes": limits.line_bytes,
            "log_lines": limits.log_lines,
            "warnings": limits.warnings,
        },
        "memory_at_start_bytes": module.memory_bytes,
        "imports": imports,
        "exports": exports,
        "warnings": warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_as_long_as_it_may_be_and_says_what_is_missing() {
        assert_eq!(bounded(["a".to_owned()].into_iter()), ["a"]);
        let many = bounded((0..LISTED + 7).map(|number| number.to_string()));
        assert_eq!((many.len(), many[LISTED].as_str()), (LISTED + 1, "… and 7 more"));
        let long = bounded(["ä".repeat(1 << 20)].into_iter());
        assert_eq!(long[0], format!("{}…", "ä".repeat(LISTED_CHARS)));
    }
}
