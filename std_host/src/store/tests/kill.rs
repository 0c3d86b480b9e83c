//! A process that is killed while it writes: what it was told is durable is there, and nothing is there by half.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
};

use super::*;

/// The folder for the process that writes; the test that has it in its environment is that process.
const FOLDER: &str = "TOEHOLD_TEST_KILL_FOLDER";
const JOBS: u128 = 12;

/// The how many-th change of a job: record, checkpoint and journal say which it is, so that a mix is seen.
fn nth(job: Uuid, n: u64) -> Change {
    let size = [10, 5_000, 300, 70_000][(n % 4) as usize];
    let mut commit = Commit::new(
        n.to_le_bytes().repeat(1 + (n % 7) as usize),
        (n == 0 || !n.is_multiple_of(3)).then(|| checkpoint(job, n, n, &vec![n as u8; size])),
    );
    commit.new_run = n.is_multiple_of(5) && n > 0;
    let record = JobRecord { fuel_used: n, ..record("example:count", JobState::Running) };
    Change { record: (n == 0 || n.is_multiple_of(2)).then_some(record), commit: Some(Arc::new(commit)) }
}

/// What must be there of a job.
struct Expected {
    job: Uuid,
    /// Changes that are known to be there.
    count: u64,
    model: PowerStore,
}

impl Expected {
    fn new(job: Uuid) -> Self {
        Self { job, count: 0, model: PowerStore::default() }
    }

    fn acknowledged(&mut self, n: u64) {
        assert_eq!(n, self.count, "in order");
        self.model.change(self.job, &nth(self.job, n)).expect("it has power");
        self.count += 1;
    }

    /// Whether a store has all that was acknowledged. The change that was under way may be there too, as a whole.
    fn is_in(&mut self, store: &SqliteStore) -> bool {
        let found = store.reader().load(self.job).expect("it can be read");
        if found == self.model.load(self.job).expect("it has power") {
            return true;
        }
        self.acknowledged(self.count);
        found == self.model.load(self.job).expect("it has power")
    }
}

/// Not a test by itself: the process that is killed, if its environment says so.
#[test]
fn process_that_writes() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = SqliteStore::open(folder, StoreOptions::default()).expect("the store opens");
    let (tell, told) = mpsc::channel();
    let ask = |number: u128, n: u64| {
        let tell = tell.clone();
        store.change(id(number), &nth(id(number), n), move |result| {
            tell.send(result.map(|()| (number, n))).expect("somebody listens");
        });
    };
    let mut starts = std::io::stdin().lines().map(|line| line.expect("a line").parse().expect("a number"));
    for number in 1..=JOBS {
        ask(number, starts.next().expect("a line for each job"));
    }
    // Each job asks for its next change once it has the acknowledgement of the one before.
    for acknowledged in told {
        let (number, n) = acknowledged.expect("it is durable");
        println!("\nack {number} {n}");
        ask(number, n + 1);
    }
}

fn start(folder: &TempDir, jobs: &[Expected]) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().expect("a test"))
        .args(["--exact", "store::tests::kill::process_that_writes", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut input = child.stdin.take().expect("it is piped");
    for job in jobs {
        writeln!(input, "{}", job.count).expect("it reads");
    }
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    (child, output)
}

/// The next acknowledgement: job and number of its change.
fn acknowledged(output: &mut impl BufRead) -> (usize, u64) {
    next(output).expect("the process goes on")
}

fn next(output: &mut impl BufRead) -> Option<(usize, u64)> {
    let mut line = String::new();
    while output.read_line(&mut line).expect("it can be read") > 0 {
        if let Some(numbers) = line.trim().strip_prefix("ack ") {
            let (job, n) = numbers.split_once(' ').expect("two numbers");
            return Some((job.parse().expect("a job"), n.parse().expect("a number")));
        }
        line.clear();
    }
    None
}

fn jobs() -> Vec<Expected> {
    (1..=JOBS).map(|number| Expected::new(id(number))).collect()
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let folder = folder();
    let mut jobs = jobs();
    let mut random = Random(4_711);
    for round in 0..20 {
        let (mut child, mut output) = start(&folder, &jobs);
        for _ in 0..=random.below(120) {
            let (job, n) = acknowledged(&mut output);
            jobs[job - 1].acknowledged(n);
        }
        child.kill().expect("it runs");
        child.wait().expect("it is dead");
        // What it had said before it died counts as well. Of the last line, half may be missing.
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).expect("it can be read");
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut rest = &rest[..whole];
        while !rest.is_empty() {
            let Some((job, n)) = next(&mut rest) else { break };
            jobs[job - 1].acknowledged(n);
        }
        let store = open(&folder);
        assert_eq!(store.reader().check().expect("it can be read"), Vec::<String>::new());
        for job in &mut jobs {
            let before = job.count;
            assert!(
                job.is_in(&store),
                "round {round}: job {} is not as after {before} changes, nor as after one more",
                job.job
            );
        }
    }
}

#[test]
fn a_second_process_lists_while_one_writes() {
    let folder = folder();
    drop(open(&folder));
    let (mut child, mut output) = start(&folder, &jobs());
    let reader = SqliteStore::open_read_only(folder.path()).expect("it opens");
    for _ in 0..600 {
        let (job, n) = acknowledged(&mut output);
        let listed = reader.resumable().expect("it can be read");
        assert!(listed.iter().any(|listed| listed.id == id(job as u128)), "what was acknowledged is listed");
        let saved = reader.load(id(job as u128)).expect("it can be read").expect("it is there");
        let record = JobRecord::decode(&saved.record).expect("a record");
        assert!(record.fuel_used >= n - n % 2, "it is as new as what was acknowledged");
    }
    let wal = folder.path().join("toehold.db-wal");
    let bytes = wal.metadata().expect("a file").len();
    assert!(bytes < 32 << 20, "the write-ahead log has {bytes} bytes");
    child.kill().expect("it runs");
    child.wait().expect("it is dead");
    // Nobody writes any more, and it can still be read.
    assert_eq!(reader.jobs().expect("it can be read").len(), JOBS as usize);
}
