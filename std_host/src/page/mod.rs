//! The page: what a browser shows of the jobs and extensions of a data folder.
//!
//! It is HTML, CSS and ES modules in `site/`, which are part of the binary as they are: nothing is built, nothing comes from
//! elsewhere, and all that it shows it asks the [API](crate::api) for. [`router`] serves the files to whoever asks, since there
//! is nothing secret in them; the API is what needs a token.
//!
//! Jobs and extensions write what they like into logs, names and states. That it stays text has three locks: the page puts it
//! into the document as text only, [`POLICY`] lets no script run but those files, and by its Trusted Types the browser refuses
//! HTML that a script would make of a string.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

use crate::manager::hex;

/// What the page may load and do, as its header `Content-Security-Policy`: nothing but its own files and its own server.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Each time a browser asks whether it still has the newest: after an update of the server nobody has half of the old page.
const CACHE: &str = "no-cache";

/// A file of the page, at its path on the server.
struct File {
    path: &'static str,
    bytes: &'static [u8],
}

/// `index.html` is the page itself, the others are below `/page/`.
macro_rules! files {
    ($($name:literal)*) => {
        &[
            File { path: "/", bytes: include_bytes!("site/index.html") },
            $(File { path: concat!("/page/", $name), bytes: include_bytes!(concat!("site/", $name)) },)*
        ]
    };
}

const FILES: &[File] = files! {
    "announce.js" "api.js" "base.css" "chart.js" "checkpoint.js" "confirm.js" "controls.css" "curve.js" "dispatch.js" "dom.js"
    "download.js" "extension.js" "extensions.js" "form.js" "format.js" "history.js" "icon.svg" "import.js" "install.js"
    "job-actions.js" "job-facts.js" "job-row.js" "job.css" "job.js" "jobs-list.js" "json.js" "link.js" "live.js" "log.js"
    "main.js" "parts.js" "permissions.js" "rate.js" "router.js" "schema.js" "session.js" "soon.js" "stream.js" "tree.js"
    "views.css"
};

/// The page at `/`, and what belongs to it below `/page/`.
///
/// It asks for `api/v1/…` beside itself: both go under a prefix together. Its requests are those of a page of this very server,
/// so [`server::Access`](crate::server::Access) lets them in.
pub fn router() -> Router {
    let router = VIEWS.iter().fold(Router::new(), |router, view| router.route(view, get(to_view)));
    FILES.iter().fold(router, |router, file| {
        let tag = HeaderValue::from_str(&format!("\"{}\"", hex(&Sha256::digest(file.bytes)[..16])));
        // Hexadecimal digits can stand in a header; without a tag a browser would only load it again.
        let tag = tag.unwrap_or(HeaderValue::from_static("\"\""));
        router.route(file.path, get(async move |asked: HeaderMap| answer(file, &tag, &asked)))
    })
}

/// The page's views by the paths that people would think of: they stand behind a `#`.
const VIEWS: [&str; 5] = ["/jobs", "/jobs/{id}", "/extensions", "/extensions/{id}", "/dispatch"];

/// Leads from `/jobs/ID` to `/#/jobs/ID`, whatever is in front of both.
async fn to_view(asked: Uri) -> Response {
    let path = asked.path();
    let up = path.matches('/').count().saturating_sub(1);
    let place = format!("{}#{path}", if up == 0 { "./".to_owned() } else { "../".repeat(up) });
    match HeaderValue::from_str(&place) {
        Ok(place) => (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(file: &'static File, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.content_type())),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHE)),
        (header::ETAG, tag.clone()),
    ];
    if has(asked, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, file.bytes).into_response()
}

/// Whether a browser says that it has the file with this tag.
fn has(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(',')).map(str::trim).any(|one| {
        // Something in between may have marked it as weak, such as for compressing it.
        one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes()
    })
}

impl File {
    fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, end)| end) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests;
