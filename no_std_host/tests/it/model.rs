//! Whatever is asked of a board in whatever order, and wherever the power goes meanwhile: what was acknowledged holds, and each job
//! ends with its items counted once and its effects done once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use no_std_host::{Attention, Config, Doing, Operations, sim::Tear};
use proptest::prelude::*;
use toehold::{Called, Manifest, Package, Permissions, RateLimits, Uuid};

use crate::{
    guests::{JOBS, state},
    support::{Bench, field},
};

const ITEMS: u8 = 30;
const JOBS_OF_A_RUN: u8 = 4;

thread_local! {
    /// One for each test: they run at the same time.
    static ATTENTION: &'static Attention = Box::leak(Box::new(Attention::new()));
    /// The calls that were carried out, by job.
    static MARKS: RefCell<BTreeMap<Uuid, BTreeSet<u64>>> = RefCell::default();
}

fn config() -> Config {
    let mut operations = Operations::default();
    operations.register("action:mark", |call| {
        MARKS.with_borrow_mut(|marks| marks.entry(call.key.job).or_default().insert(call.key.number));
        Called::Ready(Ok(b"{}".to_vec()))
    });
    Config {
        operations,
        attention: Some(ATTENTION.with(|attention| *attention)),
        slice: 2_000,
        backoff_ms: 50,
        ..Config::default()
    }
}

/// What happens.
#[derive(Clone, Debug)]
enum Happens {
    Run(u8, &'static str),
    Pause(u8),
    Resume(u8),
    Cancel(u8),
    Remove(u8),
    /// It is carried away, and back.
    Carry(u8),
    /// So many rounds pass.
    Rounds(u32),
    Restart,
    /// The power goes at the operation of flash after so many.
    Cut(u64, Tear),
    /// The firmware has reset the board because of this job.
    Blame(u8),
    Interrupt,
    /// So many bytes of memory are free.
    Memory(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let job = || 0..JOBS_OF_A_RUN;
    let name = prop::sample::select(vec!["count", "count", "tally", "tally", "deaf", "nap", "spin", "fail"]);
    prop_oneof![
        6 => (job(), name).prop_map(|(job, name)| Happens::Run(job, name)),
        4 => job().prop_map(Happens::Pause),
        4 => job().prop_map(Happens::Resume),
        1 => job().prop_map(Happens::Cancel),
        1 => job().prop_map(Happens::Remove),
        2 => job().prop_map(Happens::Carry),
        8 => (0_u32..30).prop_map(Happens::Rounds),
        3 => Just(Happens::Restart),
        6 => (0_u64..60, prop::sample::select(Tear::ALL.to_vec())).prop_map(|(at, tear)| Happens::Cut(at, tear)),
        1 => job().prop_map(Happens::Blame),
        1 => Just(Happens::Interrupt),
        2 => prop::sample::select(vec![20_000, 90_000, 1 << 20]).prop_map(Happens::Memory),
    ]
}

/// What is known of a job that is there.
#[derive(Debug)]
struct Known {
    name: &'static str,
    wanted: Wanted,
    /// It stood still while that was wanted.
    stood: bool,
    /// The board was reset because of it.
    blamed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Nothing,
    Pause,
    Cancel,
    /// The power went before the answer, or somebody else paused it.
    Unknown,
}

struct World {
    bench: Bench,
    jobs: BTreeMap<u8, Known>,
}

fn id(job: u8) -> String {
    format!("0000000{job}-0000-4000-8000-000000000000")
}

fn is_final(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "cancelled")
}

impl World {
    fn new() -> Self {
        MARKS.take();
        let permissions = Permissions {
            methods: vec![String::new()],
            rate_limits: RateLimits { concurrent_jobs: 2, requests_per_minute: 1_000_000 },
            ..Permissions::default()
        };
        let manifest = Manifest::new("jobs").unwrap().with_permissions(permissions);
        let mut bench = Bench::with(config);
        let answer = bench.install(&Package::pack(&manifest, b"", &wat::parse_str(JOBS).unwrap()));
        assert!(answer.starts_with("ok"), "{answer}");
        Self { bench, jobs: BTreeMap::new() }
    }

    /// The answer to a line; `None` if the power went before it was carried out, or meanwhile.
    fn tell(&mut self, line: &str) -> Option<String> {
        let answer = self.bench.tell(line).pop().unwrap();
        let went = self.revive();
        (answer.starts_with("ok") || !went).then_some(answer)
    }

