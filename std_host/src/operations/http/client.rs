//! The connections: where they lead to is decided here, and by nobody else.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use futures_util::FutureExt;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};
use rustls::{ClientConfig, RootCertStore};

use super::{HttpError, access::Inner, pattern::Port};

/// How long to wait for a connection, and how long one that is not used is kept.
const CONNECT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
/// Connections to one host that are kept.
const IDLE_CONNECTIONS: usize = 4;

/// A client of one extension for one port, whose connections are no other's. It follows no redirect, knows no proxy and no cookies, and
/// takes bodies as they come, however they are packed.
pub(super) fn build(access: Weak<Inner>, port: Port) -> Result<Client, String> {
    Client::builder()
        .tls_backend_preconfigured(tls()?)
        .dns_resolver(Resolver(access, port))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("toehold/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| chain(&error))
}

/// What the system trusts, read once.
fn tls() -> Result<ClientConfig, String> {
    static TLS: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
    let make = || {
        let mut roots = RootCertStore::empty();
        // Some that can't be read leave the others; where there are none, no https host is trusted, and says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    };
    TLS.get_or_init(make).clone()
}

/// Gives only addresses that may be connected to: those are the ones that are, so that a name which changes its mind between
/// a check and the connection gains nothing.
struct Resolver(Weak<Inner>, Port);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (access, port) = (self.0.clone(), self.1);
        async move {
            let access = access.upgrade().ok_or("the extension is gone")?;
            let found = access.addresses(name.as_str().to_owned(), port).await.map_err(Refused)?;
            // The port 0 stands for the URL's.
            let found: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(found)
        }
        .boxed()
    }
}

/// An error of ours on its way through theirs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(HttpError);

/// What went wrong, in our words if we have refused it.
pub(super) fn failed(error: reqwest::Error) -> HttpError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(Refused(error)) = one.downcast_ref() {
            return error.clone();
        }
        cause = one.source();
    }
    HttpError::Failed(chain(&error.without_url()))
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = one.source();
    }
    text
}
