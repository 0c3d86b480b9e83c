//! From `cancel()` on one thread until a hostile job is gone on another, with the limits that every host has unless it sets others.

use std::{
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use toehold::{
    Call, Called, Commit, Extension, JobContext, JobStart, Limits, Manifest, NotDurable, Outcome,
    Permissions, Platform, Registry, Stopped, Uuid, run,
};

use crate::rounds::{Effort, quantile};

#[path = "../../../tests/core/hostile/gallery.rs"]
mod gallery;

const SLICE: u64 = 100_000;

pub(crate) fn distribution(effort: Effort) {
    println!("\n## stop: from `cancel()` until a hostile job is gone, in slices of 100,000 fuel\n");
    println!("| guest | median, ms | p99, ms | max, ms |");
    println!("| --- | ---: | ---: | ---: |");
    let mut all = Vec::new();
    for hostile in gallery::gallery() {
        if hostile.ends != gallery::Ends::Cancelled {
            continue;
        }
        let mut times = measure(&load(&hostile), effort.pick(3, 300));
        row(hostile.name, &mut times);
        all.extend(times);
    }
    row("**all of them**", &mut all);
}

fn row(name: &str, times: &mut [f64]) {
    let [median, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(times, part) * 1e3);
    println!("| {name} | {median:.2} | {p99:.2} | {max:.2} |");
}

fn load(hostile: &gallery::Hostile) -> Extension {
    let permissions = Permissions {
        methods: vec!["query:".to_owned()],
        max_memory_mb: gallery::MEMORY_MB,
        ..Permissions::default()
    };
    let manifest = Manifest::new("hostile").expect("a good id").with_permissions(permissions);
    Extension::load(manifest, &hostile.module, &Limits::default()).expect("a module that loads")
}

/// Runs and cancels jobs, one after the other. Gives the seconds from each cancel until the worker had the job back.
fn measure(extension: &Extension, times: usize) -> Vec<f64> {
    let registry = Registry::default();
    let mut random = 0x9e37_79b9_u32;
    (0..times)
        .map(|number| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let start = JobStart { id: Uuid::from_u128(number as u128 + 1), ..JobStart::default() };
            let mut job = extension.start(&registry, "go", start).expect("the job starts");
            let context = job.context().clone();
            let (started, running) = mpsc::channel();
            let worker = thread::spawn(move || {
                started.send(()).expect("somebody waits");
                let stopped = run(&mut job, &mut Obliging(Instant::now()), SLICE);
                (stopped, Instant::now())
            });
            running.recv().expect("the job's thread runs");
            thread::sleep(Duration::from_micros(u64::from(1_000 + random % 4_000)));
            let asked = Instant::now();
            context.control().cancel();
            let (stopped, gone) = worker.join().expect("the job's thread ends");
            assert_eq!(stopped, Stopped::Finished(Outcome::Cancelled));
            gone.saturating_duration_since(asked).as_secs_f64()
        })
        .collect()
}

/// Answers everything at once.
struct Obliging(Instant);

impl Platform for Obliging {
    fn now(&mut self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }

    fn call(&mut self, _call: &Arc<Call>) -> Called {
        Called::Ready(Ok(b"{}".to_vec()))
    }

    fn commit(&mut self, _job: &JobContext, _commit: &Arc<Commit>) -> Poll<Result<(), NotDurable>> {
        Poll::Ready(Ok(()))
    }

    fn idle(&mut self, until: Option<u64>) {
        // No commit or call is ever under way, so this is a wait for a limit of calls in a minute.
        let _ = until;
        thread::yield_now();
    }
}
