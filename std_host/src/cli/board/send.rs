//! A job from this machine to a board. [`super::carry`] has the order, and why it is that.

use std_host::{board::Record, manager::JobStatus};
use toehold::{JobState, console::Command};

use super::{
    super::{exit::Exit, problem::Problem},
    CarryArgs, Desk,
    carry::{self, Here},
    files, show,
};

/// What to say where it is not known how far it came.
const REPEAT: &str =
    "the job stands still here, and maybe on the board; repeat the command, and it goes on from there";

pub(super) fn send(desk: &mut Desk, args: &CarryArgs) -> Result<Exit, Problem> {
    let here = Here::open(args)?;
    let Some(mine) = here.find(&args.job)? else {
        // It may have been carried there before.
        let Some(there) = desk.find(&args.job)? else {
            let message = format!("there is no job {} here, and none on the board either", args.job);
            return Err(Problem::new("unknown_job", message));
        };
        return arrived(desk, there, args);
    };
    let id = mine.job_id;
    let name = id.to_string();
    refuse_what_stays(&here, &mine)?;
    if let Some(there) = desk.find(&name)?
        && there.get("state") != Some("paused")
    {
        let message = format!(
            "job {id} is {} on the board already, and {} here; remove the one that is older, with `toehold board remove {id}` \
             or `toehold job remove {id}`",
            there.get("state").unwrap_or_default(),
            mine.state
        );
        return Err(Problem::new("job_exists", message));
    }
    let was_running = mine.state != JobState::Paused;
    let mine = if was_running { here.pause(id)? } else { mine };
    if mine.state.is_final() {
        return Err(is_over(&mine));
    }
    if let Err((problem, is_known)) = copy(desk, &here, &mine) {
        return Err(match (is_known, was_running) {
            (false, _) => carry::on_its_way(problem, REPEAT),
            (true, false) => problem,
            // The board has said that nothing of it is there, so it goes on where it was.
            (true, true) => match here.resume(id) {
                Ok(_) => carry::on_its_way(problem, "the job goes on here"),
                Err(error) => {
                    let what = format!(
                        "and the job stays paused here, for it could not be told to go on: {}",
                        error.message
                    );
                    carry::on_its_way(problem, &what)
                }
            },
        });
    }
    here.remove(id).map_err(|problem| carry::on_its_way(problem, REPEAT))?;
    let there = desk.job(&name)?;
    arrived(desk, there, args)
}

/// Jobs that can't go.
fn refuse_what_stays(here: &Here, mine: &JobStatus) -> Result<(), Problem> {
    if mine.state.is_final() {
        return Err(is_over(mine));
    }
    if let Some(parent) = mine.parent
        && here.status(parent)?.is_some_and(|parent| !parent.state.is_final())
    {
        let message = format!(
            "job {} was dispatched by job {parent}, which is not over and would dispatch it anew: let that end first",
            mine.job_id
        );
        return Err(Problem::new("job_busy", message));
    }
    Ok(())
}

fn is_over(mine: &JobStatus) -> Problem {
    let message = format!(
        "job {} is {} already: there is nothing left of it to be done on the board",
        mine.job_id, mine.state
    );
    Problem::new("job_over", message)
}

/// Copies a job that stands still here. An error comes with whether it is known that nothing of it is there.
fn copy(desk: &mut Desk, here: &Here, mine: &JobStatus) -> Result<(), (Problem, bool)> {
    let bundle = here.bundle(mine.job_id).map_err(|problem| (problem, true))?;
    let name = mine.job_id.to_string();
    let imported = files::import_bundle(desk, &bundle, true);
    match &imported {
        // What is there is compared below.
        Err(problem) if problem.code == "exists" => {}
        Err(problem) => return Err((problem.clone(), !carry::is_lost(problem))),
        Ok(()) => {}
    }
    // Out of its flash again: what is compared is what is durable.
    let theirs = desk.board.export(&name).map_err(|error| (error.into(), false))?;
    carry::compare(desk.board.port(), &bundle, &theirs).map_err(|problem| (problem, false))
}

/// The job is on the board alone: it goes on there.
fn arrived(desk: &mut Desk, there: Record, args: &CarryArgs) -> Result<Exit, Problem> {
    let mut there = there;
    if there.get("state") == Some("paused") && !args.paused {
        let id = carry::id_of(&there)?.to_string();
        desk.board.steer(&Command::Resume(&id))?;
        there = desk.job(&id)?;
    }
    desk.print(&show::to_json(&there), &show::line(&there));
    Ok(Exit::Completed)
}
