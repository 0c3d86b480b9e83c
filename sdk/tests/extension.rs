//! What the macros make of an extension, as far as it can be seen without WebAssembly.

use toehold_sdk::testing::FakeHost;
use toehold_sdk::{Extension, JobContext, LogLevel, Result, extension, job};

mod jobs {
    use super::{JobContext, Result, job};

    #[job(name = "tidy-up", resumable = false)]
    pub(super) fn tidy(_ctx: &JobContext, _state: &mut u32) -> Result<()> {
        Ok(())
    }
}

#[job(name = "scan")]
fn scan(_ctx: &JobContext, _state: &mut u32) -> Result<()> {
    Ok(())
}

#[extension(id = "photos", name = "Photos", version = "1.2.3", jobs = [scan, jobs::tidy])]
struct Photos;

#[extension(id = "broken", name = "Broken", version = "1.2.3", jobs = [scan], init = fail)]
struct Broken;

fn fail() -> Result<()> {
    Err("no library of photos")?
}

#[test]
fn loading_registers_the_jobs_in_order() {
    let loaded = FakeHost::new().load::<Photos>();
    assert_eq!(loaded.code, 0);
    let jobs: Vec<_> = loaded.jobs.iter().map(|job| (job.name, job.export, job.resumable)).collect();
    assert_eq!(jobs, [("scan", "execute_scan", true), ("tidy-up", "execute_tidy", false)]);
    assert_eq!(loaded.logs[0].text, "✓ Photos initialized!");
    assert_eq!(loaded.logs[0].level, LogLevel::Info);
    assert_eq!((Photos::ID, Photos::NAME, Photos::VERSION), ("photos", "Photos", "1.2.3"));
}

#[test]
fn a_refused_job_refuses_the_extension() {
    let loaded = FakeHost::new().refuse_job("tidy-up").load::<Photos>();
    assert_eq!(loaded.code, 1);
    assert_eq!(loaded.logs.len(), 1, "it must not say that it is initialized");
    assert_eq!(loaded.logs[0].text, "the host refused to register the job tidy-up (export execute_tidy)");
    assert_eq!(loaded.logs[0].level, LogLevel::Error);
}

#[test]
fn a_failing_init_refuses_the_extension() {
    let loaded = FakeHost::new().load::<Broken>();
    assert_eq!(loaded.code, 1);
    assert_eq!(loaded.logs[0].text, "no library of photos");
}

#[test]
fn a_job_stays_a_function() {
    let run = FakeHost::new().run(scan, 7);
    assert_eq!(run.state, Some(7));
}
