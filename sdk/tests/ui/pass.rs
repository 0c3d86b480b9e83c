#![forbid(unsafe_code)]
#![deny(warnings)]

use toehold_sdk::{Extension, JobContext, Result, extension, job};

#[job(name = "with_all-1", resumable = false,)]
pub(crate) fn execute(_: &JobContext, state: &mut Vec<String>) -> Result<()> {
    state.push(String::new());
    Ok(())
}

mod scan {
    use toehold_sdk::JobContext;

    #[toehold_sdk::job(name = "scan")]
    pub fn scan<'a>(_ctx: &'a JobContext, _state: &'a mut ()) -> toehold_sdk::Result<()> {
        Ok(())
    }
}

#[cfg(any())]
#[job(name = "absent")]
fn absent(_: &JobContext, _: &mut NoSuchType) -> Result<()> {}

#[extension(version = "1.0.0-rc.1", jobs = [execute, scan::scan], id = "a", name = "Ä", init = self::start)]
pub struct Example;

fn start() -> Result<()> {
    Ok(())
}

fn main() {
    assert_eq!(Example::JOBS.len(), 2);
    assert!(Example::init().is_ok());
}
