//! A server of the API on a Unix socket.

use std::{future::Future, pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::Api;

/// Connections at a time. Further ones wait until one of them is done.
const CONNECTIONS: usize = 1_024;
/// How long the head of a request may take, and a connection may be without one.
const HEAD_TIME: Duration = Duration::from_secs(10);
const HEADERS: usize = 64;
/// Bytes of the head of a request; of a connection's buffer, that is.
const HEAD_BYTES: usize = 64 << 10;
/// How long a request under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait after the operating system could not give a connection, such as for too many open files.
const AGAIN: Duration = Duration::from_millis(100);

/// Answers requests on a socket until `stop`; then lets those that are under way come to their end, for a short time, and
/// closes the API.
pub async fn serve(api: &Api, listener: UnixListener, stop: impl Future<Output = ()>) {
    let router = api.router();
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            let (stream, _) = listener.accept().await.inspect_err(|error| log::warn!("{error}")).ok()?;
            Some((stream, place))
        };
        tokio::select! {
            accepted = next => match accepted {
                Some((stream, place)) => {
                    connections.spawn(connection(api.clone(), router.clone(), stream, place));
                }
                None => tokio::time::sleep(AGAIN).await,
            },
            () = &mut stop => break,
        }
        // Those that are over would pile up.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    api.close();
    while connections.join_next().await.is_some() {}
}

async fn connection(api: Api, router: Router, stream: UnixStream, _place: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
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
