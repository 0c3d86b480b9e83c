//! Requests to a real server on this machine, which answers as badly as it likes.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{super::Grants, super::testing::call, access::Lookup, *};

mod hosts;
mod redirects;

/// A server that does with each connection what it is told to.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        // It ends with the process; nobody waits for it.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, seen, answer) = (stream.unwrap(), seen.clone(), answer.clone());
                thread::spawn(move || {
                    let request = read_request(&mut stream);
                    seen.lock().unwrap().push(request.clone());
                    answer(&request, &mut stream);
                });
            }
        });
        Self { port, requests }
    }

    /// One that answers each request with these bytes.
    fn saying(bytes: &'static str) -> Self {
        Self::new(move |_, stream| drop(stream.write_all(bytes.as_bytes())))
    }

    /// One that redirects `/` to wherever its body says, and answers elsewhere with what it was asked.
    fn redirecting(status: u16) -> Self {
        Self::new(move |request, stream| {
            let path = request.split(' ').nth(1).unwrap();
            let reply = match path.strip_prefix("/to?") {
                Some(to) => format!(
                    "HTTP/1.1 {status} Go\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                ),
                None => ok(request),
            };
            drop(stream.write_all(reply.as_bytes()));
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut one).is_ok_and(|read| read > 0) {
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// What an extension may reach, where the manifest asks for these and the operator allows those.
fn grants(asked: &[String], allow: &[String], change: impl FnOnce(&mut NetworkOptions)) -> Grants {
    with_lookup(asked, allow, Arc::new(|name| panic!("{name} is looked up")), change)
}

fn with_lookup(
    asked: &[String],
    allow: &[String],
    lookup: Lookup,
    change: impl FnOnce(&mut NetworkOptions),
) -> Grants {
    let mut options = NetworkOptions {
        allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
        ..NetworkOptions::default()
    };
    change(&mut options);
    let network = NetworkAccess::with_lookup("example", asked, &options, 4 << 20, lookup);
    Grants { network, ..Grants::default() }
}

/// Grants to reach this server, by its address.
fn to(server: &Server) -> Grants {
    let here = [server.url("")];
    grants(&here, &here, |_| {})
}

fn get(grants: &Grants, url: &str) -> Result<Value, String> {
    call(grants, "query:http.fetch", json!({ "url": url }))
}

/// Names that lead to these addresses, one list after the other.
fn names(lists: &[&[&str]]) -> (Lookup, Arc<AtomicUsize>) {
    let lists: Vec<Vec<IpAddr>> =
        lists.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let lookup = move |_: String| {
        let list = lists[counted.fetch_add(1, Ordering::SeqCst) % lists.len()].clone();
        async move { Ok(list) }.boxed()
    };
    (Arc::new(lookup), asked)
}

#[test]
fn a_reply_comes_with_status_headers_and_body() {
    let server = Server::saying(
        "HTTP/1.1 404 Nope\r\nX-A: 1\r\nx-a: 2\r\nconnection: close\r\ncontent-length: 5\r\n\r\nh\u{e9}!\n",
    );
    let reply = get(&to(&server), &server.url("/a?b=c#d")).unwrap();
    assert_eq!(reply["status"], 404);
    assert_eq!(reply["headers"]["x-a"], "1, 2");
    assert_eq!(reply["body"], "h\u{e9}!\n");
    assert_eq!(reply["url"], server.url("/a?b=c#d"));
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("user-agent: toehold/") && !request.contains("accept-encoding"), "{request}");
    assert!(!request.contains("idempotency-key"), "{request}");
    let headers = json!({ "url": server.url("/"), "method": "HEAD", "headers": { "X-Mine": "yes" } });
    let reply = call(&to(&server), "query:http.fetch", headers).unwrap();
    assert_eq!((&reply["body"], &reply["status"]), (&json!(""), &json!(404)));
    assert!(server.requests()[1].contains("x-mine: yes\r\n"));

    let binary = Server::saying("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\0\u{1}");
    assert_eq!(get(&to(&binary), &binary.url("/")).unwrap()["body_base64"], "AAE=");
}

#[test]
fn an_action_sends_a_body_and_a_key() {
    let server = Server::new(|request, stream| drop(stream.write_all(ok(request).as_bytes())));
    let act = |input: Value| call(&to(&server), "action:http.fetch", input);
    for (more, expected) in [
        (json!({ "method": "POST", "body": "text" }), "text"),
        (json!({ "method": "PUT", "body_base64": "YmFzZQ==" }), "base"),
        (json!({ "method": "PATCH", "body": "x" }), "x"),
        (json!({ "method": "DELETE" }), ""),
    ] {
        let mut input = json!({ "url": server.url("/") });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let echoed = act(input).unwrap()["body"].as_str().unwrap().to_owned();
        assert!(echoed.starts_with(more["method"].as_str().unwrap()), "{echoed}");
        assert!(echoed.ends_with(&format!("\r\n\r\n{expected}")), "{echoed}");
        assert!(echoed.contains("idempotency-key: 00000000-0000-0000-0000-000000000001-1\r\n"), "{echoed}");
    }
    let own = json!({ "url": server.url("/"), "method": "POST", "headers": { "Idempotency-Key": "mine" } });
    assert!(act(own).unwrap()["body"].as_str().unwrap().contains("idempotency-key: mine\r\n"));
    let seen = server.requests().len();
    for (method, input, expected) in [
        ("query:http.fetch", json!({ "method": "POST" }), "this takes GET and HEAD"),
        ("query:http.fetch", json!({ "method": "get" }), "this takes GET and HEAD"),
        ("query:http.fetch", json!({ "body": "x" }), "a GET has no body"),
        ("action:http.fetch", json!({ "method": "GET" }), "query:http.fetch GET and HEAD"),
        ("action:http.fetch", json!({ "method": "CONNECT" }), "`method` is CONNECT"),
        ("action:http.fetch", json!({}), "`method` is missing"),
        ("action:http.fetch", json!({ "method": "POST", "body": "", "body_base64": "" }), "give one of them"),
        ("action:http.fetch", json!({ "method": "POST", "body_base64": "?" }), "is no base64"),
        (
            "action:http.fetch",
            json!({ "method": "POST", "body": "x".repeat((1 << 20) + 1) }),
            "may have 1048576",
        ),
        ("query:http.fetch", json!({ "max_bytes": 5 << 20 }), "a reply may have 4194304"),
        ("query:http.fetch", json!({ "headers": { "Host": "evil" } }), "the header host is the host's"),
        ("query:http.fetch", json!({ "headers": { "A": "b\r\nC: d" } }), "the header a has line breaks"),
    ] {
        let mut input = input;
        input["url"] = server.url("/").into();
        let error = call(&to(&server), method, input).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(server.requests().len(), seen, "nothing of it was sent");
}

/// OWASP's ways to make a server ask whom it should not, as far as they fit: none of them gets as far as a connection.
#[test]
fn a_body_that_is_too_long_ends_the_request() {
    let endless = |head: &'static str, piece: &'static [u8]| {
        Server::new(move |_, stream| {
            drop(stream.write_all(head.as_bytes()));
            while stream.write_all(piece).is_ok() {}
        })
    };
    for server in [
        Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n"),
        Server::saying("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n"),
        endless("HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]),
        endless("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\nabcde\r\n"),
    ] {
        let error = get(&to(&server), &server.url("/")).unwrap_err();
        assert!(error.contains("more than 1048576 bytes") || error.contains("too large"), "{error}");
    }
    let server = Server::saying("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n12345678");
    let most = |bytes: u64| {
        call(&to(&server), "query:http.fetch", json!({ "url": server.url("/"), "max_bytes": bytes }))
    };
    assert_eq!(most(8).unwrap()["body"], "12345678");
    assert!(most(7).unwrap_err().contains("more than 7 bytes"));
    // What says that it is packed comes as it is, whatever it would become.
    let packed =
        Server::saying("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n\u{1f}bomb");
    let reply = get(&to(&packed), &packed.url("/")).unwrap();
    assert_eq!(STANDARD.decode(reply["body_base64"].as_str().unwrap()).unwrap(), b"\x1fbomb");
    assert_eq!(reply["headers"]["content-encoding"], "gzip");
}

#[test]
fn a_reply_that_does_not_end_or_is_none_is_an_error() {
    let short = |options: &mut NetworkOptions| options.limits.time = Duration::from_millis(200);
    let waiting = |head: &'static str| {
        Server::new(move |_, stream| {
            drop(stream.write_all(head.as_bytes()));
            // Until the other side has had enough.
            let _ = stream.read(&mut [0]);
        })
    };
    for head in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let server = waiting(head);
        let here = [server.url("")];
        let error = get(&grants(&here, &here, short), &server.url("/")).unwrap_err();
        assert!(error.ends_with("no complete reply within 200ms"), "{head:?}: {error}");
    }
    let guest = waiting("");
    let input = json!({ "url": guest.url("/"), "timeout_ms": 20 });
    assert!(call(&to(&guest), "query:http.fetch", input).unwrap_err().ends_with("within 20ms"));
    for bytes in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    ] {
        let server = Server::saying(bytes);
        assert!(get(&to(&server), &server.url("/")).is_err(), "{bytes:?}");
    }
    let headers = Server::new(|_, stream| {
        let many = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\nconnection: close\r\n\r\n", "x".repeat(33 << 10));
        drop(stream.write_all(many.as_bytes()));
    });
    assert!(get(&to(&headers), &headers.url("/")).unwrap_err().contains("they may have 32768"));
    let closed = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let here = [format!("http://127.0.0.1:{closed}")];
    let error = get(&grants(&here, &here, |_| {}), &here[0]).unwrap_err();
    assert!(error.contains("onnection refused"), "{error}");
}

#[test]
fn a_secret_goes_to_its_host_and_never_to_the_guest() {
    let server = Server::new(|request, stream| {
        let key = request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("none");
        let body = format!("you sent {key}, or {}", key.trim_start_matches("Bearer "));
        let reply = format!(
            "HTTP/1.1 200 OK\r\nx-echo: <{key}>\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        drop(stream.write_all(reply.as_bytes()));
    });
    let here = [server.url("")];
    let secret = |extension: &str| {
        let secret = Secret::new(extension, &here[0], "Authorization", "Bearer 0123456789abc").unwrap();
        grants(&here, &here, |options| options.secrets.push(secret))
    };
    let reply = get(&secret("example"), &server.url("/")).unwrap();
    assert_eq!(reply["body"], "you sent ***, or ***");
    assert_eq!(reply["headers"]["x-echo"], "<***>");
    assert!(server.requests()[0].contains("authorization: Bearer 0123456789abc\r\n"));
    // Another extension has none.
    assert_eq!(get(&secret("other"), &server.url("/")).unwrap()["body"], "you sent none, or none");
    let input = json!({ "url": server.url("/"), "headers": { "authorization": "Bearer mine" } });
    let error = call(&secret("example"), "query:http.fetch", input).unwrap_err();
    assert!(error.contains("the header authorization is set by the host"), "{error}");
    let guessed = get(&secret("example"), "https://evil.example/0123456789abc").unwrap_err();
    assert!(!guessed.contains("0123456789abc"), "{guessed}");
    let shown = format!("{:?}", secret("example"));
    assert!(!shown.contains("0123456789abc"), "{shown}");
}

/// A reply that ends within a secret has a part of it that nobody would know for one.
#[test]
fn a_secret_is_not_asked_for_piece_by_piece() {
    let server = Server::new(|request, stream| drop(stream.write_all(ok(request).as_bytes())));
    let here = [server.url("")];
    let get = |with_secret: bool| {
        let secret = Secret::new("example", &here[0], "X-Key", "0123456789abc").unwrap();
        let grants = grants(&here, &here, |options| options.secrets.extend(with_secret.then_some(secret)));
        let headers = json!({ "Range": "bytes=0-5", "If-Range": "x", "X-Mine": "yes" });
        call(&grants, "query:http.fetch", json!({ "url": server.url("/"), "headers": headers })).unwrap()
    };
    get(true);
    get(false);
    let requests = server.requests();
    assert!(!requests[0].contains("range") && requests[0].contains("x-mine: yes"), "{}", requests[0]);
    assert!(
        requests[1].contains("range: bytes=0-5") && requests[1].contains("if-range: x"),
        "{}",
        requests[1]
    );
}

#[test]
fn an_extension_has_so_many_requests_at_a_time_and_the_others_wait() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, highest) = (now.clone(), most.clone());
    let server = Server::new(move |_, stream| {
        highest.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        count.fetch_sub(1, Ordering::SeqCst);
        drop(stream.write_all(ok("done").as_bytes()));
    });
    let here = [server.url("")];
    let grants = grants(&here, &here, |options| options.limits.at_a_time = 2);
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| assert_eq!(get(&grants, &server.url("/")).unwrap()["body"], "done"));
        }
    });
    assert_eq!(server.requests().len(), 12);
    assert!(most.load(Ordering::SeqCst) <= 2);
}
