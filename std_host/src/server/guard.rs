//! Who is let in on an address.
//!
//! A browser sends requests for whatever page it shows, also to addresses that only this machine reaches. What tells one
//! of the server's own page from those of others are headers that no page can forge: `Origin`, `Sec-Fetch-Site`, and `Host`,
//! which is somebody else's name where that was made to lead here (DNS rebinding).

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::Token;
use crate::api::ApiError;

/// Whom a server lets in on an address.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// What clients have to know. Without one, everybody who can open a connection may do everything.
    pub token: Option<Token>,
    /// Names under which the server may be asked, besides `localhost`, those that end in `.localhost`, and addresses. With
    /// a token, and without names here, any.
    pub hosts: Vec<HostName>,
}

/// The name of a server, such as `jobs.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// A name, without port. Case does not matter, nor does a dot at the end.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
    }

    /// Whether pages of others can't have it: they come by a name that their owner can lead anywhere, and never by an address.
    fn is_local(&self) -> bool {
        let Self(name) = self;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        name == "localhost" || name.ends_with(".localhost") || bare.parse::<std::net::IpAddr>().is_ok()
    }
}

impl Access {
    fn knows(&self, host: &HostName) -> bool {
        host.is_local() || self.hosts.contains(host) || (self.token.is_some() && self.hosts.is_empty())
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Refuses what a browser asks for somebody else's page.
pub(super) async fn browser(State(access): State<Access>, request: Request, next: Next) -> Response {
    match check_browser(&access, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check_browser(access: &Access, request: &Request) -> Result<(), ApiError> {
    let headers = request.headers();
    // Whatever stands before or behind this server may go by another one of them.
    for name in [header::HOST, header::ORIGIN, SEC_FETCH_SITE, SEC_FETCH_MODE] {
        if headers.get_all(&name).iter().nth(1).is_some() {
            let message = format!("the request has more than one header {name}; it may have one");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message));
        }
    }
    // A request for a whole URI, as to a proxy, counts as one to its authority.
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => text(headers, &header::HOST).unwrap_or_default().to_owned(),
    };
    let asked: Uri = authority.parse().map_err(|_| wrong_host(&authority))?;
    let host = asked.host().map(HostName::new).ok_or_else(|| wrong_host(&authority))?;
    if !access.knows(&host) {
        return Err(wrong_host(&authority));
    }
    if let Some(origin) = text(headers, &header::ORIGIN) {
        let from: Option<Uri> = origin.parse().ok();
        let from = from.as_ref().and_then(Uri::authority);
        // The scheme may be another one, where something before this server does the encryption.
        if from.is_none_or(|from| !from.as_str().eq_ignore_ascii_case(&authority)) {
            return Err(wrong_origin(origin));
        }
    }
    // Who follows a link, or types the address, comes from elsewhere and may: it changes nothing, and nobody else sees it.
    let is_visit = request.method() == Method::GET && text(headers, &SEC_FETCH_MODE) == Some("navigate");
    match text(headers, &SEC_FETCH_SITE) {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) if is_visit => Ok(()),
        Some(site) => Err(wrong_origin(site)),
    }?;
    // What a form can send without a browser asking first.
    match text(headers, &header::CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim()) {
        Some(kind) if is_of_a_form(kind) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            format!("the request is {kind}; send application/json, or application/octet-stream for files"),
        )),
        _ => Ok(()),
    }
}

fn is_of_a_form(kind: &str) -> bool {
    ["text/plain", "application/x-www-form-urlencoded"].iter().any(|form| kind.eq_ignore_ascii_case(form))
}

/// Refuses who does not know the token, except where there is nothing that anybody could not know.
pub(super) async fn token(State(access): State<Access>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/healthz" {
        return next.run(request).await;
    }
    match access.token.as_ref().map_or(Ok(()), |token| check_token(token, request.headers())) {
        Ok(()) => next.run(request).await,
        Err(error) => ([(header::WWW_AUTHENTICATE, "Bearer")], error).into_response(),
    }
}

fn check_token(token: &Token, headers: &HeaderMap) -> Result<(), ApiError> {
    let refused = |code, message| ApiError::new(StatusCode::UNAUTHORIZED, code, message);
    let missing = "this server wants a token; send it as `Authorization: Bearer TOKEN`";
    let given = headers.get(header::AUTHORIZATION).ok_or_else(|| refused("token_missing", missing))?;
    let (scheme, given) = given.as_bytes().split_at_checked(7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(refused("token_missing", missing));
    }
    if token.is(given.trim_ascii()) {
        Ok(())
    } else {
        Err(refused("token_wrong", "this server has another token; its operator knows where it stands"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // What is no text is none of the values that are let through.
    headers.get(name).map(|value| value.to_str().unwrap_or("not text"))
}

fn wrong_host(asked: &str) -> ApiError {
    let message = format!(
        "the request is for {asked:?}, which is no name of this server; use its address or localhost, or start it with \
         `--host NAME`"
    );
    ApiError::new(StatusCode::FORBIDDEN, "wrong_host", message)
}

fn wrong_origin(origin: &str) -> ApiError {
    let message =
        format!("the request comes from a page elsewhere ({origin}), which may not ask this server");
    ApiError::new(StatusCode::FORBIDDEN, "wrong_origin", message)
}
