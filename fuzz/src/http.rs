//! Requests to the API of a manager without workers.

use std::{cell::RefCell, fs, path::Path, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::BodyExt;
use serde_json::Value;
use std_host::{
    api::Api,
    manager::{Dispatch, Manager, ManagerConfig},
};
use tempfile::TempDir;
use toehold::{Bundle, Uuid};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Requests after which there is a new data folder, so that none grows without end.
const REQUESTS: u32 = 3_000;
/// How long the host waits for what only the future brings, before it closes the API.
const PATIENCE: Duration = Duration::from_millis(20);
/// Bytes of an answer that are looked at.
const LONGEST: usize = 1 << 20;
/// 5xx that docs/api.md has: there is no room, or the server stops.
const DOCUMENTED: [u16; 2] = [503, 507];

/// A job that is there.
const JOB: Uuid = Uuid::from_u128(0x0007_0000_0000_4000_8000_0000_0000_0000);

#[derive(Debug, Arbitrary)]
struct Asked<'a> {
    method: Method<'a>,
    path: Vec<Segment<'a>>,
    question: Vec<Question<'a>>,
    headers: Vec<(Header<'a>, &'a [u8])>,
    body: Content<'a>,
}

#[derive(Debug, Arbitrary)]
enum Method<'a> {
    Get,
    Post,
    Delete,
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Segment<'a> {
    Jobs,
    Job,
    OtherJob,
    Extensions,
    Extension,
    Known(u8),
    Any(&'a str),
}

const SEGMENTS: [&str; 20] = [
    "health",
    "events",
    "logs",
    "bundle",
    "checkpoint",
    "state",
    "pause",
    "resume",
    "cancel",
    "wait",
    "import",
    "reload",
    "inspect",
    "openapi.json",
    "metrics",
    "healthz",
    "api",
    "v1",
    "..",
    "%2e%2e",
];

