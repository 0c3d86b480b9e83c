//! The API on an address: a list of many jobs, how soon a browser knows what a guest told, and what a client costs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use std_host::{
    api::Api,
    manager::{Dispatch, Manager, ManagerConfig},
    server::{Access, Server},
};

use crate::rounds::{Effort, quantile};

/// A job that asks what time it is and tells that as its progress, over and over, with some work in between. Its state is its
/// id.
const CLOCK: &str = r#"(module
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "query:time.now{}")
    (global $count (mut i32) (i32.const 0))
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
        (local $reply i32) (local $n i32)
        (memory.copy (i32.const 64) (local.get 2) (i32.const 16))
        (loop $again
            ;; A step of 2,000,000 is about 60 ms of work.
            (local.set $n (i32.const 2000000))
            (loop $work (br_if $work (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (local.set $reply (call $call (i32.const 0) (i32.const 14) (i32.const 0) (i32.const 14) (i32.const 2)))
            (call $progress (i32.const 64) (f32.const 0.5) (i32.add (local.get $reply) (i32.const 4)) (i32.load (local.get $reply)))
            (br $again))
        (i32.const 0)))"#;

const MANIFEST: &str = r#"{"id": "clock", "name": "Clock", "version": "1.0.0", "description": "Tells the time", "author": "The Toehold authors",
    "wasm_file": "clock.wasm", "permissions": {"methods": ["query:"], "max_memory_mb": 1,
    "rate_limits": {"requests_per_minute": 1000000, "concurrent_jobs": 20000}}}"#;

pub(crate) fn ratios(effort: Effort) {
    println!("\n## web\n\n| what | measured |\n| --- | ---: |");
    lists(effort.pick(200, 10_000), effort.pick(0.1, 3.0));
    delay(effort.pick(3, 200));
    clients(effort.pick(20, 1_000));
}

/// A server in this process, and where it listens.
struct Served {
    _data: tempfile::TempDir,
    manager: Manager,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

fn serve(workers: usize) -> Served {
    let data = tempfile::tempdir().expect("a folder");
    add_extension(data.path());
    let manager =
        Manager::open(ManagerConfig { workers, ..ManagerConfig::new(data.path()) }).expect("it opens");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("it has one");
    let mut server = Server::new(Api::new(manager.clone()));
    let entered = runtime.enter();
    server.on_address(listener, Access::default(), None);
    drop(entered);
    runtime.spawn(server.run(std::future::pending()));
    Served { _data: data, manager, address, runtime }
}

fn add_extension(data: &Path) {
    let folder = data.join("extensions/clock");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("manifest.json"), MANIFEST).expect("room on the disk");
    std::fs::write(folder.join("clock.wasm"), wat::parse_str(CLOCK).expect("a module"))
        .expect("room on the disk");
}

impl Served {
    fn dispatch(&self, count: usize) {
        self.runtime.block_on(async {
            // As many at a time as share a write of the store.
            for first in (0..count).step_by(256) {
                let some = (first..count.min(first + 256)).map(|_| {
                    let id = toehold::Uuid::new_v4();
                    let dispatch =
                        Dispatch { id: Some(id), state: id.as_bytes().to_vec(), ..Dispatch::default() };
                    self.manager.dispatch("clock:go", dispatch)
                });
                for dispatched in futures_util::future::join_all(some).await {
                    dispatched.expect("the job is dispatched");
                }
            }
        });
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_nodelay(true).expect("a socket can do that");
        Client { stream: BufReader::new(stream) }
    }
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).expect("the server is there");
    }

    /// Asks, and reads the whole answer.
    fn get(&mut self, path: &str) -> usize {
        self.send(path);
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).expect("the server answers");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the server answers");
        length
    }
}

/// Requests per second of four clients, and how long the slowest hundredth took.
fn load(served: &Served, path: &str, seconds: f64) -> (f64, Duration) {
    let start = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = served.connect();
                    let mut times = Vec::new();
                    while start.elapsed().as_secs_f64() < seconds {
                        let asked = Instant::now();
                        assert!(client.get(path) > 0);
                        times.push(asked.elapsed().as_secs_f64());
                    }
                    times
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("it asks")).collect()
    });
    let count = times.len();
    (count as f64 / seconds, Duration::from_secs_f64(quantile(&mut times, 0.99)))
}

fn lists(jobs: usize, seconds: f64) {
    let (many, few) = (serve(0), serve(0));
    many.dispatch(jobs);
    few.dispatch(100);
    let rate_of = |what: &str, served: &Served, path: &str| {
        let (rate, p99) = load(served, path, seconds);
        println!("| {what}: requests per second, p99 | {rate:.0}, {:.1} ms |", p99.as_secs_f64() * 1e3);
        rate
    };
    let nothing = rate_of("`/healthz`", &few, "/healthz");
    let small = rate_of("100 of 100 jobs", &few, "/api/v1/jobs?limit=100");
    let large = rate_of(&format!("100 of {jobs} jobs"), &many, "/api/v1/jobs?limit=100");
    rate_of(&format!("100 of {jobs} jobs, of one state"), &many, "/api/v1/jobs?limit=100&state=queued");
    println!("| 100 of {jobs} jobs, to 100 of 100 | {:.2} |", large / small);
    println!("| 100 of 100 jobs, to `/healthz` | {:.2} |", small / nothing);
}

/// From a guest that asks what time it is, and tells that, to a client that has the event. The clock counts milliseconds.
fn delay(samples: usize) {
    let served = serve(1);
    let mut client = served.connect();
    client.send("/api/v1/events");
    served.dispatch(1);
    let mut delays = Vec::new();
    let mut line = String::new();
    while delays.len() < samples {
        line.clear();
        client.stream.read_line(&mut line).expect("the server tells");
        let Some((_, told)) = line.split_once("unix_ms\\\":") else { continue };
        let digits: String = told.chars().take_while(char::is_ascii_digit).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as f64;
        delays.push(now - digits.parse::<f64>().expect("a time"));
    }
    println!(
        "| from a guest's progress to a client's event: median, p99 | {:.0} ms, {:.0} ms |",
        quantile(&mut delays, 0.5),
        quantile(&mut delays, 0.99)
    );
}

/// Memory of the server for each client that follows all events.
fn clients(count: usize) {
    let served = serve(0);
    let (clients, held) = crate::memory::grown(|| {
        let mut clients: Vec<Client> = (0..count).map(|_| served.connect()).collect();
        for client in &mut clients {
            client.send("/api/v1/events");
            let mut line = String::new();
            while !line.starts_with("event: start") {
                line.clear();
                client.stream.read_line(&mut line).expect("the server tells");
            }
        }
        clients
    });
    // The clients are in this process too: all they hold is what they read into.
    let own: usize = clients.iter().map(|client| client.stream.capacity()).sum();
    let each = held.saturating_sub(own) / count;
    println!(
        "| heap of the server for each client that follows, {count} of them | {:.1} KiB |",
        each as f64 / 1024.0
    );
    drop(clients);
}
