//! `query:http.fetch` and `action:http.fetch`: requests to the hosts that an extension's manifest and the operator agree on.

mod access;
mod address;
mod client;
mod error;
mod headers;
mod pattern;
mod secret;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Method, Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use serde::{Deserialize, Serialize};
use url::Url;

pub use access::{HttpLimits, NetworkAccess, NetworkOptions, NetworkRule};
pub use pattern::{HostPattern, PatternError};
pub use secret::{Secret, SecretError};

use self::{access::Inner, error::HttpError};
use super::{AsyncContext, payload::shortened};

#[derive(Deserialize)]
pub(super) struct Input {
    url: String,
    /// GET by default for the query; the action must name one.
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body as text,
    body: Option<String>,
    /// or in standard base64, padded.
    body_base64: Option<String>,
    /// Bytes of the reply's body at most.
    max_bytes: Option<usize>,
    /// How long it may take, at most as long as the host allows.
    timeout_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Output {
    status: u16,
    /// By their names in lower case.
    headers: BTreeMap<String, String>,
    /// The body if it is text,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// else in standard base64, padded.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    /// Where it came from, after redirects.
    url: String,
}

/// A request as it goes out, to one host after the other.
struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    most_bytes: usize,
}

/// `query:http.fetch`: GET and HEAD, which change nothing.
pub(super) async fn query(context: AsyncContext, input: Input) -> Result<Output, String> {
    let method = input.method.as_deref().unwrap_or("GET");
    let method = match method {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        other => {
            let other = shortened(other.as_bytes());
            return Err(format!(
                "`method` is {other}; this takes GET and HEAD, others are for action:http.fetch"
            ));
        }
    };
    if input.body.is_some() || input.body_base64.is_some() {
        return Err(format!("a {method} has no body; action:http.fetch sends one"));
    }
    fetch(&context, method, HeaderMap::new(), input).await
}

/// `action:http.fetch`: all methods that may change something. After a crash the request may come a second time, with the
/// same `Idempotency-Key`.
pub(super) async fn action(context: AsyncContext, input: Input) -> Result<Output, String> {
    let method = match input.method.as_deref() {
        Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        Some(other) => {
            let other = shortened(other.as_bytes());
            return Err(format!(
                "`method` is {other}; this takes POST, PUT, PATCH and DELETE, and query:http.fetch GET and HEAD"
            ));
        }
        None => return Err("`method` is missing; this takes POST, PUT, PATCH and DELETE".to_owned()),
    };
    let key = context.get().key();
    let key =
        HeaderValue::from_str(&format!("{}-{}", key.job, key.number)).map_err(|error| error.to_string())?;
    let ours = HeaderMap::from_iter([(header::HeaderName::from_static("idempotency-key"), key)]);
    fetch(&context, method, ours, input).await
}

async fn fetch(
    context: &AsyncContext,
    method: Method,
    mut headers: HeaderMap,
    input: Input,
) -> Result<Output, String> {
    let Some(access) = context.get().network().inner().cloned() else {
        return Err("this extension may reach nothing over the network".to_owned());
    };
    let limits = &access.limits;
    let url = access.check_text(&input.url).map_err(|error| named(&access, &input.url, &error))?;
    // The guest's own idempotency key is better than ours: it may be that of a larger task.
    headers.extend(headers::of_guest(&input.headers, limits.header_bytes)?);
    if let Some(secret) = access.secrets.iter().find(|secret| headers.contains_key(secret.header())) {
        return Err(format!(
            "the header {} is set by the host for this extension; leave it out",
            secret.header()
        ));
    }
    let body = match (input.body, input.body_base64) {
        (Some(_), Some(_)) => return Err("there are `body` and `body_base64`; give one of them".to_owned()),
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => {
            STANDARD.decode(text).map_err(|error| format!("`body_base64` is no base64: {error}"))?
        }
        (None, None) => Vec::new(),
    };
    if body.len() > limits.request_bytes {
        return Err(format!(
            "the body has {} bytes; a request may have {}",
            body.len(),
            limits.request_bytes
        ));
    }
    let most_bytes = input.max_bytes.unwrap_or(limits.reply_bytes.min(access.most_bytes));
    if most_bytes > access.most_bytes {
        return Err(format!("`max_bytes` is {most_bytes}; a reply may have {} bytes", access.most_bytes));
    }
    let time = input.timeout_ms.map_or(limits.time, |ms| limits.time.min(Duration::from_millis(ms)));
    let request = Request { method, url, headers, body, most_bytes };
    let output = tokio::time::timeout(time, go(&access, request)).await;
    output.unwrap_or(Err(HttpError::Time(time))).map_err(|error| named(&access, &input.url, &error))
}

