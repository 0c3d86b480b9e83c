//! One connection, within bounds of size and time.

use std::{pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_io_timeout::TimeoutWriter;

use super::tls::Tls;
use crate::api::Api;

/// How long the head of a request may take, and a connection may be without one.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The same where places are few: who has nothing to ask does not keep others out for long.
const HEAD_TIME_WHEN_CROWDED: Duration = Duration::from_secs(2);
/// Headers that a request may have.
const HEADERS: usize = 64;
/// Bytes of the head of a request; of a connection's buffer, that is.
const HEAD_BYTES: usize = 64 << 10;
/// How long a client may take nothing of an answer that is there for it.
const SEND_TIME: Duration = Duration::from_secs(30);
/// How long the agreement on how to encrypt may take.
const TLS_TIME: Duration = Duration::from_secs(10);
/// How long a request under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// How long a connection may be without a whole head of a request, where so many places of so many are free.
pub(super) fn head_time(free: usize, places: usize) -> Duration {
    if free < places / 2 { HEAD_TIME_WHEN_CROWDED } else { HEAD_TIME }
}

pub(super) async fn serve<S>(api: Api, router: Router, tls: Option<Tls>, stream: S, head_time: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(tls) = tls else { return http(api, router, stream, head_time).await };
    tokio::select! {
        agreed = tokio::time::timeout(TLS_TIME.min(head_time), tls.accept(stream)) => match agreed {
            Ok(Ok(stream)) => http(api, router, stream, head_time).await,
            // A client that speaks something else, or does not trust the certificate.
            Ok(Err(error)) => log::debug!("a connection came to no TLS: {error}"),
            Err(_) => log::debug!("a connection came to no TLS in time"),
        },
        () = api.closed() => {}
    }
}

async fn http<S>(api: Api, router: Router, stream: S, head_time: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(SEND_TIME));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = api.closed() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        // A client that went away, or one that speaks something else: nothing to be done about it here.
        log::debug!("a connection ended: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_nothing_goes_sooner_where_places_are_few() {
        assert_eq!(head_time(1_024, 2_048), HEAD_TIME);
        assert_eq!(head_time(1_023, 2_048), HEAD_TIME_WHEN_CROWDED);
        assert_eq!(head_time(0, 2_048), HEAD_TIME_WHEN_CROWDED);
    }
}