    /// The state of a job, if there is such a job.
    fn state(&mut self, job: u8) -> Option<String> {
        loop {
            let state = self.bench.state(&id(job));
            if !self.revive() {
                return state;
            }
        }
    }

    /// Gives power again, if it went.
    fn revive(&mut self) -> bool {
        let went = self.bench.is_cut();
        if went {
            self.restart();
        }
        went
    }

    fn restart(&mut self) {
        self.bench.power_off();
        self.bench.flash().power_on();
        self.bench.power_on();
        self.bench.lines.clear();
        for (job, known) in &self.jobs {
            let Some(state) = self.bench.state(&id(*job)) else { continue };
            match known.wanted {
                Wanted::Cancel => assert!(is_final(&state), "{job} was cancelled and is {state}"),
                Wanted::Pause => {
                    assert!(state == "paused" || is_final(&state), "{job} was paused and is {state}");
                }
                Wanted::Nothing | Wanted::Unknown => {}
            }
        }
    }

    fn happens(&mut self, happens: &Happens) {
        match happens {
            Happens::Run(job, name) => {
                let answer = self.tell(&format!("run jobs:{name} id={} {}", id(*job), state(ITEMS)));
                // Where the answer is lost, or there is no memory to look into the extension, it may be there or not.
                let is_new = !self.jobs.contains_key(job) && self.state(*job).is_some();
                assert!(
                    is_new
                        || self.jobs.contains_key(job)
                        || answer.is_none_or(|answer| !answer.starts_with("ok"))
                );
                if is_new {
                    let known = Known { name, wanted: Wanted::Nothing, stood: false, blamed: false };
                    self.jobs.insert(*job, known);
                }
            }
            Happens::Pause(job) => self.steer("pause", *job, Wanted::Pause),
            Happens::Resume(job) => self.steer("resume", *job, Wanted::Nothing),
            Happens::Cancel(job) => self.steer("cancel", *job, Wanted::Cancel),
            Happens::Remove(job) => self.remove(*job),
            Happens::Carry(job) => self.carry(*job),
            Happens::Rounds(rounds) => {
                for _ in 0..*rounds {
                    self.bench.rounds(1);
                    self.revive();
                }
            }
            Happens::Restart => self.restart(),
            Happens::Cut(at, tear) => self.bench.cut_after(*at, *tear),
            Happens::Blame(job) => {
                if let Some(known) = self.jobs.get_mut(job) {
                    known.blamed = true;
                    self.bench.witness.reset.set(Some(Doing::Job(id(*job).parse().unwrap())));
                    self.restart();
                }
            }
            Happens::Interrupt => {
                for known in self.jobs.values_mut().filter(|known| known.wanted != Wanted::Cancel) {
                    (known.wanted, known.stood) = (Wanted::Unknown, false);
                }
                ATTENTION.with(|attention| attention.pause());
            }
            Happens::Memory(bytes) => self.bench.memory.0.set(*bytes),
        }
    }

    fn steer(&mut self, command: &str, job: u8, wanted: Wanted) {
        let line = format!("{command} {}", id(job));
        let Some(known) = self.jobs.get_mut(&job) else {
            let answer = self.tell(&line);
            assert!(answer.is_none_or(|answer| answer.starts_with("err unknown_job")));
            return;
        };
        let (before, stood) = (known.wanted, known.stood);
        if before == Wanted::Cancel {
            self.tell(&line);
            return;
        }
        // So it is while nobody has heard the answer.
        (known.wanted, known.stood) = (Wanted::Unknown, false);
        let is_done = self.tell(&line).is_some_and(|answer| answer.starts_with("ok"));
        if let Some(known) = self.jobs.get_mut(&job).filter(|_| is_done) {
            (known.wanted, known.stood) = (wanted, stood && wanted == before);
        }
    }

    fn remove(&mut self, job: u8) {
        self.tell(&format!("remove {}", id(job)));
        if self.state(job).is_none() && self.jobs.remove(&job).is_some() {
            MARKS.with_borrow_mut(|marks| marks.remove(&id(job).parse().unwrap()));
        }
    }

