use axum::{
    Json,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;
use toehold::{FormatError, JobState, PackageError, Uuid};
use utoipa::ToSchema;

use super::upload::is_full;
use crate::{
    ExtensionError,
    manager::{DispatchError, ImportError, JobError, RemoveError},
    store::StoreError,
};

/// Why a request was refused: `{"error": {"code", "message"}}`, with a status to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status, 400 or more.
    pub status: StatusCode,
    /// One word for programs, such as `unknown_job`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// What is answered to a request that is refused.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct ApiProblem {
    error: Problem,
}

/// Why.
#[derive(ToSchema)]
#[allow(dead_code)]
struct Problem {
    /// One word for programs.
    #[schema(example = "unknown_job")]
    code: String,
    /// For people: what was asked, what was found, what to do.
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self { status, code, message: message.to_string() }
    }

    /// Something that the request says can't be right.
    pub(super) fn bad_request(message: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unprocessable(code: &'static str, message: impl ToString) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// There is only a store to read, and something was to be changed.
    pub(super) fn read_only() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "read_only",
            "another process has the data folder, so that it can only be read here",
        )
    }

    /// What was asked for would never come, since no job runs.
    pub(super) fn not_running(job: Uuid, state: JobState, in_use: bool) -> Self {
        let message = if in_use {
            format!(
                "job {job} is {state}, and another process has its data folder, without a socket to ask it; \
                 `toehold job show` tells how the job stands"
            )
        } else {
            format!(
                "job {job} is {state}, and nobody runs the jobs of its data folder; start `toehold serve`"
            )
        };
        Self::new(StatusCode::CONFLICT, "not_running", message)
    }

    /// The code and the message, as the API writes them.
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.to_json())).into_response()
    }
}

pub(super) async fn no_route(uri: Uri) -> ApiError {
    let message = format!("there is nothing at {}; see the API's routes", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, "no_such_route", message)
}

pub(super) async fn no_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{method} can't be done at {}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::Full { .. } => (StatusCode::INSUFFICIENT_STORAGE, "store_full"),
            StoreError::Remote { full: true, .. } => (StatusCode::INSUFFICIENT_STORAGE, "store_full"),
            StoreError::Remote { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store_unreachable"),
            StoreError::Exists { .. } => (StatusCode::CONFLICT, "job_exists"),
            StoreError::Over { .. } => (StatusCode::CONFLICT, "job_over"),
            StoreError::Lost { .. } => (StatusCode::CONFLICT, "job_busy"),
            StoreError::NoSuchJob { .. } => (StatusCode::NOT_FOUND, "unknown_job"),
            StoreError::Closed { .. } => (StatusCode::SERVICE_UNAVAILABLE, "closing"),
            StoreError::Damaged { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "store_damaged"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "store_failed"),
        };
        Self::new(status, code, error)
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => error.into(),
            JobError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "unknown_job", error),
            JobError::Over { .. } => Self::new(StatusCode::CONFLICT, "job_over", error),
            JobError::Busy { .. } | JobError::HasParent { .. } => {
                Self::new(StatusCode::CONFLICT, "job_busy", error)
            }
            JobError::Format { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable_job", error),
        }
    }
}

impl From<DispatchError> for ApiError {
    fn from(error: DispatchError) -> Self {
        match error {
            DispatchError::Store(error) => error.into(),
            DispatchError::Extension(error) => error.into(),
            DispatchError::Name(_) => Self::bad_request(error),
            DispatchError::Exists(_) => Self::new(StatusCode::CONFLICT, "job_exists", error),
            _ => Self::unprocessable("not_dispatched", error),
        }
    }
}

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
            ImportError::Format(error) => error.into(),
            ImportError::Exists(_) => Self::new(StatusCode::CONFLICT, "job_exists", error),
            ImportError::NoModule { .. } => Self::unprocessable("no_module", error),
            ImportError::Unsigned { .. } | ImportError::Untrusted(_) | ImportError::Brought { .. } => {
                Self::unprocessable("untrusted", error)
            }
            _ => Self::unprocessable("not_imported", error),
        }
    }
}

impl From<FormatError> for ApiError {
    fn from(error: FormatError) -> Self {
        Self::unprocessable("bad_bundle", error)
    }
}

/// Whether a package is refused for who signed it or did not, and not for what it is.
fn is_untrusted(error: &PackageError) -> bool {
    matches!(error, PackageError::Unsigned | PackageError::Untrusted(_) | PackageError::Forged(_))
}

impl From<ExtensionError> for ApiError {
    fn from(error: ExtensionError) -> Self {
        match error {
            ExtensionError::Read { ref source, .. } if is_full(source) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "store_full", error)
            }
            ExtensionError::NotLoaded { .. } => {
                Self::new(StatusCode::CONFLICT, "extension_not_loaded", error)
            }
            ExtensionError::Publish { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unreachable", error)
            }
            ExtensionError::Unknown { .. } => Self::new(StatusCode::NOT_FOUND, "unknown_extension", error),
            ExtensionError::Unsigned { .. } | ExtensionError::Changed { .. } => {
                Self::unprocessable("untrusted", error)
            }
            ExtensionError::Package { ref source, .. } if is_untrusted(source) => {
                Self::unprocessable("untrusted", error)
            }
            _ => Self::unprocessable("bad_extension", error),
        }
    }
}

impl From<RemoveError> for ApiError {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::Extension(error) => error.into(),
            _ => Self::new(StatusCode::CONFLICT, "extension_in_use", error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_disk_that_is_full_is_told_from_an_extension_that_is_bad() {
        let status = |kind: io::ErrorKind| {
            let error = ExtensionError::Read { path: "extensions/a".into(), source: kind.into() };
            let error = ApiError::from(error);
            (error.status.as_u16(), error.code)
        };
        assert_eq!(status(io::ErrorKind::StorageFull), (507, "store_full"));
        assert_eq!(status(io::ErrorKind::QuotaExceeded), (507, "store_full"));
        assert_eq!(status(io::ErrorKind::NotFound), (422, "bad_extension"));
    }
}
