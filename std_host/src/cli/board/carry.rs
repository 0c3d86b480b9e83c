//! Jobs between a board and a data folder: what both directions have in common.
//!
//! A job is carried in five steps, each of which is durable before the next begins, and does nothing if it was done before:
//!
//! 1. **Pause** it where it is, and wait until it stands still.
//! 2. **Copy** it: export there, import here, *paused*. From now on it stands still at both ends.
//! 3. **Compare**: what the end that it goes to has of it must be, byte for byte, what the other end has.
//! 4. **Remove** it where it was. From now on it is at one end.
//! 5. **Resume** it where it is, unless it is over, or `--paused` was given.
//!
//! | cut off | where the job is then | the same command again |
//! | --- | --- | --- |
//! | before 2 is done | at its old end, paused or running | begins anew |
//! | after 2 or 3 | paused at both ends, alike | finds both alike, and goes on with 4 |
//! | within 4, where a board has to cancel it before it removes it | paused at its new end, cancelled at the old one | finds both alike, and goes on with 4 |
//! | after 4 | paused at its new end | finds none at the old end, and goes on with 5 |
//! | after 5 | where it was to go | says so |
//!
//! So it never runs at both ends: nobody resumes a copy before the other one is removed. Where the other end refuses step 2,
//! a job that was running before goes on where it was. Where it is not known whether step 2 was done, since the link or
//! the server has gone, it stays paused, and the error says to repeat the command. Where both ends have the job and not the
//! same of it, somebody has resumed one of them in between: which is the newer one only they know.

use serde_json::Value;
use std_host::{
    board::{BoardError, Record},
    manager::JobStatus,
};
use toehold::{Bundle, Checkpoint, JobState, Uuid, console::Command};

use super::{
    super::{
        client::{Client, Need},
        exit::Exit,
        job::{id, wait},
        output::{eprint, print},
        problem::Problem,
        serve,
    },
    CarryArgs, Desk, follow,
};

/// The data folder of this machine, or a fleet.
pub(super) struct Here {
    pub(super) client: Client,
}

impl Here {
    pub(super) fn open(args: &CarryArgs) -> Result<Self, Problem> {
        let settings = args.data.settings()?;
        let config = serve::config(&args.data.folder(&settings)?, &settings)?;
        #[cfg(feature = "nats")]
        if let Some(fleet) = args.fleet.config() {
            return Ok(Self { client: Client::of_fleet(&fleet, &config)? });
        }
        Ok(Self { client: Client::open(&config, Need::Write)? })
    }