    /// Takes a job that stands still away from the board, and brings it back: as often as it takes.
    fn carry(&mut self, job: u8) {
        let is_paused = self.state(job).as_deref() == Some("paused");
        let Some(known) = self.jobs.get_mut(&job).filter(|known| is_paused && known.wanted == Wanted::Pause)
        else {
            return;
        };
        // Nothing of all that asks for another pause.
        known.stood = false;
        known.wanted = Wanted::Unknown;
        self.bench.memory.0.set(1 << 20);
        if self.bench.is_cut() {
            self.revive();
        }
        let bundle = self.bench.export(&id(job));
        self.tell(&format!("cancel {}", id(job)));
        while self.state(job).is_some_and(|state| state != "cancelled") {
            self.bench.rounds(1);
            self.revive();
            self.tell(&format!("cancel {}", id(job)));
        }
        while self.state(job).is_some() {
            self.tell(&format!("remove {}", id(job)));
        }
        loop {
            let answer = self.bench.import(&bundle, true);
            let went = self.revive();
            if answer.starts_with("ok") {
                break;
            }
            assert!(went, "{answer}");
        }
        assert_eq!(self.state(job).as_deref(), Some("paused"));
        if let Some(known) = self.jobs.get_mut(&job) {
            known.wanted = Wanted::Pause;
        }
    }

    /// What must be so at any time.
    fn check(&mut self) {
        for job in self.jobs.keys().copied().collect::<Vec<_>>() {
            let state = self.state(job);
            let Some(known) = self.jobs.get_mut(&job) else { continue };
            let state = state.unwrap_or_else(|| panic!("{job} is gone: {known:?}"));
            if known.wanted == Wanted::Pause {
                assert!(
                    !known.stood || state == "paused" || is_final(&state),
                    "{job} stood still and is {state}"
                );
                known.stood |= state == "paused";
            }
        }
    }

    /// Nothing is in the way of anything any more.
    fn finish(&mut self) {
        self.restart();
        self.bench.memory.0.set(1 << 20);
        let jobs: Vec<u8> = self.jobs.keys().copied().collect();
        for job in &jobs {
            self.tell(&format!("resume {}", id(*job)));
            if self.jobs[job].name == "spin" {
                self.tell(&format!("cancel {}", id(*job)));
            }
        }
        for _ in 0..20_000 {
            if jobs.iter().all(|job| self.state(*job).is_some_and(|state| is_final(&state))) {
                break;
            }
            self.bench.rounds(1);
        }
        for (job, known) in &self.jobs {
            let line = self.bench.ok(&format!("status {}", id(*job))).remove(0);
            let state = field(&line, "state").unwrap();
            let may_be = match state.as_str() {
                "completed" => !matches!(known.name, "spin" | "fail"),
                "failed" => known.name == "fail" || known.blamed,
                "cancelled" => {
                    known.name == "spin" || !matches!(known.wanted, Wanted::Nothing | Wanted::Pause)
                }
                _ => false,
            };
            assert!(may_be, "{known:?}: {line}");
            let marks =
                MARKS.with_borrow(|marks| marks.get(&id(*job).parse().unwrap()).map_or(0, BTreeSet::len));
            if state == "completed" && known.name != "nap" {
                assert_eq!(field(&line, "items"), Some(ITEMS.to_string()), "{line}");
                assert_eq!(marks, if known.name == "tally" { usize::from(ITEMS) } else { 0 }, "{line}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_holds(run in prop::collection::vec(happens(), 1..60)) {
        let mut world = World::new();
        for happens in &run {
            world.happens(happens);
            world.check();
        }
        world.finish();
    }
}

/// The power goes while a job that is imported gets its name: it once took another job's pieces along.
#[test]
fn a_cut_while_a_job_gets_its_name_harms_no_other() {
    use Happens::{Cancel, Carry, Cut, Memory, Pause, Remove, Resume, Rounds, Run};
    let run = [
        Run(2, "tally"),
        Pause(0),
        Remove(0),
        Run(2, "count"),
        Rounds(18),
        Resume(0),
        Resume(0),
        Rounds(24),
        Rounds(11),
        Run(3, "fail"),
        Memory(90_000),
        Pause(0),
        Run(1, "tally"),
        Pause(2),
        Run(0, "count"),
        Run(0, "count"),
        Cancel(0),
        Remove(1),
        Rounds(9),
        Rounds(18),
        Resume(0),
        Pause(1),
        Carry(1),
    ];
    for cut in 0..40 {
        let mut world = World::new();
        for happens in run.iter().chain(&[Cut(cut, Tear::Nothing), Carry(2)]) {
            world.happens(happens);
            world.check();
        }
        world.finish();
    }
}
