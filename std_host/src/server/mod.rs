//! A server of the [API](crate::api): on a Unix socket for the owner of the data folder, and on a TCP address for
//! browsers and for other machines.
//!
//! ```text
//! socket ──────────────────────────────────────► Api::router
//! address ─► TLS ─► limits ─► Host, Origin, token ─┬► Api::router
//!                                                  └► /metrics, /healthz, page::router
//! ```
//!
//! Who can open the socket may do everything, so its file is for the owner alone. Who can open a connection to the address
//! must have the [`Token`], if there is one; and a request that a browser makes for a page of somebody else is
//! refused, with a token or without: [`Access`] says how.
//!
//! A connection has bounds: of its number, of the size of a request's head, of the time that a request takes to come and an
//! answer to go. A body has those of [`Api`].

mod connection;
mod guard;
mod headers;
mod listen;
mod tls;
mod token;

use std::{future::Future, pin::pin};

use axum::{Router, middleware, serve::Listener};
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::{net::TcpListener, task::JoinSet};

pub use guard::{Access, HostName};
pub use tls::{Tls, TlsError};
pub use token::{Token, TokenError};

use crate::{api::Api, page};

/// Answers requests about a data folder on one socket or address, or several.
#[derive(Debug)]
pub struct Server {
    api: Api,
    listeners: JoinSet<()>,
}

impl Server {
    /// A server that nobody reaches yet.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api, listeners: JoinSet::new() }
    }

    /// Answers on a Unix socket, whoever can open it. Must be called within a tokio runtime.
    #[cfg(unix)]
    pub fn on_socket(&mut self, listener: UnixListener) {
        let router = self.api.router();
        self.on(listener, None, router);
    }

    /// Answers on a TCP address, whom `access` lets in. Must be called within a tokio runtime.
    pub fn on_address(&mut self, listener: TcpListener, access: Access, tls: Option<Tls>) {
        let is_encrypted = tls.is_some();
        let router = self
            .api
            .router()
            .layer(middleware::from_fn_with_state(access.clone(), guard::token))
            .merge(page::router())
            .layer(middleware::from_fn_with_state(access, guard::browser))
            .layer(middleware::from_fn_with_state(is_encrypted, headers::add));
        self.on(listen::NoDelay(listener), tls, router);
    }

    fn on<L: Listener>(&mut self, listener: L, tls: Option<Tls>, router: Router) {
        self.listeners.spawn(listen::accept(self.api.clone(), listener, tls, router));
    }

    /// Serves until `stop`; then lets requests that are under way come to their end, for a short time, and closes the API.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        tokio::select! {
            () = async { while self.listeners.join_next().await.is_some() {} } => {}
            () = &mut stop => {}
        }
        self.api.close();
        while self.listeners.join_next().await.is_some() {}
    }
}
