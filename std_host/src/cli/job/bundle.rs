use std::{
    fs::{self, File},
    io::{self, Read, Write},
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
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "; --force replaces it",
            _ => "",
        };
        Problem::new("file", format!("{}: {error}{hint}", path.display()))
    };
    if path == Path::new("-") {
        let mut out = io::stdout().lock();
        out.write_all(&bytes).and_then(|()| out.flush()).map_err(failed)?;
        return Ok(Exit::Completed);
    }
    write(&path, &bytes, args.force).map_err(failed)?;
    if args.common.json {
        print(&json!({ "job_id": id, "file": path, "bytes": bytes.len() }).to_string());
    } else {
        print(&path.display().to_string());
    }
    Ok(Exit::Completed)
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if replace {
            return fs::rename(&new, path);
        }
        // Makes no name that is there already.
        match fs::hard_link(&new, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
                // Some file systems have no links.
                fs::rename(&new, path)
            }
            linked => linked,
        }
    })();
    // It has its name, or is of no use.
    let _ = fs::remove_file(&new);
    written
}

pub(super) fn import(args: &ImportArgs) -> Result<Exit, Problem> {
    let bytes = read(&args.file)?;
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

/// A bundle's bytes. What is no bundle is refused here.
fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error: io::Error| Problem::new("file", format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let limit = BUNDLE_BYTES as u64;
    if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        // A device or a pipe may have no end.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file")));
        }
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > BUNDLE_BYTES {
        let message = format!("has more than {BUNDLE_BYTES} bytes, the limit for a bundle");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, message)));
    }
    Ok(bytes)
}

/// The bundle in a file.
pub(super) fn bundle(path: &Path) -> Result<Bundle, Problem> {
    Bundle::decode(&read(path)?).map_err(|error| named(path, Problem::new("bad_bundle", error)))
}

/// A problem with a file, by its name.
fn named(path: &Path, problem: Problem) -> Problem {
    match &*problem.code {
        "bad_bundle" => Problem { message: format!("{}: {}", path.display(), problem.message), ..problem },
        _ => problem,
    }
}
