use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use reqwest::Client;
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::{
    HttpError,
    address::{self, Network},
    client,
    pattern::{HostPattern, PatternError, Port},
    secret::Secret,
};

/// What the operator lets extensions reach over the network, and what they may use of it. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct NetworkOptions {
    /// The hosts and addresses.
    pub allow: Vec<NetworkRule>,
    /// Headers that the host adds.
    pub secrets: Vec<Secret>,
    /// What a request may take.
    pub limits: HttpLimits,
}

/// A host, or an address, that the operator lets extensions reach whose manifests ask for it.
///
/// It is a [`HostPattern`], or a network such as `10.0.0.0/8`. Addresses that are not public (private, of this machine,
/// link-local, and so on) are reached only where a rule names the address itself or a network that has it, whatever name
/// leads to them; a network alone agrees to no name, but to its addresses on all ports, by https and http.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule(Rule);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Pattern(HostPattern),
    Network(Network),
}

/// What a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// How long all of it may take, redirects and the reply's body included.
    pub time: Duration,
    /// Bytes of a request's body.
    pub request_bytes: usize,
    /// Bytes of a reply's body, unless the guest asks for another limit, up to what a reply to a guest may have.
    pub reply_bytes: usize,
    /// Bytes of a URL.
    pub url_bytes: usize,
    /// Bytes of all headers, of a request and of a reply.
    pub header_bytes: usize,
    /// Redirects that are followed.
    pub redirects: usize,
    /// Requests that an extension has under way at a time; further ones wait, within their time.
    pub at_a_time: usize,
}

impl Default for HttpLimits {
    /// 30 s, bodies of 1 MiB, URLs of 8 KiB, headers of 32 KiB, 5 redirects, 8 requests at a time.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(30),
            request_bytes: 1 << 20,
            reply_bytes: 1 << 20,
            url_bytes: 8 << 10,
            header_bytes: 32 << 10,
            redirects: 5,
            at_a_time: 8,
        }
    }
}

/// What one extension may reach over the network: where both its manifest and the operator agree. The default is nothing.
#[derive(Clone, Default)]
pub struct NetworkAccess(Option<Arc<Inner>>);

pub(super) struct Inner {
    asked: Vec<HostPattern>,
    allowed: Vec<NetworkRule>,
    refused: Vec<String>,
    pub(super) secrets: Vec<Secret>,
    pub(super) limits: HttpLimits,
    /// Bytes of a reply to the guest.
    pub(super) most_bytes: usize,
    pub(super) places: Semaphore,
    lookup: Lookup,
    /// For each port, since what a name may lead to depends on it. There are as many as the manifest names, at most.
    clients: Mutex<HashMap<Port, Client>>,
}

/// Finds the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

impl NetworkAccess {
    /// What the extension with this id may reach whose manifest asks for these hosts in `permissions.network_access`. A reply
    /// to the guest has at most so many bytes.
    #[must_use]
    pub fn new(extension: &str, asked: &[String], options: &NetworkOptions, most_bytes: usize) -> Self {
        Self::with_lookup(extension, asked, options, most_bytes, Arc::new(system_lookup))
    }

    pub(super) fn with_lookup(
        extension: &str,
        asked: &[String],
        options: &NetworkOptions,
        most_bytes: usize,
        lookup: Lookup,
    ) -> Self {
        let mut refused = Vec::new();
        let mut patterns: Vec<HostPattern> = Vec::new();
        for entry in asked {
            match entry.parse::<HostPattern>() {
                Err(error) => refused.push(format!("`permissions.network_access`: {error}")),
                Ok(pattern) => {
                    if !options.allow.iter().any(|rule| rule.meets(&pattern)) {
                        refused.push(format!(
                            "`permissions.network_access` has {entry:?}, which is not granted: the operator allows no host \
                             that it fits (--allow-net)"
                        ));
                    }
                    patterns.push(pattern);
                }
            }
        }
        let secrets = options.secrets.iter().filter(|secret| secret.is_of(extension)).cloned();
        Self(Some(Arc::new(Inner {
            asked: patterns,
            allowed: options.allow.clone(),
            refused,
            secrets: secrets.collect(),
            limits: options.limits,
            most_bytes,
            places: Semaphore::new(options.limits.at_a_time),
            lookup,
            clients: Mutex::default(),
        })))
    }

    /// What the manifest asks for and does not get, for the operator to know.
    #[must_use]
    pub fn refused(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |inner| &inner.refused)
    }

    pub(super) fn inner(&self) -> Option<&Arc<Inner>> {
        self.0.as_ref()
    }
}

impl fmt::Debug for NetworkAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.0.as_ref().map(|inner| &inner.asked);
        f.debug_struct("NetworkAccess").field("asked", &asked).finish_non_exhaustive()
    }
}

