//! A server under all that can happen to it, for as long as one likes: `cargo xtask soak`.
//!
//! Jobs of many kinds, hostile ones among them, are dispatched, paused, resumed and cancelled; extensions are reloaded; the server is killed,
//! stopped, and started with no room left in its store. In the end each effect stands once, no job is lost, and the server has as
//! much memory and as many open files after its work as before.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use toehold::Uuid;

use crate::{
    api::{answer, request},
    command::{Place, Server},
    hostile::gallery::{Ends, MEMORY_MB, gallery},
};

/// Jobs in all, and those without end at a time.
const JOBS: usize = 1_000;
const ENDLESS: usize = 12;
/// Waves of work at the end, and jobs in each.
const WAVES: usize = 6;
const WAVE: usize = 40;
/// What a server may have more after many waves than after the first ones: allocators and caches are not exact.
const MORE_KIB: u64 = 16 << 10;
const MORE_FILES: usize = 4;
/// How long all that is left may take in the end.
const LAST: Duration = Duration::from_secs(900);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Has so many effects.
    Tally(u64),
    Counter(u64),
    Nap,
    Flaky,
    Hostile(Ends),
}

#[derive(Debug)]
struct Known {
    id: Uuid,
    kind: Kind,
    cancelled: bool,
}

#[derive(Debug, Default)]
struct Counts {
    kills: u32,
    stops: u32,
    full: u32,
    reloads: u32,
    steered: u32,
    refused: u32,
}

struct Soak {
    place: Place,
    server: Option<Server>,
    /// The extensions of hostile guests that load, and how each ends.
    hostile: Vec<(String, Ends)>,
    jobs: Vec<Known>,
    random: u64,
    counts: Counts,
}

impl Soak {
    fn new() -> Self {
        let place = Place::new();
        let mut hostile = Vec::new();
        for (number, guest) in gallery().into_iter().enumerate() {
            let id = format!("hostile-{number}");
            let folder = place.folder().join(&id);
            fs::create_dir_all(&folder).unwrap();
            let manifest = json!({
                "id": id, "name": guest.name, "version": "1", "description": "", "author": "",
                "wasm_file": "module.wasm",
                "permissions": { "methods": ["query:"], "max_memory_mb": MEMORY_MB },
            });
            fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
            fs::write(folder.join("module.wasm"), &guest.module).unwrap();
            if !matches!(guest.ends, Ends::Refused(_)) {
                place.ok(&["extension", "add", &folder.display().to_string()]);
                hostile.push((id, guest.ends));
            }
        }
        let server = Some(place.serve());
        let (jobs, random, counts) = (Vec::new(), 0x50ac, Counts::default());
        Self { place, server, hostile, jobs, random, counts }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % end
    }

