use toehold_sdk::{JobContext, Result, job};

#[job(name = "a")]
fn no_parameters() -> Result<()> {
    Ok(())
}

#[job(name = "b")]
fn one_parameter(_: &JobContext) -> Result<()> {
    Ok(())
}

#[job(name = "c")]
fn three_parameters(_: &JobContext, _: &mut u32, _: u32) -> Result<()> {
    Ok(())
}

#[job(name = "d")]
fn context_by_value(_: JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "e")]
fn state_that_cannot_change(_: &JobContext, _: &u32) -> Result<()> {
    Ok(())
}

#[job(name = "f")]
fn returns_nothing(_: &JobContext, _: &mut u32) {}

#[job(name = "g")]
async fn waits(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "h")]
fn generic<S>(_: &JobContext, _: &mut S) -> Result<()> {
    Ok(())
}

#[job(name = "i")]
unsafe fn dangerous(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "j")]
extern "C" fn foreign(_: &JobContext, _: &mut u32) -> Result<()> {
    Ok(())
}

#[job(name = "k")]
struct NoFunction;

fn main() {}
