//! A fleet that is larger than any machine here, simulated: what its streams have to do, and which of them has enough first.
//!
//! Every slot of every worker takes a job, claims it, works, checkpoints and ends it, as docs/fleet.md says what a job costs the servers.
//! A stream is one queue: its leader does one entry after the other, in a time that was measured. Signs of life take from what is left.
//! Nothing is drawn by chance but where in its first job each slot begins, from a fixed seed: the same numbers give the same table.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::{Result, bail};

/// Microseconds.
type Time = u64;
const SECOND: Time = 1_000_000;

/// A fleet, its jobs, and what its servers can do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Processes that run jobs.
    pub(crate) workers: u64,
    /// Jobs that each runs at a time.
    pub(crate) slots: u64,
    /// Jobs that wait at the beginning.
    pub(crate) jobs: u64,
    /// Seconds that each computes.
    pub(crate) work: u64,
    /// Checkpoints of each.
    pub(crate) checkpoints: u64,
    /// Bytes of a job's log, all in all.
    pub(crate) job_bytes: u64,
    /// Streams that the logs of jobs are shared out among.
    pub(crate) streams: u64,
    /// Seconds that a dead worker's jobs wait.
    pub(crate) lease: u64,
    /// Entries that a stream's leader takes in a second.
    pub(crate) entries: u64,
    /// Messages of the queue that are handed out and acknowledged in a second.
    pub(crate) queued: u64,
    /// Bytes of a server's memory for each job that is stored.
    pub(crate) subject_bytes: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            workers: 10_000,
            slots: 8,
            jobs: 10_000_000,
            work: 600,
            checkpoints: 10,
            job_bytes: 4_096,
            streams: 1,
            lease: 30,
            entries: ENTRIES,
            queued: QUEUED,
            subject_bytes: SUBJECT_BYTES,
        }
    }
}

impl Plan {
    /// The number that an option of this name sets.
    pub(crate) fn setting(&mut self, name: &str) -> Result<&mut u64> {
        Ok(match name {
            "workers" => &mut self.workers,
            "slots" => &mut self.slots,
            "jobs" => &mut self.jobs,
            "work" => &mut self.work,
            "checkpoints" => &mut self.checkpoints,
            "job-bytes" => &mut self.job_bytes,
            "streams" => &mut self.streams,
            "lease" => &mut self.lease,
            "entries" => &mut self.entries,
            "queued" => &mut self.queued,
            "subject-bytes" => &mut self.subject_bytes,
            other => bail!("a plan has no --{other}"),
        })
    }
}

/// Less than the 6,791 checkpoints of 1 KiB that 16 jobs made in a second on two cores, three servers among them, in a run of
/// `cargo xtask bench --fleet` that was cut short.
const ENTRIES: u64 = 5_000;
/// As many as entries: a guess. `--queued` sets another.
const QUEUED: u64 = 5_000;
/// Measured: a server of 2.15.1 with 300,000 subjects had 481 bytes more for each, and 376 after it was started again.
const SUBJECT_BYTES: u64 = 500;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Seconds until the last job was over.
    pub(crate) seconds: f64,
    /// Jobs that ended in a second, on average.
    pub(crate) jobs_per_second: f64,
    /// The share of the time in which each was busy, signs of life included.
    pub(crate) busy: [(&'static str, f64); 3],
    /// Milliseconds that a checkpoint waited until it was durable: the median, and the 99th percentile.
    pub(crate) wait_ms: [f64; 2],
}

/// One after the other, each in the same time.
struct Stream {
    each: Time,
    free_at: Time,
    busy: Time,
    /// The share that signs of life take.
    background: f64,
}

impl Stream {
    /// A stream that does so much in a second, of which signs of life take some.
    fn new(name: &str, per_second: u64, background: f64) -> Result<Self> {
        let left = per_second as f64 - background;
        if left < per_second as f64 / 20.0 {
            bail!(
                "{name}: signs of life alone are {background:.0} in a second, of {per_second} that it can do"
            );
        }
        let each = (SECOND as f64 / left) as Time;
        Ok(Self { each: each.max(1), free_at: 0, busy: 0, background: background / per_second as f64 })
    }

    /// When it has done one more that comes now.
    fn write(&mut self, now: Time) -> Time {
        self.free_at = self.free_at.max(now) + self.each;
        self.busy += self.each;
        self.free_at
    }

    fn share(&self, end: Time) -> f64 {
        self.background + (1.0 - self.background) * self.busy as f64 / end.max(1) as f64
    }
}

/// How far a slot is with its job.
#[derive(Clone, Copy)]
struct Slot {
    job: u64,
    /// Entries that are still to be written, the end included.
    left: u64,
}

/// How often each wait was, by tenths of a millisecond, the last for all that are longer.
struct Waits(Vec<u64>);

impl Waits {
    fn note(&mut self, wait: Time) {
        let last = self.0.len() - 1;
        self.0[(wait as usize / 100).min(last)] += 1;
    }

    fn percentile(&self, share: f64) -> f64 {
        let wanted = (self.0.iter().sum::<u64>() as f64 * share) as u64;
        let mut seen = 0;
        let at = self.0.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        at.unwrap_or(self.0.len() - 1) as f64 / 10.0
    }
}

/// Runs all jobs.
pub(crate) fn simulate(plan: &Plan) -> Result<Outcome> {
    let slots = plan.workers * plan.slots;
    let running = slots.min(plan.jobs) as f64;
    let lease = plan.lease.max(1) as f64;
    // Each job and each worker is told of in a third of the lease, and each log looked at once in it.
    let mut queue = Stream::new("the queue", plan.queued, running * 3.0 / lease)?;
    let presence = plan.workers as f64 * 3.0 / lease;
    if presence > plan.entries as f64 {
        bail!(
            "the bucket of workers: {presence:.0} signs of life in a second, of {} that it can do",
            plan.entries
        );
    }
    let looks = running / lease / plan.streams as f64;
    let mut streams = (0..plan.streams)
        .map(|_| Stream::new("a stream of logs", plan.entries, looks))
        .collect::<Result<Vec<_>>>()?;
    let pause = plan.work * SECOND / (plan.checkpoints + 1);
    let (mut next_job, mut over, mut end) = (0, 0, 0);
    let mut state = vec![Slot { job: 0, left: 0 }; usize::try_from(slots.min(plan.jobs))?];
    let mut waits = Waits(vec![0; 100_000]);
    // All take their first job within the time that one takes, so that they do not march in step.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut due: BinaryHeap<Reverse<(Time, usize)>> = (0..state.len())
        .map(|slot| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Reverse(((seed >> 33) % (plan.work * SECOND).max(1), slot))
        })
        .collect();
    while let Some(Reverse((now, index))) = due.pop() {
        let slot = &mut state[index];
        if slot.left == 0 {
            if next_job == plan.jobs {
                continue;
            }
            (slot.job, next_job) = (next_job, next_job + 1);
            slot.left = plan.checkpoints + 1;
            let handed_out = queue.write(now);
            let claimed = streams[(slot.job % plan.streams) as usize].write(handed_out);
            due.push(Reverse((claimed + pause, index)));
            continue;
        }
        let durable = streams[(slot.job % plan.streams) as usize].write(now);
        waits.note(durable - now);
        slot.left -= 1;
        if slot.left == 0 {
            over += 1;
            end = end.max(durable);
            due.push(Reverse((durable, index)));
        } else {
            due.push(Reverse((durable + pause, index)));
        }
    }
    let busiest = streams.iter().map(|stream| stream.share(end)).fold(0.0, f64::max);
    let seconds = end as f64 / SECOND as f64;
    Ok(Outcome {
        seconds,
        jobs_per_second: over as f64 / seconds,
        busy: [("queue", queue.share(end)), ("logs", busiest), ("workers", presence / plan.entries as f64)],
        wait_ms: [waits.percentile(0.5), waits.percentile(0.99)],
    })
}