    /// The answer's status and JSON; 0 where nobody answers.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let Some(server) = &self.server else { return (0, Value::Null) };
        let more = body.map_or("\r\n".to_owned(), |body| {
            let body = body.to_string();
            format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        });
        let answer = answer(&server.socket(), &request(method, path, &more));
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let json = answer.split_once("\r\n\r\n").and_then(|(_, json)| serde_json::from_str(json).ok());
        (status, json.unwrap_or_default())
    }

    /// Dispatches a job of any kind. It counts once the server has said so.
    fn dispatch(&mut self) {
        let endless =
            self.jobs.iter().filter(|job| job.kind == Kind::Hostile(Ends::Cancelled) && !job.cancelled);
        let may_be_endless = endless.count() < ENDLESS;
        let (name, kind) = match self.below(10) {
            0..4 => ("test-extension:tally".to_owned(), Kind::Tally(1 + self.below(25) as u64)),
            4..6 => ("test-extension:counter".to_owned(), Kind::Counter(1 + self.below(40) as u64)),
            6 => ("test-extension:nap".to_owned(), Kind::Nap),
            7 => ("test-extension:flaky".to_owned(), Kind::Flaky),
            _ => {
                let number = self.below(self.hostile.len());
                let (id, ends) = self.hostile[number].clone();
                if ends == Ends::Cancelled && !may_be_endless {
                    return;
                }
                (format!("{id}:go"), Kind::Hostile(ends))
            }
        };
        let id = Uuid::from_u128(0x50ac_0000_0000_4000_8000_0000_0000_0000 | self.jobs.len() as u128);
        let state = match kind {
            Kind::Tally(target) => json!({ "target": target, "prefix": format!("{id}/") }),
            Kind::Counter(target) => json!({ "target": target }),
            Kind::Nap => json!({ "ms": 1 + self.below(300) }),
            Kind::Flaky => json!({ "fail_times": 1 }),
            Kind::Hostile(_) => Value::Null,
        };
        let mut body = json!({ "job": name, "id": id });
        if !state.is_null() {
            body["state"] = state;
        }
        match self.ask("POST", "/api/v1/jobs", Some(&body)) {
            (200..300, _) => self.jobs.push(Known { id, kind, cancelled: false }),
            // It is there from before, when nobody heard the answer.
            (409, _) => self.jobs.push(Known { id, kind, cancelled: false }),
            (0 | 503 | 507, _) => self.counts.refused += 1,
            (status, told) => panic!("{name} was not dispatched: {status} {told}"),
        }
    }

    fn steer(&mut self) {
        if self.jobs.is_empty() {
            return;
        }
        let number = self.below(self.jobs.len());
        let Known { id, kind, .. } = self.jobs[number];
        let endless = kind == Kind::Hostile(Ends::Cancelled);
        let wish = match self.below(8) {
            0 if endless => "cancel",
            0..4 => "pause",
            _ => "resume",
        };
        let (status, told) = self.ask("POST", &format!("/api/v1/jobs/{id}/{wish}"), None);
        assert!(matches!(status, 0 | 200..300 | 409 | 503 | 507), "{wish} {id}: {status} {told}");
        self.counts.steered += 1;
        if wish == "cancel" && status == 200 {
            self.jobs[number].cancelled = true;
        }
    }

    fn reload(&mut self) {
        let number = self.below(self.hostile.len() + 4);
        let id = self.hostile.get(number).map_or("test-extension", |(id, _)| id).to_owned();
        let (status, told) = self.ask("POST", &format!("/api/v1/extensions/{id}/reload"), None);
        assert!(matches!(status, 0 | 200 | 503 | 507), "reload {id}: {status} {told}");
        self.counts.reloads += 1;
    }

    /// Kills the server, or asks it to stop, and starts one, at times with no room in its store.
    fn restart(&mut self) {
        match self.below(3) {
            0 => {
                assert_eq!(
                    self.server.take().map(Server::terminate),
                    Some(Some(0)),
                    "the server did not stop well"
                );
                self.counts.stops += 1;
            }
            _ => {
                drop(self.server.take());
                self.counts.kills += 1;
            }
        }
        if self.below(3) == 0 {
            let database: u64 = fs::read_dir(self.place.data())
                .unwrap()
                .filter_map(|file| file.ok())
                .filter(|file| file.file_name().to_string_lossy().ends_with(".db"))
                .map(|file| file.metadata().map_or(0, |metadata| metadata.len()))
                .sum();
            let most = (database + (32 << 10)).max(1 << 20).to_string();
            self.server = Some(self.place.serve_with(&["--max-store-bytes", &most]));
            self.counts.full += 1;
        } else {
            self.server = Some(self.place.serve());
        }
    }

    /// Jobs that are not over.
    fn unfinished(&self) -> u64 {
        let (status, health) = self.ask("GET", "/api/v1/health", None);
        assert_eq!(status, 200, "{health}");
        ["queued", "running", "paused"].iter().filter_map(|state| health["jobs"][state].as_u64()).sum()
    }

    /// Takes all that is in the way of anything out of it, and waits for the end of all jobs.
    fn finish(&mut self) {
        drop(self.server.take());
        self.server = Some(self.place.serve());
        let start = Instant::now();
        while self.unfinished() > 0 {
            assert!(start.elapsed() < LAST, "{} jobs do not end", self.unfinished());
            for number in 0..self.jobs.len() {
                let Known { id, kind, cancelled } = self.jobs[number];
                let endless = kind == Kind::Hostile(Ends::Cancelled) && !cancelled;
                let (_, told) = self.ask("GET", &format!("/api/v1/jobs/{id}"), None);
                match told["state"].as_str() {
                    Some("queued" | "running" | "paused") if endless => {
                        self.ask("POST", &format!("/api/v1/jobs/{id}/cancel"), None);
                    }
                    Some("paused") => {
                        self.ask("POST", &format!("/api/v1/jobs/{id}/resume"), None);
                    }
                    Some(_) => {}
                    None => panic!("job {id} is lost: {told}"),
                }
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// That each job is there and ended as it must.
    fn check(&self) -> u64 {
        let mut effects = 0;
        for Known { id, kind, .. } in &self.jobs {
            let (status, told) = self.ask("GET", &format!("/api/v1/jobs/{id}"), None);
            assert_eq!(status, 200, "job {id} is lost: {told}");
            let expected = match kind {
                Kind::Tally(_)
                | Kind::Counter(_)
                | Kind::Nap
                | Kind::Flaky
                | Kind::Hostile(Ends::Completes) => "completed",
                Kind::Hostile(Ends::Cancelled) => "cancelled",
                Kind::Hostile(Ends::Fails(_) | Ends::Refused(_)) => "failed",
            };
            assert_eq!(told["state"], expected, "{kind:?}: {told}");
            if let Kind::Tally(target) | Kind::Counter(target) = kind {
                assert_eq!(told["report"]["items"], *target, "each item once: {told}");
            }
            if let Kind::Tally(target) = kind {
                effects += target;
            }
        }
        effects
    }

    /// A wave of work, and what the server has of memory (KiB) and open files after it.
    fn wave(&self, wave: usize) -> (u64, usize) {
        for number in 0..WAVE {
            let job = if number % 2 == 0 { "tally" } else { "counter" };
            let body = json!({
                "job": format!("test-extension:{job}"), "state": { "target": 20, "prefix": format!("wave-{wave}-{number}/") }
            });
            let body = if job == "counter" {
                json!({ "job": body["job"], "state": { "target": 20 } })
            } else {
                body
            };
            let (status, told) = self.ask("POST", "/api/v1/jobs", Some(&body));
            assert!((200..300).contains(&status), "{status} {told}");
        }
        while self.unfinished() > 0 {
            thread::sleep(Duration::from_millis(50));
        }
        let process = self.ask("GET", "/api/v1/health", None).1["process"].as_u64().unwrap();
        usage(process)
    }
}

fn usage(process: u64) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (kib, Path::new(&format!("/proc/{process}/fd")).read_dir().unwrap().count())
}

#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn a_server_under_all_that_can_happen_loses_nothing() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let time = Duration::from_secs(seconds);
    let mut soak = Soak::new();
    let start = Instant::now();
    while start.elapsed() < time {
        // So that jobs come all the time.
        let due = (JOBS as f64 * (start.elapsed().as_secs_f64() / time.as_secs_f64() + 0.02)) as usize;
        match soak.below(40) {
            0 => soak.restart(),
            1 => soak.reload(),
            2..12 => soak.steer(),
            _ if soak.jobs.len() < due.min(JOBS) => soak.dispatch(),
            _ => thread::sleep(Duration::from_millis(20)),
        }
    }
    let tried = start.elapsed();
    soak.finish();
    let effects = soak.check();
    let puts = kv_of(&soak.place);
    let counted = puts.values().sum::<u64>();
    assert_eq!(puts.len() as u64, effects, "keys and effects");
    assert_eq!(counted, effects, "an effect was carried out twice");
    let waves: Vec<(u64, usize)> = (0..WAVES).map(|wave| soak.wave(wave)).collect();
    let (first, last) = (waves[1], waves[WAVES - 1]);
    println!(
        "{} jobs in {} s, {effects} effects; {:?}; memory and files after each wave: {waves:?}",
        soak.jobs.len(),
        tried.as_secs(),
        soak.counts
    );
    assert!(last.0 <= first.0 + MORE_KIB, "memory grows: {waves:?}");
    assert!(last.1 <= first.1 + MORE_FILES, "files stay open: {waves:?}");
}

/// The keys that were put, and how often each was.
fn kv_of(place: &Place) -> HashMap<String, u64> {
    let reader = std_host::store::StoreReader::open(&place.data()).unwrap();
    let keys = reader.kv_list("test-extension", "50ac", None, 1_000_000).unwrap();
    keys.into_iter().map(|entry| (entry.key, entry.version)).collect()
}