    /// The job that is called so here, if there is one.
    pub(super) fn find(&self, name: &str) -> Result<Option<JobStatus>, Problem> {
        match id::find(&self.client, name) {
            Ok(id) => self.status(id),
            Err(problem) if problem.code == "unknown_job" => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    pub(super) fn status(&self, id: Uuid) -> Result<Option<JobStatus>, Problem> {
        match self.client.get(&format!("/jobs/{id}")) {
            Ok(status) => Ok(Some(status)),
            Err(problem) if problem.code == "unknown_job" => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    pub(super) fn bundle(&self, id: Uuid) -> Result<Bundle, Problem> {
        let bytes = self.client.get_bytes(&format!("/jobs/{id}/bundle"))?;
        Bundle::decode(&bytes).map_err(|error| Problem::new("bad_bundle", error))
    }

    pub(super) fn import(&self, bundle: &Bundle) -> Result<(), Problem> {
        let imported: Result<JobStatus, Problem> =
            self.client.post_bytes("/jobs/import?paused=1", bundle.encode());
        imported.map(drop)
    }

    pub(super) fn pause(&self, id: Uuid) -> Result<JobStatus, Problem> {
        let status: JobStatus = self.client.post(&format!("/jobs/{id}/pause"), &Value::Null)?;
        if !self.client.is_served() {
            return Ok(status);
        }
        let (_, mut stands) = wait::until_then(&self.client, &[id], wait::Until::Stopped, None)?;
        Ok(stands.pop().unwrap_or(status))
    }

    pub(super) fn resume(&self, id: Uuid) -> Result<JobStatus, Problem> {
        self.client.post(&format!("/jobs/{id}/resume"), &Value::Null)
    }

    pub(super) fn remove(&self, id: Uuid) -> Result<(), Problem> {
        self.client.delete(&format!("/jobs/{id}"))
    }

    /// Shows a job that is here now.
    pub(super) fn show(&self, json: bool, status: &JobStatus) -> Exit {
        print(&if json { serde_json::json!(status).to_string() } else { wait::line(status) });
        if !self.client.is_served() && status.state == JobState::Queued {
            let data = self.client.data().display();
            eprint(&format!("it is queued in {data}, and runs once `toehold serve` does"));
        }
        Exit::Completed
    }
}

/// How long a job on a board may take to stand still.
const STOP_TRIES: u32 = 600;
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(100);

impl Desk {
    /// Has a job on the board stand still, unless it does. How it stands then.
    pub(super) fn stop(&mut self, id: &str) -> Result<Record, Problem> {
        let mut found = self.job(id)?;
        if stands_still(&found) {
            return Ok(found);
        }
        self.board.steer(&Command::Pause(id))?;
        for _ in 0..STOP_TRIES {
            found = self.job(id)?;
            if stands_still(&found) {
                return Ok(found);
            }
            self.board.happened(BETWEEN)?;
        }
        let reason = found.get("reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
        let message =
            format!("job {id} on the board does not come to stand still{reason}; it was told to go on");
        self.board.steer(&Command::Resume(id))?;
        Err(Problem::new("job_busy", message))
    }

    /// Removes a job that stands still on the board.
    pub(super) fn take_off(&mut self, id: &str) -> Result<(), Problem> {
        let found = self.job(id)?;
        if !stands_still(&found) {
            let message = format!(
                "somebody has resumed job {id} on the board since it was copied, so that it stays there; remove the copy \
                 here with `toehold job remove {id}`"
            );
            return Err(Problem::new("job_busy", message));
        }
        if !follow::is_final(&found) {
            // A board removes only what is over.
            self.board.steer(&Command::Cancel(id))?;
        }
        Ok(self.board.remove(id)?)
    }
}

pub(super) fn stands_still(job: &Record) -> bool {
    job.get("state") == Some("paused") || follow::is_final(job)
}

/// The id of a job on the board.
pub(super) fn id_of(job: &Record) -> Result<Uuid, Problem> {
    let id = job.get("id").and_then(|id| Uuid::parse_str(id).ok());
    id.ok_or_else(|| {
        Problem::new("failed", "the board's answer has no id of a job; is it of another version of Toehold?")
    })
}

/// Makes sure that both ends have the same of a job.
pub(super) fn compare(port: &str, here: &Bundle, there: &Bundle) -> Result<(), Problem> {
    // A journal that nobody needs is not carried to a board.
    let content = |bundle: &Bundle| {
        let bundle = bundle.clone().without_needless_journal();
        (bundle.base, bundle.newest, bundle.journal)
    };
    if content(here) == content(there) {
        return Ok(());
    }
    let at = |bundle: &Bundle| match Checkpoint::decode(&bundle.newest) {
        Ok(checkpoint) => format!("checkpoint {} and {} fuel", checkpoint.sequence, checkpoint.fuel_used),
        Err(error) => error.to_string(),
    };
    let id = here.job_id;
    let message = format!(
        "job {id} is at both ends, and stands otherwise here ({}) than on the board ({}): one of them was resumed before it \
         was carried to its end. Nothing is lost; remove the one that is older, with `toehold job remove {id}` here or \
         `toehold board --port {port} cancel {id}` and `remove` there, then try again",
        at(here),
        at(there)
    );
    Err(Problem::new("job_differs", message))
}

/// What went wrong while a job was on its way: with what became of it, and what to do.
pub(super) fn on_its_way(problem: Problem, what: &str) -> Problem {
    Problem { message: format!("{}; {what}", problem.message), ..problem }
}

/// Whether it is not known what the board has done of what it was asked.
pub(super) fn is_lost(problem: &Problem) -> bool {
    matches!(&*problem.code, "no_answer" | "board_reset" | "link")
}

/// The same problem, with what to do where the board lacks the extension.
pub(super) fn about_extension(port: &str, error: BoardError) -> Problem {
    let problem = Problem::from(error);
    match &*problem.code {
        "unknown_extension" | "other_module" => {
            on_its_way(problem, &format!("`toehold board --port {port} install PATH` installs it"))
        }
        _ => problem,
    }
}
