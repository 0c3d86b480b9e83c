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

mod sort {
    use toehold_sdk::{JobContext, Result};

    #[toehold_sdk::job(version = 2_u32, migrate = old::from_v1, name = "sort")]
    pub(super) fn sort(_ctx: &JobContext, _state: &mut u32) -> Result<()> {
        Ok(())
    }

    mod old {
        pub(super) fn from_v1<'a>(from: u32, _old: &'a [u8]) -> toehold_sdk::Result<u32> {
            Ok(from)
        }
    }
}

#[job(name = "filter", version = 2)]
fn filter(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[cfg(any())]
#[job(name = "absent", version = 2, migrate = no_such_function)]
fn absent(_: &JobContext, _: &mut NoSuchType) -> Result<()> {}

#[extension(version = "1.0.0-rc.1", jobs = [execute, scan::scan, sort::sort, #[cfg(all())] filter, #[cfg(any())] absent], id = "a", name = "Ä", init = self::start)]
pub struct Example;

fn start() -> Result<()> {
    Ok(())
}

fn main() {
    assert_eq!(Example::JOBS.len(), 4);
    assert!(Example::init().is_ok());
}
