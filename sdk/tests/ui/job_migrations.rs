use toehold_sdk::{JobContext, Result, job};

#[job(name = "a", migrate = from_older)]
fn no_version(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "b", version = 0, migrate = from_older)]
fn version_of_none(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "c", version = -1)]
fn negative_version(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "d", version = "2")]
fn version_is_text(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "e", version = 4_294_967_296)]
fn version_is_too_large(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "f", version = 2, migrate = from_older())]
fn migrate_is_no_path(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "g", version = 2, migrate = "from_older")]
fn migrate_is_text(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

fn from_older(_: u32, _: &[u8]) -> Result<u32> {
    Ok(0)
}

fn main() {}