#[derive(Debug, Arbitrary)]
enum Question<'a> {
    Known(u8, Worth<'a>),
    Any(&'a str),
}

const QUESTIONS: [&str; 15] = [
    "state",
    "extension",
    "job",
    "parent",
    "id_prefix",
    "order",
    "after",
    "limit",
    "paused",
    "until",
    "timeout_ms",
    "tail",
    "follow",
    "progress",
    "extension",
];

#[derive(Debug, Arbitrary)]
enum Worth<'a> {
    Number(u64),
    Small(u8),
    Job,
    State(u8),
    Word(u8),
    Any(&'a str),
}

const STATES: [&str; 6] = ["queued", "running", "paused", "completed", "failed", "cancelled"];
const WORDS: [&str; 8] = ["over", "stopped", "newest", "oldest", "1", "0", "true", "asc"];

#[derive(Debug, Arbitrary)]
enum Header<'a> {
    ContentType,
    LastEventId,
    ContentLength,
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Content<'a> {
    None,
    Any(&'a [u8]),
    Dispatch { job: &'a str, state: &'a str, more: &'a str },
    DispatchKnown(u64),
    Path(&'a str),
    Bundle(Broken),
    Form { manifest: &'a [u8], module: &'a [u8] },
    Manifest { schema: &'a str },
}

/// The bundle of the job, with one byte changed.
#[derive(Debug, Arbitrary)]
struct Broken {
    at: u16,
    to: u8,
    cut: bool,
}

/// A manager, and what is known of it.
struct Desk {
    runtime: Runtime,
    manager: Manager,
    router: Router,
    api: Api,
    bundle: Vec<u8>,
    asked: u32,
    _data: TempDir,
}

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// Whatever is asked, the API answers: with a documented status, and errors as JSON.
pub fn http(data: &[u8]) {
    let Ok(asked) = Asked::arbitrary(&mut Unstructured::new(data)) else { return };
    DESK.with_borrow_mut(|desk| {
        if desk.as_ref().is_some_and(|desk| desk.asked > REQUESTS) {
            *desk = None;
        }
        let desk = desk.get_or_insert_with(Desk::new);
        let Some(request) = desk.request(&asked) else { return };
        desk.ask(request, &asked);
    });
}

impl Desk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let data = tempfile::tempdir().unwrap();
        let mut config = ManagerConfig::new(data.path());
        config.workers = 0;
        // A copy, since requests may remove it.
        let (from, to) = (
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension/small"),
            data.path().join("extensions/test-extension"),
        );
        fs::create_dir_all(&to).unwrap();
        for file in ["manifest.json", "test_extension.wasm"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let manager = Manager::open(config).unwrap();
        let extension = manager.extensions().list()[0].extension().id().to_owned();
        let dispatch = Dispatch { id: Some(JOB), ..Dispatch::default() };
        let job = runtime.block_on(manager.dispatch(&format!("{extension}:counter"), dispatch)).unwrap();
        runtime.block_on(job.pause()).unwrap();
        let saved = manager.reader().load(JOB).unwrap().unwrap();
        let api = Api::new(manager.clone());
        let router = api.router();
        let bundle = Bundle::new(JOB, saved, None).encode();
        Self { runtime, manager, router, api, bundle, asked: 0, _data: data }
    }

    fn request(&self, asked: &Asked<'_>) -> Option<Request<Body>> {
        let method = match &asked.method {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Any(method) => method,
        };
        let mut uri = String::new();
        for segment in asked.path.iter().take(6) {
            match segment {
                Segment::Jobs => uri += "/api/v1/jobs",
                Segment::Job => uri += &format!("/api/v1/jobs/{JOB}"),
                Segment::OtherJob => uri += &format!("/{}", Uuid::nil()),
                Segment::Extensions => uri += "/api/v1/extensions",
                Segment::Extension => uri += "/api/v1/extensions/test-extension",
                Segment::Known(which) => uri += &format!("/{}", pick(&SEGMENTS, *which)),
                Segment::Any(text) => uri += &format!("/{text}"),
            }
        }
        for (at, question) in asked.question.iter().take(4).enumerate() {
            uri.push(if at == 0 { '?' } else { '&' });
            match question {
                Question::Any(text) => uri += text,
                Question::Known(which, worth) => {
                    uri += &format!("{}=", pick(&QUESTIONS, *which));
                    match worth {
                        Worth::Number(number) => uri += &number.to_string(),
                        Worth::Small(number) => uri += &number.to_string(),
                        Worth::Job => uri += &JOB.to_string(),
                        Worth::State(which) => uri += pick(&STATES, *which),
                        Worth::Word(which) => uri += pick(&WORDS, *which),
                        Worth::Any(text) => uri += text,
                    }
                }
            }
        }
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in asked.headers.iter().take(4) {
            let name = match name {
                Header::ContentType => "content-type",
                Header::LastEventId => "last-event-id",
                Header::ContentLength => "content-length",
                Header::Any(name) => name,
            };
            request = request.header(name, *value);
        }
        self.content(request, &asked.body)
    }

    fn content(&self, request: axum::http::request::Builder, content: &Content<'_>) -> Option<Request<Body>> {
        let form = |manifest: &[u8], module: &[u8]| {
            let part = |name: &str, bytes: &[u8]| {
                let head = format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
                [head.as_bytes(), bytes, b"\r\n"].concat()
            };
            [part("manifest", manifest), part("module", module), b"--x--\r\n".to_vec()].concat()
        };
        const FORM: &str = "multipart/form-data; boundary=x";
        let json = |value: Value| Body::from(value.to_string());
        let (request, body) = match content {
            Content::None => (request, Body::empty()),
            Content::Any(bytes) => (request, Body::from(bytes.to_vec())),
            Content::Dispatch { job, state, more } => {
                let state = serde_json::from_str(state).unwrap_or(Value::from(*state));
                let value = serde_json::json!({ "job": job, "state": state, "priority": more });
                (request, json(value))
            }
            Content::DispatchKnown(target) => {
                let value =
                    serde_json::json!({ "job": "test-extension:counter", "state": { "target": target } });
                (request, json(value))
            }
            // Only what can't lead to files that never end.
            Content::Path(path) => {
                (request, json(serde_json::json!({ "path": format!("/nonexistent/{path}") })))
            }
            Content::Bundle(Broken { at, to, cut }) => {
                let mut bundle = self.bundle.clone();
                let at = usize::from(*at) % bundle.len();
                bundle[at] = *to;
                if *cut {
                    bundle.truncate(at);
                }
                (request, Body::from(bundle))
            }
            Content::Form { manifest, module } => {
                (request.header("content-type", FORM), Body::from(form(manifest, module)))
            }
            Content::Manifest { schema } => {
                let schema = serde_json::from_str(schema).unwrap_or(Value::Bool(true));
                let manifest = serde_json::json!({
                    "id": "a", "name": "A", "version": "1", "description": "", "author": "", "wasm_file": "m.wasm",
                    "config_schema": schema, "state_schemas": { "a": schema },
                });
                let module = b"\0asm\x01\0\0\0\x05\x03\x01\0\x01\x07\x0a\x01\x06memory\x02\0";
                let form = form(manifest.to_string().as_bytes(), module);
                (request.header("content-type", FORM), Body::from(form))
            }
        };
        request.body(body).ok()
    }

    fn ask(&mut self, request: Request<Body>, asked: &Asked<'_>) {
        self.asked += 1;
        let Self { runtime, router, api, manager, .. } = self;
        let mut closed = false;
        runtime.block_on(async {
            let answer = router.clone().oneshot(request);
            tokio::pin!(answer);
            let response = tokio::select! {
                response = &mut answer => response,
                () = tokio::time::sleep(PATIENCE) => {
                    closed = true;
                    api.close();
                    answer.await
                }
            };
            let Ok(response) = response;
            check(response, asked).await;
        });
        if closed {
            *api = Api::new(manager.clone());
            *router = api.router();
        }
    }
}

async fn check(response: Response, asked: &Asked<'_>) {
    let status = response.status().as_u16();
    assert!(status < 500 || DOCUMENTED.contains(&status), "{status} to {asked:?}");
    if status < 400 {
        return;
    }
    let kind = response.headers().get("content-type").cloned();
    assert!(kind.is_some_and(|kind| kind == "application/json"), "{status} is not told in JSON: {asked:?}");
    let Ok(body) = response.into_body().collect().await else { panic!("no body: {asked:?}") };
    let bytes = body.to_bytes();
    assert!(bytes.len() <= LONGEST, "an error of {} bytes", bytes.len());
    let Ok(json) = serde_json::from_slice::<Value>(&bytes) else { panic!("no JSON: {bytes:?} to {asked:?}") };
    let (code, message) = (json["error"]["code"].as_str(), json["error"]["message"].as_str());
    assert!(code.is_some_and(|code| !code.is_empty()) && message.is_some(), "{json} to {asked:?}");
}

fn pick<'t>(of: &[&'t str], which: u8) -> &'t str {
    of.get(usize::from(which) % of.len()).copied().unwrap_or_default()
}
