//! What `toehold serve` answers at its socket, to those who know its API and to those who don't.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::json;

use crate::command::Place;

/// What a server answers to these bytes.
pub(crate) fn answer(socket: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    // It may have enough of them before they end.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn request(method: &str, path: &str, more: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{more}").into_bytes()
}

#[test]
fn what_makes_no_sense_is_refused_and_the_server_goes_on() {
    let place = Place::new();
    let server = place.serve();
    let get = |path: &str| answer(&server.socket(), &request("GET", path, "\r\n"));
    let id = place.dispatch("counter", &json!({ "target": 1 }));
    for (path, status, expected) in [
        ("/api/v1/health", 200, "\"status\":\"ok\""),
        ("/", 404, "\"no_such_route\""),
        ("/api/v1/jobs/import", 405, "\"no_such_method\""),
        ("/api/v1/jobs/7", 400, "is no job's id"),
        ("/api/v1/jobs/00000000-0000-0000-0000-000000000000", 404, "\"unknown_job\""),
        ("/api/v1/jobs/00000000-0000-0000-0000-000000000000/events?follow=1", 404, "\"unknown_job\""),
        ("/api/v1/jobs?limit=0", 400, "it must be 1 to 1000"),
        ("/api/v1/jobs?limit=many", 400, "\"bad_request\""),
        ("/api/v1/jobs?state=lost", 400, "is no state of a job"),
        ("/api/v1/jobs?nonsense=1", 400, "nonsense"),
        ("/api/v1/extensions/none", 404, "\"unknown_extension\""),
        (&format!("/api/v1/jobs/{id}/wait?until=soon"), 400, "it must be over or stopped"),
        (&format!("/api/v1/jobs/{id}/logs?follow=maybe"), 400, "it must be 0 or 1"),
    ] {
        let answer = get(path);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains(expected), "{path}: {expected} is not in {answer}");
    }
    let post = |path: &str, more: &str| answer(&server.socket(), &request("POST", path, more));
    let body = |text: &str| format!("content-length: {}\r\n\r\n{text}", text.len());
    for (path, more, status, expected) in [
        ("/api/v1/jobs", body("{"), 400, "JSON can't be read"),
        ("/api/v1/jobs", body("{\"job\": \"a\", \"extra\": 1}"), 400, "unknown field `extra`"),
        ("/api/v1/jobs", body("{\"job\": \"a\"}"), 400, "names no job"),
        ("/api/v1/jobs", body("{\"job\": \"a:b\", \"priority\": \"top\"}"), 400, "is no priority"),
        ("/api/v1/jobs/import", body("junk"), 422, "\"bad_bundle\""),
        ("/api/v1/extensions", body("{\"path\": \"relative\"}"), 400, "must be absolute"),
        // None of it need come.
        ("/api/v1/jobs", "content-length: 1000000000\r\n\r\n".to_owned(), 413, "\"too_large\""),
        ("/api/v1/jobs/import", "content-length: 1000000000\r\n\r\n".to_owned(), 413, "\"too_large\""),
    ] {
        let answer = post(path, &more);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains(expected), "{path}: {expected} is not in {answer}");
    }
    // Without a length it is read up to the limit.
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{}", piece.repeat(80));
    assert!(post("/api/v1/jobs", &chunked).contains("413 "));
    let junk: [&[u8]; 5] = [b"\0\xff\xfejunk\r\n\r\n", b"GET", b"", b"\r\n\r\n", &[b'x'; 1 << 20]];
    for bytes in junk {
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        let _ = stream.write_all(bytes);
    }
    let headers: String = (0..1_000).map(|number| format!("h{number}: {}\r\n", "x".repeat(100))).collect();
    let refused = answer(&server.socket(), &request("GET", "/api/v1/health", &format!("{headers}\r\n")));
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
    assert!(get("/api/v1/health").starts_with("HTTP/1.1 200 "));
    place.ok(&["job", "wait", &id]);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_stream_goes_on_behind_the_last_event_that_was_read() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("counter", &json!({ "target": 30 }));
    place.ok(&["job", "wait", &id]);
    let stream = |more: &str| {
        let path = format!("/api/v1/jobs/{id}/events?follow=1");
        answer(&server.socket(), &request("GET", &path, more))
    };
    let all = stream("\r\n");
    assert!(
        all.contains("text/event-stream") && all.contains("id: 1\n") && all.contains("event: end\n"),
        "{all}"
    );
    let rest = stream("last-event-id: 2\r\n\r\n");
    assert!(!rest.contains("id: 2\n") && rest.contains("id: 3\n") && rest.contains("event: end\n"), "{rest}");
    assert!(stream("last-event-id: two\r\n\r\n").contains("400 "));
}