/// Prints a table of fleets of several sizes, up to this one.
pub(crate) fn print(plan: &Plan) -> Result<()> {
    let Plan { slots, work, checkpoints, entries, queued, .. } = plan;
    println!(
        "Jobs of {work} s with {checkpoints} checkpoints, {slots} at a time on each worker; a leader takes {entries} entries, and the \
         queue hands out {queued} messages, in a second.\n"
    );
    println!(
        "{:>8} {:>9} {:>8} {:>6} {:>8} {:>7} {:>6} {:>6} {:>8} {:>14}",
        "workers", "jobs", "streams", "lease", "jobs/s", "hours", "queue", "logs", "workers", "checkpoint ms"
    );
    let smaller = |divisor: u64| Plan {
        workers: (plan.workers / divisor).max(1),
        jobs: (plan.jobs / divisor).max(1),
        ..plan.clone()
    };
    for divisor in [1_000, 100, 10, 1] {
        for (streams, lease) in [(plan.streams, plan.lease), (16, plan.lease), (16, 300)] {
            let plan = Plan { streams, lease, ..smaller(divisor) };
            print!("{:>8} {:>9} {streams:>8} {lease:>6} ", plan.workers, plan.jobs);
            match simulate(&plan) {
                Err(reason) => println!("{reason}"),
                Ok(Outcome { seconds, jobs_per_second, busy, wait_ms: [median, worst] }) => {
                    let [queue, logs, workers] = busy.map(|(_, share)| share * 100.0);
                    println!(
                        "{jobs_per_second:>8.1} {:>7.2} {queue:>5.0}% {logs:>5.0}% {workers:>7.0}% {median:>6.1} {worst:>7.1}",
                        seconds / 3_600.0
                    );
                }
            }
        }
    }
    let gigabytes = |each: u64| (plan.jobs * each) as f64 / 1e9;
    println!(
        "\n{} jobs that are kept: {:.0} GB on each of the servers that have them, and {:.1} GB of its memory for their subjects.",
        plan.jobs,
        gigabytes(plan.job_bytes),
        gigabytes(plan.subject_bytes)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Plan {
        Plan { workers: 10, jobs: 2_000, work: 10, entries: 1_000, queued: 1_000, ..Plan::default() }
    }

    #[test]
    fn where_servers_are_fast_slots_decide() {
        let outcome = simulate(&Plan { entries: 1_000_000, queued: 1_000_000, ..small() }).unwrap();
        // 80 slots, 10 s each; the first and the last jobs do not fill them.
        assert!((6.0..8.01).contains(&outcome.jobs_per_second), "{outcome:?}");
    }

    #[test]
    fn no_stream_does_more_than_it_can() {
        let outcome = simulate(&Plan { workers: 1_000, work: 1, lease: 3_000, ..small() }).unwrap();
        // A claim, ten checkpoints and an end.
        assert!(outcome.jobs_per_second <= 1_000.0 / 12.0, "{outcome:?}");
        assert!(outcome.busy[1].1 > 0.9, "{outcome:?}");
        let wider = simulate(&Plan { workers: 1_000, work: 1, lease: 3_000, streams: 4, ..small() }).unwrap();
        assert!(wider.jobs_per_second > 3.0 * outcome.jobs_per_second, "{wider:?}");
    }

    #[test]
    fn signs_of_life_can_be_too_many() {
        let error = simulate(&Plan { workers: 10_000, jobs: 1_000_000, ..small() }).unwrap_err();
        assert!(error.to_string().contains("signs of life"), "{error}");
    }
}
