//! Connections, as they come.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, serve::Listener};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::{connection, tls::Tls};
use crate::api::Api;

/// Connections at a time, on one socket or address. Further ones wait until one of them is done.
pub(super) const CONNECTIONS: usize = 2_048;

/// Takes connections until the API is closed, and then waits for those that are there.
///
/// Where the operating system can't give one, for too many open files, axum's listeners wait for a second and try again.
pub(super) async fn accept<L: Listener>(api: Api, mut listener: L, tls: Option<Tls>, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = places.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await.0, place))
        };
        let (stream, place) = tokio::select! {
            Some(next) = next => next,
            () = api.closed() => break,
        };
        let (api, router, tls) = (api.clone(), router.clone(), tls.clone());
        let head_time = connection::head_time(places.available_permits(), CONNECTIONS);
        connections.spawn(async move {
            connection::serve(api, router, tls, stream, head_time).await;
            drop(place);
        });
        // Those that are over would pile up.
        while connections.try_join_next().is_some() {}
    }
    // Nobody is let in any more.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Sends each event at once: Nagle's algorithm would hold it back for the one before it.
pub(super) struct NoDelay(pub(super) TcpListener);

impl Listener for NoDelay {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            // It only takes longer.
            log::debug!("{from}: {error}");
        }
        (stream, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
