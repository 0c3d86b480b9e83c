//! The job manager: what it takes to start, keep, resume and share. Times are on the wall, since most of it waits for
//! the disk.

use std::{
    future::Future,
    path::Path,
    time::{Duration, Instant},
};

use std_host::manager::{Dispatch, JobHandle, Manager, ManagerConfig};

use crate::rounds::{Effort, quantile};

/// A job `go` that counts rounds of some work, up to the number in the first four bytes of its state, asks whether to
/// stop after each, and checkpoints a KiB after every so many as the next four bytes say (0 for never).
const WORKER: &str = r#"(module
    (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
    (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
    (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
    (memory (export "memory") 1)
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
    (func (export "execute_go") (param $ctx i32) (param $ctx_len i32) (param $state i32) (param $len i32) (result i32)
        (local $i i32) (local $n i32) (local $x i32)
        ;; The context's job id is text: its bytes are given in the state, after the two numbers.
        (memory.copy (i32.const 64) (i32.add (local.get $state) (i32.const 8)) (i32.const 16))
        (loop $round
            (local.set $n (i32.const 1000))
            (loop $work
                (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
                (br_if $work (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (call $items (i32.const 64) (i64.const 1))
            (drop (call $interrupt (i32.const 64)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (if (i32.load offset=4 (local.get $state)) (then
                (if (i32.eqz (i32.rem_u (local.get $i) (i32.load offset=4 (local.get $state)))) (then
                    (drop (call $checkpoint (i32.const 64) (i32.const 8192) (i32.const 1024)))))))
            (br_if $round (i32.lt_u (local.get $i) (i32.load (local.get $state)))))
        (i32.const 0)))"#;

const MANIFEST: &str = r#"{"id": "worker", "name": "Worker", "version": "1.0.0", "description": "Works", "author": "The Toehold authors",
    "wasm_file": "worker.wasm", "permissions": {"rate_limits": {"concurrent_jobs": 2000}, "max_memory_mb": 1}}"#;

pub(crate) fn ratios(effort: Effort) {
    println!("\n## jobs\n\n| what | measured |\n| --- | ---: |");
    let (quick, full) = (effort.pick(50, 2_000), effort.pick(50, 1_000));
    throughput(quick);
    restart(full);
    #[cfg(unix)]
    restart_of_a_process(full);
    checkpoints(effort.pick(1, 9), effort.pick(0.05, 2.0));
    fairness(effort.pick(0.1, 4.0));
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn open(data: &Path, workers: usize) -> Manager {
    let config = ManagerConfig { workers, ..ManagerConfig::new(data) };
    Manager::open(config).expect("the data folder opens")
}

/// A data folder with the extension.
fn folder() -> tempfile::TempDir {
    let data = tempfile::tempdir().expect("a folder");
    let extension = data.path().join("extensions/worker");
    std::fs::create_dir_all(&extension).expect("a folder");
    std::fs::write(extension.join("manifest.json"), MANIFEST).expect("room on the disk");
    let module = wat::parse_str(WORKER).expect("the text is a module");
    std::fs::write(extension.join("worker.wasm"), module).expect("room on the disk");
    data
}

fn dispatch(manager: &Manager, rounds: u32, checkpoint_every: u32) -> JobHandle {
    let id = toehold::Uuid::new_v4();
    let mut state = [rounds.to_le_bytes(), checkpoint_every.to_le_bytes()].concat();
    state.extend_from_slice(id.as_bytes());
    let dispatch = Dispatch { id: Some(id), state, ..Dispatch::default() };
    block_on(manager.dispatch("worker:go", dispatch)).expect("the job is dispatched")
}

/// Jobs per second from dispatch to completion, dispatched one after the other and sixteen at a time.
fn throughput(jobs: u32) {
    for at_once in [1, 16] {
        let data = folder();
        let manager = open(data.path(), 2);
        let start = Instant::now();
        let handles: Vec<JobHandle> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once)
                .map(|_| {
                    scope.spawn(|| (0..jobs / at_once).map(|_| dispatch(&manager, 1, 0)).collect::<Vec<_>>())
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it dispatches")).collect()
        });
        for handle in &handles {
            assert!(block_on(handle.wait()).report.items == 1);
        }
        let rate = handles.len() as f64 / start.elapsed().as_secs_f64();
        println!(
            "| jobs per second from dispatch to completion, {at_once} dispatching at a time | {rate:.0} |"
        );
    }
}

/// From opening a data folder to all of its interrupted jobs having run again.
fn restart(jobs: u32) {
    let data = folder();
    let manager = open(data.path(), 2);
    let ids: Vec<_> = (0..jobs).map(|_| dispatch(&manager, u32::MAX, 0).id()).collect();
    drop(manager);
    let start = Instant::now();
    let manager = open(data.path(), 2);
    let opened = start.elapsed();
    let handles: Vec<_> = ids.iter().map(|id| manager.job(*id).expect("the job is there")).collect();
    for handle in &handles {
        while handle.status().report.items == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let (opened, all) = (opened.as_secs_f64() * 1e3, start.elapsed().as_secs_f64() * 1e3);
    println!("| {jobs} interrupted jobs: opened, and all running again | {opened:.0} ms, {all:.0} ms |");
}

/// From the start of a process to all jobs that a killed one had running having run again, as somebody outside sees it.
#[cfg(unix)]
fn restart_of_a_process(jobs: u32) {
    let data = folder();
    let manager = open(data.path(), 0);
    (0..jobs).for_each(|_| drop(dispatch(&manager, u32::MAX, 0)));
    drop(manager);
    let first = Server::start(data.path());
    first.wait_until_all_run(jobs);
    drop(first);
    let start = Instant::now();
    let second = Server::start(data.path());
    let ready = start.elapsed().as_secs_f64() * 1e3;
    second.wait_until_all_run(jobs);
    let all = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "| {jobs} jobs of a killed `toehold serve`: from the start of the next one until it is ready, and all running again | {ready:.0} ms, {all:.0} ms |"
    );
}

/// A `toehold serve`, which is killed without a warning when this is dropped.
#[cfg(unix)]
struct Server {
    child: std::process::Child,
    socket: std::path::PathBuf,
}

#[cfg(unix)]
impl Server {
    fn start(data: &Path) -> Self {
        use std::{
            io::BufRead,
            process::{Command, Stdio},
        };
        let mut serve = Command::new(env!("CARGO_BIN_EXE_toehold"));
        serve.args(["serve", "--json", "--workers", "2", "--data"]).arg(data).stderr(Stdio::null());
        let mut child = serve.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut ready = String::new();
        let stdout = child.stdout.as_mut().expect("it is piped");
        std::io::BufReader::new(stdout).read_line(&mut ready).expect("a line");
        assert!(ready.starts_with('{'), "the server is not ready: {ready}");
        Self { child, socket: data.join("toehold.sock") }
    }

    fn wait_until_all_run(&self, jobs: u32) {
        use std::io::{Read, Write};
        loop {
            let mut stream = std::os::unix::net::UnixStream::connect(&self.socket).expect("it listens");
            let request = "GET /api/v1/jobs?limit=1000 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
            let listed: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let listed = listed["jobs"].as_array().expect("a list");
            if listed.iter().filter(|job| job["report"]["items"] != 0).count() == jobs as usize {
                return;
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it was there");
    }
}

/// A job that checkpoints every 100 ms beside one that never does.
fn checkpoints(rounds: usize, seconds: f64) {
    let data = folder();
    let manager = open(data.path(), 1);
    let time = |work: u32, every: u32| {
        let start = Instant::now();
        let status = block_on(dispatch(&manager, work, every).wait());
        assert_eq!(status.report.items, u64::from(work));
        start.elapsed().as_secs_f64()
    };
    // How many rounds of work 100 ms are on this machine.
    time(2_000, 0);
    let tenth = (2_000.0 * 0.1 / time(2_000, 0)) as u32;
    let work = (f64::from(tenth) * 10.0 * seconds) as u32;
    let mut ratios: Vec<f64> = (0..rounds)
        .map(|round| {
            // In turns, so that neither always comes first.
            if round % 2 == 0 {
                let never = time(work, 0);
                time(work, tenth.max(1)) / never
            } else {
                let every = time(work, tenth.max(1));
                every / time(work, 0)
            }
        })
        .collect();
    let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&mut ratios, part));
    println!(
        "| a job that checkpoints 1 KiB every 100 ms, beside one that never does | **{median:.3}** ({low:.3} – {high:.3}) |"
    );
}

/// What a light job gets of one worker beside 50 heavy ones.
fn fairness(seconds: f64) {
    let data = folder();
    let manager = open(data.path(), 1);
    let alone = Instant::now();
    let work = 2_000;
    block_on(dispatch(&manager, work, 0).wait());
    let alone = alone.elapsed().as_secs_f64();
    let heavy: Vec<_> = (0..50).map(|_| dispatch(&manager, u32::MAX, 0)).collect();
    let fuel = || -> u64 { heavy.iter().map(|job| job.status().fuel_used).sum() };
    while heavy.iter().any(|job| job.status().report.items == 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = fuel();
    let light = dispatch(&manager, u32::MAX, 0);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let (own, others) = (light.status().fuel_used, fuel() - before);
    let share = own as f64 / (others as f64 / 50.0);
    println!("| fuel of one job that comes to 50 that run, of what each of those gets | **{share:.3}** |");
    block_on(light.cancel()).expect("it is running");
    let start = Instant::now();
    block_on(dispatch(&manager, work, 0).wait());
    let factor = start.elapsed().as_secs_f64() / alone;
    println!("| time of a short job beside them, of its time alone (51 is its fair share) | {factor:.1} |");
}
