//! What the macros make of an extension, as far as it can be seen without WebAssembly.

use toehold_abi::{EXECUTE_PREFIX, MIGRATE_PREFIX};
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

#[job(name = "sort", version = 3, migrate = from_older)]
fn sort(_ctx: &JobContext, _state: &mut u32) -> Result<()> {
    Ok(())
}

fn from_older(from: u32, _old: &[u8]) -> Result<u32> {
    Ok(from)
}

#[extension(id = "photos", name = "Photos", version = "1.2.3", jobs = [scan, jobs::tidy, sort])]
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
    assert_eq!(
        jobs,
        [("scan", "execute_scan", true), ("tidy-up", "execute_tidy", false), ("sort", "execute_sort", true)]
    );
    assert_eq!(loaded.logs[0].text, "✓ Photos initialized!");
    assert_eq!(loaded.logs[0].level, LogLevel::Info);
    assert_eq!((Photos::ID, Photos::NAME, Photos::VERSION), ("photos", "Photos", "1.2.3"));
}

#[test]
fn a_job_knows_how_its_state_is_migrated() {
    let states = Photos::JOBS.iter().map(|job| (job.state_version, job.migrate));
    assert!(states.eq([(0, None), (0, None), (3, Some("migrate_sort"))]));
    for job in Photos::JOBS {
        let name = job.export.strip_prefix(EXECUTE_PREFIX).unwrap();
        assert!(job.migrate.is_none_or(|export| export.strip_prefix(MIGRATE_PREFIX) == Some(name)));
    }
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
