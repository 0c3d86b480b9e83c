//! A shell that answers anything, and looks at what a job promises after each step.

use arbitrary::Unstructured;
use toehold::{Answer, Extension, Job, LOG_TAIL_LINES, Limits, OutOfTurn, Outcome, Registry, Step};

use crate::guests::with_state;

/// Steps of a job, and runs.
const STEPS: u32 = 500;
const RUNS: u32 = 4;
/// Fuel that a step may take beyond what it is given: a block of instructions and what one host function costs.
const BEYOND: u64 = 1_200_000;

pub(crate) struct Drive<'e> {
    extension: &'e Extension,
    name: &'e str,
    fuel: u64,
    now: u64,
    runs: u32,
}

impl<'e> Drive<'e> {
    pub(crate) fn new(extension: &'e Extension, name: &'e str) -> Self {
        Self { extension, name, fuel: 0, now: 0, runs: 0 }
    }

    /// Runs the job until it ends or has had all its steps, with what `data` decides.
    pub(crate) fn run(mut self, data: &mut Unstructured<'_>) {
        let registry = Registry::default();
        let state: u8 = data.arbitrary().unwrap_or_default();
        let start = with_state(&vec![0; usize::from(state) % 5]);
        if let Ok(job) = self.extension.start(&registry, self.name, start) {
            self.steps(job, data);
        }
        assert!(registry.list().is_empty(), "a job that is gone is in the registry");
        assert_eq!(self.extension.running_jobs(), 0, "a job that is gone has a place");
    }

    fn steps(&mut self, mut job: Job, data: &mut Unstructured<'_>) {
        job.context().follow_log(4_000);
        let mut answer = None;
        for _ in 0..STEPS {
            steer(&job, data);
            let slice: u16 = data.arbitrary().unwrap_or(10_000);
            let waits = job.call().is_some() || job.commit().is_some();
            let taken = match answer.take() {
                Some(answer) => job.answer(answer, self.now),
                None => job.step(u64::from(slice), self.now),
            };
            let is_over = matches!(taken, Ok(Step::Finished(_)));
            self.check(&job, u64::from(slice), is_over);
            match taken {
                Ok(Step::Yielded) => {}
                // Nobody resumes it once there is nothing left to decide by.
                Ok(Step::Paused) if data.is_empty() => job.context().control().resume(),
                Ok(Step::Paused) => {}
                Ok(Step::Call(_) | Step::Commit(_)) => {}
                Ok(Step::Finished(Outcome::Interrupted)) if self.runs < RUNS => {
                    self.runs += 1;
                    job.context().control().resume();
                    match job.next_run() {
                        Ok(next) => job = next,
                        Err(_) => return,
                    }
                }
                Ok(Step::Finished(outcome)) => {
                    if let Outcome::Failed(failure) = &outcome {
                        assert!(!failure.to_string().is_empty(), "it failed and nobody says why");
                    }
                    let again = job.step(10_000, self.now);
                    assert!(matches!(again, Ok(Step::Finished(again)) if again == outcome));
                    return;
                }
                Err(OutOfTurn::Waits) => assert!(waits, "it waits for nothing"),
                Err(error) => panic!("{error}"),
            }
            answer = self.answer(&mut job, data);
        }
    }

    /// What the job waits for, or at times nothing yet. An answer to something else must change nothing.
    fn answer(&mut self, job: &mut Job, data: &mut Unstructured<'_>) -> Option<Answer> {
        let decides: u8 = data.arbitrary().unwrap_or_default();
        self.now += u64::from(decides);
        let answer = if let Some(call) = job.call() {
            let bytes: u16 = data.arbitrary().unwrap_or(2);
            let reply = match decides % 4 {
                0 => Err("\u{0}\"\\ no".repeat(usize::from(bytes % 600))),
                1 => Ok(vec![0xff; usize::from(bytes % 6_000)]),
                _ => Ok(b"{\"a\":1}".to_vec()),
            };
            Answer::Reply { call: call.key.number, reply }
        } else if let Some(commit) = job.commit() {
            Answer::Committed { commit: commit.number, durable: decides % 8 != 0 }
        } else {
            return None;
        };
        if decides == 255 {
            let wrong = match &answer {
                Answer::Reply { call, .. } => Answer::Committed { commit: *call, durable: true },
                Answer::Committed { commit, .. } => Answer::Reply { call: *commit, reply: Ok(Vec::new()) },
            };
            let taken = job.answer(wrong, self.now);
            assert!(matches!(taken, Err(OutOfTurn::NotAsked)), "a wrong answer was taken: {taken:?}");
        }
        (decides % 16 != 9).then_some(answer)
    }

    /// What must be so after any step.
    fn check(&mut self, job: &Job, slice: u64, is_over: bool) {
        let limits: &Limits = self.extension.limits();
        let (context, line) = (job.context(), limits.line_bytes);
        let used = context.fuel_used();
        assert!(used >= self.fuel, "fuel went from {} to {used}", self.fuel);
        // A pointer to what is not there costs as much as all of the memory, and ends the job.
        let claimed = if is_over { 2 * limits.memory_bytes / 16 } else { 0 };
        assert!(used - self.fuel <= slice + BEYOND + claimed, "a step of {slice} took {}", used - self.fuel);
        self.fuel = used;
        assert!(used <= limits.fuel_per_job + BEYOND + claimed, "{used} of fuel");
        assert!(job.memory_bytes() as u64 <= limits.memory_bytes, "{} bytes", job.memory_bytes());
        assert!(job.state().len() <= limits.state_bytes, "a state of {} bytes", job.state().len());
        let report = context.report();
        assert!(report.warnings.len() <= limits.warnings && report.log_lines <= limits.log_lines);
        assert!(report.warnings.iter().all(|warning| warning.len() <= line));
        if let Some(progress) = &report.progress {
            assert!((0.0..=1.0).contains(&progress.fraction), "progress {}", progress.fraction);
            assert!(progress.message.len() <= line);
            assert!(progress.phase.as_ref().is_none_or(|phase| phase.len() <= line));
        }
        let tail = context.log_tail();
        assert!(tail.len() <= LOG_TAIL_LINES && tail.iter().all(|logged| logged.text.len() <= line));
        let (lines, _) = context.take_log();
        let bytes: usize = lines.iter().map(|logged| logged.text.len()).sum();
        assert!(bytes <= 4_000, "{bytes} bytes of lines");
    }
}

/// At times somebody wants the job to stop, or to go on.
fn steer(job: &Job, data: &mut Unstructured<'_>) {
    let control = job.context().control();
    match data.arbitrary().unwrap_or(0_u8) {
        240..=247 => control.pause(),
        248..=249 => control.cancel(),
        250..=255 => control.resume(),
        _ => {}
    }
}
