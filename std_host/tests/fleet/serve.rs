//! The HTTP API and the page of a whole fleet.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use toehold::JobState;

use crate::{
    servers::Servers,
    workers::{Desk, Worker},
};

/// A `toehold serve` of a fleet, which is killed with this.
struct Serve {
    child: Child,
    address: String,
    /// For what it would leave behind where it is killed.
    _folder: TempDir,
}

impl Serve {
    fn start(nats: &str, fleet: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--nats", nats, "--fleet", fleet]);
        let folder = tempfile::tempdir().unwrap();
        command.env("TMPDIR", folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let url = ready["url"].as_str().unwrap().trim_start_matches("http://");
        let address = url.split('/').next().unwrap().to_owned();
        Self { child, address, _folder: folder }
    }

    /// What it answers, and with which status.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (address, length) = (&self.address, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn job(&self, id: &str) -> Value {
        let (status, body) = self.ask("GET", &format!("/api/v1/jobs/{id}"), "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until a job is in this state here.
    #[track_caller]
    fn wait(&self, id: &str, state: &str) -> Value {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let job = self.job(id);
            if job["state"] == state {
                return job;
            }
            assert!(Instant::now() < until, "{job}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_shows_and_steers_jobs_of_the_whole_fleet() {
    let servers = Servers::start(1);
    let config = servers.config("serve");
    let desk = Desk::with_extension(&config);
    let before = desk.dispatch("counter", &json!({ "target": 10 })).to_string();
    let serve = Serve::start(&servers.urls()[0], "serve");
    assert_eq!(serve.job(&before)["state"], "queued");
    let _worker = Worker::start(&servers.urls()[0], &config, 10, &[]);
    let done = serve.wait(&before, "completed");
    assert_eq!(done["report"]["items"], 10);

    let new = json!({ "job": "test-extension:tally", "state": { "target": 1_000_000, "pace_ms": 1 } });
    let (status, body) = serve.ask("POST", "/api/v1/jobs", &new.to_string());
    assert_eq!(status, 201, "{body}");
    let id = serde_json::from_str::<Value>(&body).unwrap()["job_id"].as_str().unwrap().to_owned();
    serve.wait(&id, "running");
    for (action, state) in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")] {
        let (status, body) = serve.ask("POST", &format!("/api/v1/jobs/{id}/{action}"), "");
        assert!(status < 300, "{action}: {status} {body}");
        serve.wait(&id, state);
    }
    // Who waits is told.
    let short = json!({ "job": "test-extension:tally", "state": { "target": 50, "pace_ms": 5 } });
    let (_, body) = serve.ask("POST", "/api/v1/jobs", &short.to_string());
    let short = serde_json::from_str::<Value>(&body).unwrap()["job_id"].as_str().unwrap().to_owned();
    let (_, body) = serve.ask("GET", &format!("/api/v1/jobs/{short}/wait?timeout_ms=60000"), "");
    assert!(body.contains("\"completed\""), "{body}");
    // Others see the same.
    desk.wait(id.parse().unwrap(), &[JobState::Cancelled]);
    let (status, body) = serve.ask("GET", &format!("/api/v1/jobs/{before}/events"), "");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("completed"), "{body}");
    let (_, page) = serve.ask("GET", "/", "");
    assert!(page.contains("<html"), "{page}");
    let (status, _) = serve.ask("DELETE", &format!("/api/v1/jobs/{id}"), "");
    assert_eq!(status, 204);
    let until = Instant::now() + Duration::from_secs(60);
    while serve.ask("GET", &format!("/api/v1/jobs/{id}"), "").0 != 404 {
        assert!(Instant::now() < until, "it is not removed");
    }
}
