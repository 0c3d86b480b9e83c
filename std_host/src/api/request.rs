//! What a request brings, read within bounds of size and time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use toehold::Uuid;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{Api, ApiError};

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(60);
/// How long none of it may come.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Bytes of a second that a body must have on the average, once it has had [`IDLE_TIME`]: who sends slower holds room that others
/// need.
const LEAST_RATE: u64 = 32 << 10;

/// The whole body of a request, of at most `limit` bytes.
pub(super) async fn bytes(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the request has more than {limit} bytes, which is as many as may be");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // Where the length stands above it, none of it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let too_slow = |message: String| Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message));
    let began = Instant::now();
    let mut body = Limited::new(body, limit);
    let mut read = Vec::new();
    loop {
        let rest = BODY_TIME.saturating_sub(began.elapsed());
        let Ok(frame) = tokio::time::timeout(rest.min(IDLE_TIME), body.frame()).await else {
            return too_slow(if rest > IDLE_TIME {
                format!("nothing of the request came for {} s", IDLE_TIME.as_secs())
            } else {
                format!("the request did not come within {} s", BODY_TIME.as_secs())
            });
        };
        match frame {
            None => return Ok(read.into()),
            Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Some(Err(error)) => return Err(ApiError::bad_request(format!("the request broke off: {error}"))),
        }
        let owed = began.elapsed().saturating_sub(IDLE_TIME).as_secs().saturating_mul(LEAST_RATE);
        if (read.len() as u64) < owed && !body.is_end_stream() {
            return too_slow(format!("the request came with less than {LEAST_RATE} bytes in a second"));
        }
    }
}

/// Mebibytes that large bodies may have together, while they are in memory.
pub(super) const ROOM_MIB: usize = 512;

/// As [`bytes`], of a body that may be large: so that many at once don't take all memory. Its room is free again once what
/// stands for it is dropped.
pub(super) async fn large(
    api: &Api,
    body: Body,
    limit: usize,
) -> Result<(Bytes, OwnedSemaphorePermit), ApiError> {
    let size = body.size_hint().upper().and_then(|size| usize::try_from(size).ok());
    let mebibytes = (size.map_or(limit, |size| size.min(limit)) >> 20).saturating_add(1).min(ROOM_MIB);
    let room = api.room.clone().acquire_many_owned(u32::try_from(mebibytes).unwrap_or(u32::MAX));
    match tokio::time::timeout(BODY_TIME, room).await {
        Ok(Ok(room)) => Ok((bytes(body, limit).await?, room)),
        _ => {
            let message = "others send large files at the same time; try again";
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message))
        }
    }
}

/// A body as JSON.
pub(super) async fn json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    let bytes = bytes(body, limit).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("the request's JSON can't be read: {error}")))
}

/// What stands behind the question mark.
pub(super) struct Questions<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Questions<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        query.map(|Query(query)| Self(query)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}

/// The job that a path names.
pub(super) struct JobId(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for JobId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| ApiError::bad_request(error.body_text()))?;
        let parsed = Uuid::parse_str(&id);
        parsed.map(Self).map_err(|error| ApiError::bad_request(format!("{id:?} is no job's id: {error}")))
    }
}

/// Whether a switch behind the question mark is on: `1` or `true`.
pub(super) fn is_on(switch: Option<&str>, name: &str) -> Result<bool, ApiError> {
    match switch {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(ApiError::bad_request(format!("{name} is {other:?}; it must be 0 or 1"))),
    }
}

/// Does what may take its time on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let message = format!("the host could not do it: {error}");
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message))
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    /// A body of so many pieces of so many bytes, before each of which there is a pause.
    fn body(pieces: u64, bytes: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |count| async move {
            tokio::time::sleep(pause).await;
            (count < pieces).then(|| (Ok::<_, Infallible>(Bytes::from(vec![0; bytes])), count + 1))
        }))
    }

    async fn read(body: Body) -> Result<usize, String> {
        bytes(body, 64 << 20).await.map(|bytes| bytes.len()).map_err(|error| {
            assert_eq!((error.status, error.code), (StatusCode::REQUEST_TIMEOUT, "too_slow"));
            error.message
        })
    }

    // The clock of these goes by itself, to the next moment at which something is to happen.
    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_for_a_while_is_given_up() {
        assert_eq!(read(body(5, 10, Duration::from_secs(1))).await, Ok(50));
        let error = read(Body::from_stream(stream::pending::<Result<Bytes, Infallible>>())).await;
        assert_eq!(error, Err("nothing of the request came for 10 s".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_a_little_now_and_then_is_given_up() {
        let error = read(body(1_000, 1, Duration::from_secs(9))).await;
        assert_eq!(error, Err("the request came with less than 32768 bytes in a second".to_owned()));
        // Slow, and fast enough.
        assert_eq!(read(body(45, 32 << 10, Duration::from_secs(1))).await, Ok(45 << 15));
        let error = read(body(1_000, 33 << 10, Duration::from_secs(1))).await;
        assert_eq!(error, Err("the request did not come within 60 s".to_owned()));
    }
}
