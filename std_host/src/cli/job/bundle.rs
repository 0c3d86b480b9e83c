use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use std_host::{api::BUNDLE_BYTES, manager::JobStatus};
use toehold::Bundle;

use super::{
    super::{
        client::Need,
        exit::Exit,
        file,
        output::{eprint, print},
        problem::Problem,
    },
    Common,
    dispatch::to_json,
    id, wait,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job export 3f2a --with-extension -o job.bundle
  toehold job export 3f2a -o - | ssh elsewhere toehold job import -

The job itself goes on here: pause or cancel it first if it is to go on elsewhere, or its effects happen twice.")]
pub(crate) struct ExportArgs {
    /// The job's id, or its first digits
    #[arg(value_name = "ID")]
    id: String,
    /// The file; - for standard output; without it ID.bundle in the current folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Bring the extension along, so that the job can go on where that is not known
    #[arg(long)]
    with_extension: bool,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave the job paused, whatever it was
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) fn export(args: &ExportArgs) -> Result<Exit, Problem> {
    let client = args.common.open(Need::Read)?;
    let id = id::find(&client, &args.id)?;
    let extension = if args.with_extension { "?extension=1" } else { "" };
    let bytes = client.get_bytes(&format!("/jobs/{id}/bundle{extension}"))?;
    let path = args.output.clone().unwrap_or_else(|| format!("{id}.bundle").into());
    if path == Path::new("-") {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Problem::new("file", format!("standard output: {error}")))?;
        return Ok(Exit::Completed);
    }
    file::write(&path, &bytes, args.force)?;
    if args.common.json {
        print(&json!({ "job_id": id, "file": path, "bytes": bytes.len() }).to_string());
    } else {
        print(&path.display().to_string());
    }
    Ok(Exit::Completed)
}

pub(super) fn import(args: &ImportArgs) -> Result<Exit, Problem> {
    let bytes = file::read(&args.file, BUNDLE_BYTES, "a bundle")?;
    let client = args.common.open(Need::Write)?;
    let paused = if args.paused { "?paused=1" } else { "" };
    let imported: Result<JobStatus, Problem> = client.post_bytes(&format!("/jobs/import{paused}"), bytes);
    let status = imported.map_err(|problem| named(&args.file, problem))?;
    print(&if args.common.json { to_json(&status) } else { wait::line(&status) });
    if !client.is_served() && status.state == toehold::JobState::Queued {
        let data = client.data().display();
        eprint(&format!("it is queued in {data}, and runs once `toehold serve` does"));
    }
    Ok(Exit::Completed)
}

/// The bundle in a file.
pub(super) fn bundle(path: &Path) -> Result<Bundle, Problem> {
    Bundle::decode(&file::read(path, BUNDLE_BYTES, "a bundle")?)
        .map_err(|error| named(path, Problem::new("bad_bundle", error)))
}

/// A problem with a file, by its name.
fn named(path: &Path, problem: Problem) -> Problem {
    match &*problem.code {
        "bad_bundle" => Problem { message: format!("{}: {}", path.display(), problem.message), ..problem },
        _ => problem,
    }
}
