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

pub(super) async fn serve<S>(api: Api, router: Router, tls: Option<Tls>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(tls) = tls else { return http(api, router, stream).await };
    tokio::select! {
        agreed = tokio::time::timeout(TLS_TIME, tls.accept(stream)) => match agreed {
            Ok(Ok(stream)) => http(api, router, stream).await,
            // A client that speaks something else, or does not trust the certificate.
            Ok(Err(error)) => log::debug!("a connection came to no TLS: {error}"),
            Err(_) => log::debug!("a connection came to no TLS within {} s", TLS_TIME.as_secs()),
        },
        () = api.closed() => {}
    }
}

async fn http<S>(api: Api, router: Router, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(SEND_TIME));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
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
