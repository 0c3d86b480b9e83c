use std::{net::IpAddr, time::Duration};

/// Why a request was not made, or not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    #[error("the URL has {bytes} bytes; it may have {most}")]
    UrlLength { bytes: usize, most: usize },
    #[error("the URL can't be used: {0}")]
    Url(String),
    #[error("{0} is outside of what the manifest's `permissions.network_access` asks for")]
    NotAsked(String),
    #[error("{0} is asked for by the manifest, but not allowed by the operator (--allow-net)")]
    NotAllowed(String),
    #[error(
        "the host has the address {0}, which is not public: it is reached only if the operator names the address or its \
         network (--allow-net)"
    )]
    Address(IpAddr),
    #[error("the host {name} was not found: {reason}")]
    Lookup { name: String, reason: String },
    #[error("no request can be made here: {0}")]
    Client(String),
    #[error("a redirect leads to {to:?}, which is not followed: {reason}")]
    Redirect { to: String, reason: String },
    #[error("more than {0} redirects, most likely in a circle")]
    Redirects(usize),
    #[error("the reply's body has more than {0} bytes; ask for a part of it, or for more with `max_bytes`")]
    ReplyBytes(usize),
    #[error("the reply's headers have {bytes} bytes; they may have {most}")]
    ReplyHeaders { bytes: usize, most: usize },
    #[error("no complete reply within {}", humantime::format_duration(*.0))]
    Time(Duration),
    #[error("{0}")]
    Failed(String),
}
