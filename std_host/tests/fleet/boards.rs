//! A board as a worker: jobs from the queue, and what it stores of them into the fleet.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use std_host::fleet::{FleetConfig, FleetStore};
use tempfile::TempDir;
use toehold::{Checkpoint, JobRecord, JobState, Saved, Trust, Uuid};

use crate::{
    command::signal,
    emulated::{Emulated, Mishap},
    servers::{Servers, Stream, patiently},
    workers::{Desk, Worker},
};

/// Who has to wait for this waits too long.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(2);
/// More than any test waits for, at the pace of the board here.
const ENDLESS: u64 = 4_000_000_000;
/// Far enough that something can happen on the way.
const FAR: u64 = 20_000;

/// The process that has a board work.
struct AtWork {
    child: Child,
    said: PathBuf,
    _folder: TempDir,
}

impl AtWork {
    fn start(board: &Emulated, servers: &Servers, config: &FleetConfig) -> Self {
        Self::with(board, servers, config, &["--allow-unsigned"])
    }

    fn with(board: &Emulated, servers: &Servers, config: &FleetConfig, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        command.args(["board", "--json", "--port", &board.port(), "work", "--name", "b1"]).args(more);
        command.args(["--nats", &servers.urls()[0], "--fleet", &config.name]).current_dir(folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(File::create(&said).unwrap()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        let at_work = Self { child, said, _folder: folder };
        assert!(ready.contains("\"ready\""), "it is not ready: {ready:?} {}", at_work.said());
        at_work
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    /// Waits until it says this to people.
    #[track_caller]
    fn until_said(&self, text: &str) {
        until(&format!("{text:?} is said"), || self.said().contains(text));
    }

    /// Asks it to stop, and waits until it has.
    #[track_caller]
    fn stop(mut self) -> String {
        signal("-TERM", self.child.id());
        assert!(self.child.wait().unwrap().success(), "{}", self.said());
        self.said()
    }

    /// Without any warning.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "it takes too long until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Jobs on a board that nobody else speaks to.
fn on(board: &Emulated) -> Vec<(Uuid, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
    let out = command.args(["board", "--json", "--port", &board.port(), "list"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{out:?}"));
    let job = |job: &Value| {
        let text = |key: &str| job[key].as_str().unwrap().to_owned();
        (text("job_id").parse().unwrap(), text("state"))
    };
    listed["jobs"].as_array().unwrap().iter().map(job).collect()
}

fn counter(desk: &Desk, target: u64) -> Uuid {
    desk.dispatch("counter", &json!({ "target": target }))
}

fn fleet(servers: &Servers, lease: Duration) -> FleetConfig {
    FleetConfig { lease, ..servers.config("boards") }
}

/// A fleet with the test extension, and a board that works for it. Whoever owns a job has to be in touch in this time.
fn board_at_work(lease: Duration) -> (Servers, FleetConfig, Desk, Emulated, AtWork) {
    let servers = Servers::start(1);
    let config = fleet(&servers, lease);
    let desk = Desk::with_extension(&config);
    let board = Emulated::new();
    let at_work = AtWork::start(&board, &servers, &config);
    (servers, config, desk, board, at_work)
}

/// What the fleet has of a job.
fn saved(config: &FleetConfig, job: Uuid) -> (u64, Saved) {
    FleetStore::open(config).unwrap().load_at(job).unwrap().unwrap()
}

fn newest(saved: &Saved) -> Value {
    serde_json::from_slice(&Checkpoint::decode(&saved.newest).unwrap().state).unwrap()
}

/// Waits until the fleet has a checkpoint of a job that the board runs. The how many-th it is.
#[track_caller]
fn until_checkpoint(config: &FleetConfig, job: Uuid) -> u64 {
    let store = FleetStore::open(config).unwrap();
    let mut sequence = 0;
    until("the fleet has a checkpoint", || {
        let (_, saved) = store.load_at(job).unwrap().unwrap();
        sequence = Checkpoint::decode(&saved.newest).unwrap().sequence;
        sequence > 0
    });
    sequence
}

#[test]
fn a_job_of_the_queue_runs_on_a_board_to_its_end() {
    let servers = Servers::start(1);
    let config = fleet(&servers, LONG);
    let desk = Desk::with_extension(&config);
    let board = Emulated::new();
    let job = counter(&desk, FAR);
    let at_work = AtWork::start(&board, &servers, &config);
    desk.wait(job, &[JobState::Running]);
    let first = until_checkpoint(&config, job);
    assert_eq!(desk.wait(job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
    let (_, saved) = saved(&config, job);
    let record = JobRecord::decode(&saved.record).unwrap();
    assert_eq!(record.report.items, FAR);
    assert!(record.started_at >= Some(record.created_at) && record.ended_at >= record.started_at);
    assert_eq!(newest(&saved)["processed"], json!(FAR));
    assert!(Checkpoint::decode(&saved.newest).unwrap().sequence > first, "the fleet had one on the way");
    let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
    command.args(["job", "events", &job.to_string(), "--json", "--fleet", &config.name]);
    let told = command.args(["--nats", &servers.urls()[0]]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    for kind in ["running", "checkpoint", "completed"] {
        assert!(told.contains(&format!("\"event\":\"{kind}\"")), "{kind}: {told}");
    }
    // The message of the queue has gone, and the slot is free.
    let next = counter(&desk, 10);
    desk.wait(next, &[JobState::Completed]);
    let worker = desk.client.workers().unwrap().pop().unwrap();
    assert_eq!((worker.name.as_str(), worker.slots), ("b1", 1));
    at_work.stop();
    assert_eq!(on(&board), [], "the board keeps nothing of the fleet's jobs");
    assert_eq!(desk.client.workers().unwrap(), []);
}

#[test]
fn what_is_wanted_of_a_job_reaches_it_on_the_board() {
    let (_servers, config, desk, board, at_work) = board_at_work(LONG);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    let handle = || desk.client.manager().job(job).unwrap();
    desk.runtime.block_on(handle().pause()).unwrap();
    desk.wait(job, &[JobState::Paused]);
    let items = desk.items(job);
    assert!(items > 0, "it is paused as far as it had come");
    // Its slot is free meanwhile.
    let other = counter(&desk, 10);
    desk.wait(other, &[JobState::Completed]);
    desk.runtime.block_on(handle().resume()).unwrap();
    until("it goes on from there", || desk.items(job) > items);
    desk.runtime.block_on(handle().cancel()).unwrap();
    desk.wait(job, &[JobState::Cancelled]);
    at_work.stop();
    assert_eq!(on(&board), []);
}

#[test]
fn what_a_board_has_of_a_job_that_another_took_is_dropped() {
    let (_servers, config, desk, board, at_work) = board_at_work(LONG);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    let mut other = FleetStore::open(&config).unwrap();
    other.take(job).unwrap();
    let taken = other.load_at(job).unwrap();
    at_work.until_said("is another worker's by now");
    let next = counter(&desk, 10);
    desk.wait(next, &[JobState::Completed]);
    assert_eq!(other.load_at(job).unwrap(), taken, "nothing of it was written");
    at_work.stop();
    assert_eq!(on(&board), []);
}

#[test]
fn a_job_that_is_too_large_for_a_board_is_done_by_another_worker() {
    let servers = Servers::start(1);
    let config = fleet(&servers, SHORT);
    let desk = Desk::with_extension(&config);
    // The extension has more bytes than its flash.
    let board = Emulated::with::<24>(Trust::Anyone);
    let at_work = AtWork::start(&board, &servers, &config);
    let job = counter(&desk, 10);
    let reason = || desk.client.manager().job(job).unwrap().status().reason;
    until("the fleet says why", || reason().is_some_and(|reason| reason.contains("board b1: ")));
    // It is looked at again, and not tried again.
    let queue = Stream::open(&servers, "BOARDS_QUEUE");
    until("it was looked at again", || queue.deliveries("normal") >= 4);
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    desk.wait(job, &[JobState::Completed]);
    let claims = FleetStore::open(&config).unwrap().take(job).unwrap();
    assert_eq!(claims, 3, "the board's, the worker's, and this one");
    at_work.stop();
}

#[test]
fn a_job_that_calls_what_a_board_lacks_is_done_by_another_worker() {
    let (servers, config, desk, board, at_work) = board_at_work(SHORT);
    let job = desk.dispatch("tally", &json!({ "target": 20 }));
    at_work.until_said("it has no action:kv.put, which the job calls");
    assert_eq!(saved(&config, job).1.journal, b"", "nothing of that run was written");
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    // It fails itself where an effect is there twice.
    assert_eq!(desk.wait(job, &[JobState::Completed, JobState::Failed]), JobState::Completed);
    at_work.stop();
    assert_eq!(on(&board), []);
}

#[test]
fn a_board_that_stops_working_gives_its_jobs_back_as_far_as_they_have_come() {
    let (servers, config, desk, board, at_work) = board_at_work(LONG);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    let said = at_work.stop();
    assert!(said.contains("the board has none of them"), "{said}");
    assert_eq!(on(&board), []);
    assert_eq!(desk.wait(job, &[JobState::Queued]), JobState::Queued);
    let (_, saved) = saved(&config, job);
    let record = JobRecord::decode(&saved.record).unwrap();
    let state = newest(&saved);
    assert_eq!(state["processed"], json!(record.report.items), "it has checkpointed to stand still");
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    until("another goes on with it", || desk.items(job) > record.report.items);
}

#[test]
fn a_copy_that_a_killed_process_left_on_the_board_is_removed() {
    let (servers, config, desk, board, at_work) = board_at_work(SHORT);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    at_work.kill();
    assert_eq!(on(&board), [(job, "running".to_owned())]);
    let before = newest(&saved(&config, job).1)["processed"].as_u64().unwrap();
    // Another worker has it by now, and the board's copy must not come back.
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    until("another goes on with it", || desk.items(job) > before);
    let mine = own_job(&board);
    let at_work = AtWork::start(&board, &servers, &config);
    at_work.until_said(&format!("the board's copy of job {job} is removed"));
    at_work.stop();
    assert_eq!(on(&board), [(mine, "running".to_owned())], "what is the board's own stays");
    assert_eq!(desk.state(job), JobState::Running);
}

/// Dispatches a job that only the board knows.
fn own_job(board: &Emulated) -> Uuid {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
    command.args(["board", "--port", &board.port(), "dispatch", "test-extension:counter", "--state"]);
    let out = command.arg(json!({ "target": ENDLESS }).to_string()).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap_or_else(|_| panic!("no id"))
}

#[test]
fn a_board_that_is_reset_or_cut_off_goes_on_with_its_jobs() {
    let reset = "the board was reset";
    for (mishap, said) in
        [(Mishap::CutAnswer, "the board is there again"), (Mishap::Reset, reset), (Mishap::ResetAfter, reset)]
    {
        let (_servers, config, desk, board, at_work) = board_at_work(LONG);
        let job = counter(&desk, ENDLESS);
        until_checkpoint(&config, job);
        board.after(1, mishap);
        at_work.until_said(said);
        let items = desk.items(job);
        until("it goes on", || desk.items(job) > items);
        desk.runtime.block_on(desk.client.manager().job(job).unwrap().pause()).unwrap();
        desk.wait(job, &[JobState::Paused]);
        let (_, saved) = saved(&config, job);
        let record = JobRecord::decode(&saved.record).unwrap();
        assert_eq!(newest(&saved)["processed"], json!(record.report.items), "{mishap:?}");
        let claims = FleetStore::open(&config).unwrap().take(job).unwrap();
        assert_eq!(claims, 2, "{mishap:?}: the board's, and this one");
        at_work.stop();
        assert_eq!(on(&board), [], "{mishap:?}");
    }
}

#[test]
fn a_job_that_a_board_can_not_end_has_its_last_attempt_elsewhere() {
    let (servers, config, desk, board, at_work) = board_at_work(SHORT);
    let job = desk.dispatch("crash", &json!({}));
    // A board has two attempts, a job three.
    until("the board has given up", || attempt(&config, job) == 3);
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    desk.wait(job, &[JobState::Failed]);
    assert_eq!(attempt(&config, job), 3);
    at_work.stop();
    assert_eq!(on(&board), []);
}

fn attempt(config: &FleetConfig, job: Uuid) -> u32 {
    JobRecord::decode(&saved(config, job).1.record).unwrap().attempt
}

#[test]
fn jobs_of_a_board_that_is_gone_are_done_by_others() {
    let (servers, config, desk, board, at_work) = board_at_work(SHORT);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    let items = desk.items(job);
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    drop(board);
    // Its process is there and shows signs of life: only what it says itself lets others have the job.
    at_work.until_said("the board is away for too long");
    until("another goes on with it", || desk.items(job) > items);
    assert!(at_work.stop().contains("may still have copies"));
}

#[test]
fn a_job_that_could_not_be_given_back_for_want_of_room_is_once_there_is_some() {
    let (servers, config, desk, board, at_work) = board_at_work(SHORT);
    let job = counter(&desk, ENDLESS);
    until_checkpoint(&config, job);
    let stream = Stream::open(&servers, "BOARDS_JOBS");
    stream.fill();
    drop(board);
    until("it is given back in vain", || at_work.said().matches("is away for too long").count() > 1);
    stream.make_room();
    let items = desk.items(job);
    let _worker = Worker::start(&servers.urls()[0], &config, 1, &[]);
    until("another goes on with it", || desk.items(job) > items);
    drop(at_work);
}

#[test]
fn what_nobody_trusted_has_signed_is_not_brought_to_a_board() {
    let servers = Servers::start(1);
    let config = fleet(&servers, SHORT);
    let desk = Desk::with_extension(&config);
    let board = Emulated::new();
    let key = toehold::SigningKey::from_seed(&[7; 32]).public_key().to_string();
    let at_work = AtWork::with(&board, &servers, &config, &["--trust", &key]);
    counter(&desk, 10);
    at_work.until_said("the job's module is not taken here");
    at_work.stop();
    assert_eq!(on(&board), []);
    // Nobody says whom to trust.
    let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
    command.args(["board", "--port", &board.port(), "work", "--nats", &servers.urls()[0]]);
    let out = command.output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(!out.status.success() && said.contains("name the keys"), "{said}");
    drop(patiently(|| FleetStore::open(&config)));
}