impl Inner {
    /// A URL that may be asked, as it will be asked: this text, which is the guest's or a redirect's.
    pub(super) fn check_text(&self, text: &str) -> Result<Url, HttpError> {
        if text.len() > self.limits.url_bytes {
            return Err(HttpError::UrlLength { bytes: text.len(), most: self.limits.url_bytes });
        }
        // What URLs are forgiven for elsewhere, and what people hide other hosts in.
        if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
            return Err(HttpError::Url("it has a backslash, white space or control characters".to_owned()));
        }
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if rest.is_empty() || rest.starts_with('/') {
            return Err(HttpError::Url("it must start with https:// or http:// and a host".to_owned()));
        }
        let url = Url::parse(text).map_err(|error| HttpError::Url(error.to_string()))?;
        self.check(&url)?;
        Ok(url)
    }

    /// Refuses a URL that the manifest or the operator does not agree to. What its name leads to is looked at when it is
    /// connected to.
    pub(super) fn check(&self, url: &Url) -> Result<(), HttpError> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(HttpError::Url(format!(
                "its scheme is {:?}; it must be https or http",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HttpError::Url("it has a user's name or password in it; use a header".to_owned()));
        }
        let Some(host) = url.host() else { return Err(HttpError::Url("it has no host".to_owned())) };
        if url.host_str().is_some_and(|host| host.ends_with('.')) {
            return Err(HttpError::Url("its host ends with a dot; leave that out".to_owned()));
        }
        let shown = || url.origin().ascii_serialization();
        if !self.asked.iter().any(|pattern| pattern.matches(url)) {
            return Err(HttpError::NotAsked(shown()));
        }
        if !self.allowed.iter().any(|rule| rule.agrees(url)) {
            return Err(HttpError::NotAllowed(shown()));
        }
        match host {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.check_address(address.into(), Port::of(url)),
            Host::Ipv6(address) => self.check_address(address.into(), Port::of(url)),
        }
    }

    /// Refuses an address that is not public, unless the operator names it, with the port that is asked for.
    pub(super) fn check_address(&self, address: IpAddr, port: Port) -> Result<(), HttpError> {
        if address::is_public(address) || self.allowed.iter().any(|rule| rule.names(address, port)) {
            Ok(())
        } else {
            Err(HttpError::Address(address))
        }
    }

    /// The addresses of a name that may be connected to, on this port.
    pub(super) async fn addresses(&self, name: String, port: Port) -> Result<Vec<IpAddr>, HttpError> {
        let found = (self.lookup)(name.clone()).await;
        let found =
            found.map_err(|error| HttpError::Lookup { name: name.clone(), reason: error.to_string() })?;
        let first = found.first().copied();
        let allowed: Vec<IpAddr> =
            found.into_iter().filter(|address| self.check_address(*address, port).is_ok()).collect();
        match first {
            None => Err(HttpError::Lookup { name, reason: "it has no address".to_owned() }),
            Some(address) if allowed.is_empty() => Err(HttpError::Address(address)),
            Some(_) => Ok(allowed),
        }
    }

    /// The client for a URL that was checked.
    pub(super) fn client(self: &Arc<Self>, url: &Url) -> Result<Client, HttpError> {
        let port = Port::of(url);
        // A thread that panicked while it held the lock left whole clients behind.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port) {
            return Ok(client.clone());
        }
        // The resolver in it must not keep this.
        let client = client::build(Arc::downgrade(self), port).map_err(HttpError::Client)?;
        clients.insert(port, client.clone());
        Ok(client)
    }
}

impl NetworkRule {
    /// Whether the operator agrees to a URL.
    fn agrees(&self, url: &Url) -> bool {
        match (&self.0, url.host()) {
            (Rule::Pattern(pattern), _) => pattern.matches(url),
            (Rule::Network(network), Some(Host::Ipv4(address))) => network.contains(address.into()),
            (Rule::Network(network), Some(Host::Ipv6(address))) => network.contains(address.into()),
            _ => false,
        }
    }

    /// Whether the operator names this very address with this port, or its network.
    fn names(&self, address: IpAddr, port: Port) -> bool {
        match &self.0 {
            Rule::Pattern(pattern) => {
                pattern.is_on(port)
                    && pattern
                        .address()
                        .is_some_and(|named| address::canonical(named) == address::canonical(address))
            }
            Rule::Network(network) => network.contains(address),
        }
    }

    fn meets(&self, pattern: &HostPattern) -> bool {
        match &self.0 {
            Rule::Pattern(own) => own.meets(pattern),
            Rule::Network(network) => pattern.address().is_some_and(|address| network.contains(address)),
        }
    }
}

impl FromStr for NetworkRule {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text.parse() {
            Ok(network) => Ok(Self(Rule::Network(network))),
            Err(()) if text.contains('/') && !text.contains("://") => Err(PatternError {
                text: text.chars().take(80).collect(),
                reason: "nor a network, which is written as its first address and the number of bits that all have in \
                         common, such as 10.0.0.0/8",
            }),
            Err(()) => text.parse().map(|pattern| Self(Rule::Pattern(pattern))),
        }
    }
}

impl fmt::Display for NetworkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Pattern(pattern) => write!(f, "{pattern}"),
            Rule::Network(network) => write!(f, "{network}"),
        }
    }
}

/// What the system says.
fn system_lookup(name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
    async move {
        // The port is of no account; the system's lookup blocks.
        let found = tokio::task::spawn_blocking(move || (name.as_str(), 0).to_socket_addrs()).await;
        let found = found.map_err(io::Error::other)??;
        Ok(found.map(|address| address.ip()).collect())
    }
    .boxed()
}
