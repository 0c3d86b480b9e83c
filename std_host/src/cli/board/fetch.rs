//! A job from a board to this machine. [`super::carry`] has the order, and why it is that.

use toehold::{JobState, console::Command};

use super::{
    super::{exit::Exit, problem::Problem},
    CarryArgs, Desk,
    carry::{self, Here},
    follow,
};

/// What to say where it is not known how far it came.
const REPEAT: &str =
    "the job stands still on the board, and maybe here; repeat the command, and it goes on from there";

pub(super) fn fetch(desk: &mut Desk, args: &CarryArgs) -> Result<Exit, Problem> {
    let here = Here::open(args)?;
    let Some(there) = desk.find(&args.job)? else { return arrived(desk, &here, args) };
    let id = carry::id_of(&there)?;
    let name = id.to_string();
    let mine = here.status(id)?;
    if let Some(mine) = &mine
        && !may_be_a_copy(mine.state, follow::is_final(&there))
    {
        let message = format!(
            "job {id} is {} here already, and {} on the board; remove the one that is older, with `toehold job remove {id}` \
             or `toehold board remove {id}`",
            mine.state,
            there.get("state").unwrap_or_default()
        );
        return Err(Problem::new("job_exists", message));
    }
    let was_running = !carry::stands_still(&there);
    desk.stop(&name).map_err(|problem| match carry::is_lost(&problem) {
        true => carry::on_its_way(problem, "the job may stand still on the board; repeat the command"),
        false => problem,
    })?;
    let copied = copy(desk, &here, &name, mine.is_some());
    if let Err((problem, is_known)) = copied {
        return Err(match (is_known, was_running) {
            (false, _) => carry::on_its_way(problem, REPEAT),
            (true, false) => problem,
            // Nothing of it is here, so it goes on where it was.
            (true, true) => match desk.board.steer(&Command::Resume(&name)) {
                Ok(()) => carry::on_its_way(problem, "the job goes on on the board"),
                Err(error) => {
                    let what = format!(
                        "and the job stays paused on the board, which could not be told to go on: {error}"
                    );
                    carry::on_its_way(problem, &what)
                }
            },
        });
    }
    desk.take_off(&name).map_err(|problem| carry::on_its_way(problem, REPEAT))?;
    arrived(desk, &here, args)
}

/// Whether what is here of a job may be what an earlier try has left.
fn may_be_a_copy(here: JobState, is_over_there: bool) -> bool {
    here == JobState::Paused || (here.is_final() && is_over_there)
}

/// Copies a job that stands still on the board. An error comes with whether it is known that nothing of it is here.
fn copy(desk: &mut Desk, here: &Here, name: &str, is_here: bool) -> Result<(), (Problem, bool)> {
    let theirs = desk.board.export(name).map_err(|error| (error.into(), !is_here))?;
    if !is_here {
        here.import(&theirs).map_err(|problem| {
            let is_known =
                !matches!(&*problem.code, "no_serve" | "closing" | "failed" | "store_failed" | "job_exists");
            let problem = match &*problem.code {
                "no_module" => carry::on_its_way(problem, "`toehold extension add PATH` installs it here"),
                _ => problem,
            };
            (problem, is_known)
        })?;
    }
    // Out of the store again: what is compared is what is durable.
    let mine = here.bundle(theirs.job_id).map_err(|problem| (problem, false))?;
    carry::compare(desk.board.port(), &mine, &theirs).map_err(|problem| (problem, false))
}

/// The board has the job no longer, or never had it: it goes on here.
fn arrived(desk: &Desk, here: &Here, args: &CarryArgs) -> Result<Exit, Problem> {
    let Some(mut status) = here.find(&args.job)? else {
        let message = format!("there is no job {} on the board, and none here either", args.job);
        return Err(Problem::new("unknown_job", message));
    };
    if status.state == JobState::Paused && !args.paused {
        status = here.resume(status.job_id)?;
    }
    Ok(here.show(desk.json, &status))
}
