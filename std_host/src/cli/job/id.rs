//! Ids of jobs, whole or abbreviated.

use serde::Deserialize;
use std_host::manager::JobStatus;
use toehold::Uuid;

use super::super::{client::Client, problem::Problem};

/// Hexadecimal digits of an abbreviated id, at least.
const SHORTEST: usize = 4;
/// How many jobs an error about an ambiguous id lists.
const LISTED: usize = 10;

/// What the API lists.
#[derive(Deserialize)]
pub(super) struct Jobs {
    pub(super) jobs: Vec<JobStatus>,
    pub(super) next: Option<i64>,
}

/// The first digits of an id, as people see it.
pub(super) fn short(id: Uuid) -> String {
    id.simple().to_string().chars().take(8).collect()
}

/// The job of an id, or of its first digits.
pub(crate) fn find(client: &Client, given: &str) -> Result<Uuid, Problem> {
    if let Ok(id) = Uuid::parse_str(given) {
        return Ok(id);
    }
    let digits: String = given.chars().filter(|c| *c != '-').collect();
    if digits.len() < SHORTEST || digits.len() > 32 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        let message = format!(
            "{given:?} is no job's id: it has 32 hexadecimal digits, of which the first {SHORTEST} or more may be enough"
        );
        return Err(Problem::new("bad_request", message));
    }
    let found: Jobs = client.get(&format!("/jobs?id_prefix={digits}&limit={}", LISTED + 1))?;
    match found.jobs.as_slice() {
        [one] => Ok(one.job_id),
        [] => {
            let data = client.data().display();
            let message =
                format!("there is no job {given} in {data}; `toehold job list` shows those that there are");
            Err(Problem::new("unknown_job", message))
        }
        several => {
            let more = if several.len() > LISTED { " and more" } else { "" };
            let ids: Vec<String> = several.iter().take(LISTED).map(|job| job.job_id.to_string()).collect();
            let message = format!("{given} may be several jobs: {}{more}; give more digits", ids.join(", "));
            Err(Problem::new("ambiguous_id", message))
        }
    }
}

/// The jobs of several ids. An error about any of them comes before anything is done.
pub(super) fn find_all(client: &Client, given: &[String]) -> Result<Vec<Uuid>, Problem> {
    given.iter().map(|given| find(client, given)).collect()
}
