//! What a server bears: slow clients, and many.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::command::{Place, Server};

impl Server {
    /// Follows what happens to all jobs, from where the stream has begun.
    fn follow(&self, headers: &str) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.address());
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.ready["process"])).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Reads until an event's line starts so, and gives the rest of it.
fn until(stream: &mut impl BufRead, start: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0, "it ended before {start:?}");
        if let Some(rest) = line.strip_prefix(start) {
            return rest.trim_end().to_owned();
        }
    }
}

#[test]
fn a_thousand_clients_follow_and_memory_stays_flat() {
    let place = Place::new();
    let server = place.serve();
    let id = place.dispatch("counter", &json!({ "target": 1 }));
    place.ok(&["job", "wait", &id]);
    let before = server.resident_kib();
    let mut clients: Vec<_> = (0..1_000).map(|_| server.follow("")).collect();
    clients.iter_mut().for_each(|client| assert_eq!(until(client, "event: "), "start"));
    // Half of them read nothing more.
    let id = place.dispatch("counter", &json!({ "target": 1_000 }));
    place.ok(&["job", "wait", &id]);
    for client in clients.iter_mut().step_by(2) {
        loop {
            let event: Value = serde_json::from_str(&until(client, "data: {").replacen("", "{", 1)).unwrap();
            if event["event"] == "completed" {
                assert_eq!(event["job_id"], id.as_str());
                break;
            }
        }
    }
    assert_eq!(server.get("/api/v1/health").status, 200, "there is room for others");
    let each = server.resident_kib().saturating_sub(before) / 1_000;
    assert!(each < 64, "{each} KiB for each client");
    drop(clients);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn who_was_cut_off_goes_on_where_it_was() {
    let place = Place::new();
    let server = place.serve();
    let mut stream = server.follow("");
    let began = until(&mut stream, "id: ");
    let id = place.dispatch("counter", &json!({ "target": 30 }));
    place.ok(&["job", "wait", &id]);
    assert!(until(&mut stream, "data: {\"job_id\":\"").contains("\"queued\""));
    drop(stream);

    let mut again = server.follow(&format!("last-event-id: {began}\r\n"));
    assert!(until(&mut again, "data: ").contains("\"queued\""), "nothing is missing");
    let mut ahead = server.follow("last-event-id: 00000001-7\r\n");
    assert_eq!(until(&mut ahead, "event: "), "reset", "it is from another process");
    drop(server);

    let server = place.serve();
    let mut after = server.follow(&format!("last-event-id: {began}\r\n"));
    assert_eq!(until(&mut after, "event: "), "reset");
}

#[test]
fn clients_that_send_nothing_or_half_keep_nobody_out() {
    let place = Place::new();
    let server = place.serve();
    let halves: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = server.connect();
            let half: &[u8] = match number % 4 {
                0 => b"",
                1 => b"GET /api/v1/health HTTP/1.1\r\nhost:",
                2 => b"POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{",
                _ => b"POST /api/v1/jobs/import HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\nx",
            };
            stream.write_all(half).unwrap();
            stream
        })
        .collect();
    assert_eq!(server.get("/api/v1/health").status, 200);
    let job =
        server.post("/api/v1/jobs", &json!({ "job": "test-extension:counter", "state": { "target": 1 } }));
    assert_eq!(job.status, 201);
    drop(halves);
}

#[test]
fn json_of_any_shape_is_answered() {
    let place = Place::new();
    let server = place.serve();
    let deep = |depth: usize| {
        format!(
            "{{\"job\": \"test-extension:counter\", \"state\": {}{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let cases = [
        (deep(100_000), 422, "recursion limit"),
        ("[]".to_owned(), 400, "JSON can't be read"),
        ("null".to_owned(), 400, "JSON can't be read"),
        ("{\"job\": 7}".to_owned(), 400, "invalid type"),
        ("{\"job\": \"a:b\", \"job\": \"a:b\"}".to_owned(), 400, "duplicate field"),
        ("{\"job\": \"\\ud800\"}".to_owned(), 400, "JSON can't be read"),
        (format!("{{\"job\": \"{}\"}}", "x".repeat(5 << 20)), 413, "more than 4194304 bytes"),
    ];
    for (body, status, expected) in cases {
        let answer = server.ask("POST", "/api/v1/jobs", &["content-type: application/json"], body.as_bytes());
        assert_eq!(answer.status, status, "{expected}: {answer:?}");
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(expected), "{expected:?} is not in {message}");
    }
    let mut rest = server.connect();
    rest.write_all(b"\x16\x03\x01\x02\x00TLS").unwrap();
    let _ = rest.read(&mut [0; 64]);
    assert_eq!(server.get("/api/v1/health").status, 200);
}
