use toehold_sdk::{JobContext, Result, job};

#[job]
fn no_name(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job("scan")]
fn no_key(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(resumable = true)]
fn only_resumable(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(nmae = "scan")]
fn unknown_key(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "a", name = "b")]
fn twice(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = 7)]
fn name_is_no_text(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "")]
fn empty_name(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "Scan all")]
fn bad_name(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "scan", resumable = "yes")]
fn resumable_is_no_bool(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

fn main() {}