/// An error with the URL that was asked for, and without anything secret.
fn named(access: &Inner, url: &str, error: &HttpError) -> String {
    let url = secret::hide_in_text(&access.secrets, url.to_owned());
    secret::hide_in_text(&access.secrets, format!("{}: {error}", shortened(url.as_bytes())))
}

/// Makes a request, and those that redirects ask for.
async fn go(access: &Arc<Inner>, mut request: Request) -> Result<Output, HttpError> {
    let Ok(_place) = access.places.acquire().await else {
        return Err(HttpError::Client("the extension is gone".to_owned()));
    };
    for _ in 0..=access.limits.redirects {
        let mut headers = request.headers.clone();
        for secret in &access.secrets {
            if let Some(value) = secret.for_url(&request.url) {
                headers.insert(secret.header().clone(), value.clone());
                // Piece by piece, an echo of it could not be told.
                for part in [header::RANGE, header::IF_RANGE] {
                    headers.remove(part);
                }
            }
        }
        let sent = access
            .client(&request.url)?
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        let sent = if request.body.is_empty() { sent } else { sent.body(request.body.clone()) };
        let response = sent.send().await.map_err(client::failed)?;
        match redirect(&response) {
            Some(location) => {
                let location = location.to_owned();
                request = request.redirected(access, response.status(), &location)?;
            }
            None => return reply(access, &request, response).await,
        }
    }
    Err(HttpError::Redirects(access.limits.redirects))
}

/// Where a reply says that the request is to go instead.
fn redirect(response: &Response) -> Option<&HeaderValue> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    redirects.contains(&response.status()).then(|| response.headers().get(header::LOCATION)).flatten()
}

impl Request {
    /// The request that a redirect asks for, if it may be made.
    fn redirected(
        mut self,
        access: &Inner,
        status: StatusCode,
        location: &HeaderValue,
    ) -> Result<Self, HttpError> {
        let to = String::from_utf8_lossy(location.as_bytes()).into_owned();
        // Hidden before it is cut: of half a secret nobody would know that it is one.
        let shown = shortened(secret::hide_in_text(&access.secrets, to.clone()).as_bytes());
        let refused = |reason: String| HttpError::Redirect { to: shown.clone(), reason };
        // A backslash or a line break is no better in a path.
        let is_odd = to.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control());
        let url = if is_odd { None } else { self.url.join(&to).ok() };
        let url = url.ok_or_else(|| refused("it is no URL".to_owned()))?;
        let url = access.check_text(url.as_str()).map_err(|error| refused(error.to_string()))?;
        if self.url.scheme() == "https" && url.scheme() != "https" {
            return Err(refused("it leads from https to http".to_owned()));
        }
        let as_get = status == StatusCode::SEE_OTHER && self.method != Method::HEAD
            || self.method == Method::POST
                && matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
        if as_get {
            self.method = Method::GET;
            self.body = Vec::new();
            for of_body in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
                self.headers.remove(of_body);
            }
        }
        if self.url.origin() != url.origin() {
            // What the guest tells one host is not for another.
            for personal in [header::AUTHORIZATION, header::COOKIE] {
                self.headers.remove(personal);
            }
        }
        self.url = url;
        Ok(self)
    }
}

async fn reply(access: &Inner, request: &Request, mut response: Response) -> Result<Output, HttpError> {
    let most = access.limits.header_bytes;
    let bytes = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > most {
        return Err(HttpError::ReplyHeaders { bytes, most });
    }
    let too_long = |bytes: u64| bytes > request.most_bytes as u64;
    if request.method != Method::HEAD && response.content_length().is_some_and(too_long) {
        return Err(HttpError::ReplyBytes(request.most_bytes));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(client::failed)? {
        body.extend_from_slice(&piece);
        if too_long(body.len() as u64) {
            return Err(HttpError::ReplyBytes(request.most_bytes));
        }
    }
    let hide = |text: String| secret::hide_in_text(&access.secrets, text);
    let body = access.secrets.iter().fold(body, |body, secret| secret.hide(body));
    let (body, body_base64) = match String::from_utf8(body) {
        Ok(text) if !text.contains(is_no_text) => (Some(text), None),
        Ok(bytes) => (None, Some(STANDARD.encode(bytes))),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    let headers = headers::of_reply(response.headers());
    Ok(Output {
        status: response.status().as_u16(),
        headers: headers.into_iter().map(|(name, value)| (hide(name), hide(value))).collect(),
        body,
        body_base64,
        url: hide(request.url.to_string()),
    })
}

/// JSON makes six of each of these, so that a body of them would grow beyond what a reply may have.
fn is_no_text(character: char) -> bool {
    character.is_ascii_control() && !matches!(character, '\n' | '\r' | '\t')
}
