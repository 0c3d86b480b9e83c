//! Packages and bundles between files and a board.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use std_host::{ExtensionManager, GrantOptions, MANIFEST_FILE, api::BUNDLE_BYTES};
use toehold::{Bundle, Limits, Package, Trust};

use super::{
    super::{exit::Exit, file, key, logging::printable, pack, problem::Problem},
    Desk, carry, show,
};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// The package; or the extension's folder, which is packed
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
    /// Sign what is packed with the key of this file
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The job itself goes on there: pause or cancel it first if it is to go on elsewhere, or its effects happen twice.")]
pub(super) struct ExportArgs {
    /// The job's id, or the first characters of it
    #[arg(value_name = "JOB")]
    job: String,
    /// The file; - for standard output; without it ID.bundle in the current folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Leave the job paused, whatever it was
    #[arg(long)]
    paused: bool,
}

/// Bytes of a package, as its format has it.
const PACKAGE_BYTES: usize = 64 << 20;

pub(super) fn install(desk: &mut Desk, args: &InstallArgs) -> Result<Exit, Problem> {
    let is_folder = args.path.is_dir() || args.path.file_name().is_some_and(|name| name == MANIFEST_FILE);
    let bytes = if is_folder {
        let extensions = ExtensionManager::new(".", Limits::default(), GrantOptions::default());
        let installed = extensions.load(&args.path).map_err(|error| Problem::new("bad_extension", error))?;
        for reason in pack::doubts(&installed) {
            log::warn!("{}: {reason}", installed.extension().id());
        }
        let key = args.sign.as_deref().map(key::read).transpose()?;
        // Boards check no states: what is made for one has no schemas, which would only take its flash.
        pack::packed(&installed, b"", key.as_ref()).0
    } else if args.sign.is_some() {
        let message = "--sign is for a folder; `toehold extension pack --sign` makes a signed package";
        return Err(Problem::new("bad_request", message));
    } else {
        let bytes = file::read(&args.path, PACKAGE_BYTES, "a package")?;
        // What is no package need not go over the wire.
        Package::open(&bytes, &Trust::Anyone)
            .map_err(|error| {
                let message = format!(
                    "{}: {error}; give the folder with {MANIFEST_FILE} and the module, or what `toehold extension pack` makes of it",
                    args.path.display()
                );
                Problem::new("bad_package", message)
            })?;
        bytes
    };
    let bar = transfer_bar(bytes.len());
    let answer = desk.board.install(&bytes, &mut |offset| told(bar.as_ref(), offset));
    done(bar);
    let answer = answer?;
    for warning in answer.items.iter().filter(|item| item.kind() == "warning") {
        log::warn!("{}", printable(warning.get("text").unwrap_or_default()));
    }
    let text = |key: &str| printable(answer.fields.get(key).unwrap_or_default());
    desk.print(
        &show::to_json(&answer.fields),
        &format!("{}  {}  {}", text("id"), text("version"), text("jobs")),
    );
    Ok(Exit::Completed)
}

pub(super) fn export(desk: &mut Desk, args: &ExportArgs) -> Result<Exit, Problem> {
    let found = desk.job(&args.job)?;
    let id = found.get("id").unwrap_or(&args.job);
    let bytes = desk.board.export(id)?.encode();
    let path = args.output.clone().unwrap_or_else(|| format!("{}.bundle", printable(id)).into());
    if path == Path::new("-") {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Problem::new("file", format!("standard output: {error}")))?;
        return Ok(Exit::Completed);
    }
    file::write(&path, &bytes, args.force)?;
    let value = json!({ "job_id": id, "file": path, "bytes": bytes.len() });
    desk.print(&value, &path.display().to_string());
    Ok(Exit::Completed)
}

pub(super) fn import(desk: &mut Desk, args: &ImportArgs) -> Result<Exit, Problem> {
    let bytes = file::read(&args.file, BUNDLE_BYTES, "a bundle")?;
    let bundle = Bundle::decode(&bytes)
        .map_err(|error| Problem::new("bad_bundle", format!("{}: {error}", args.file.display())))?;
    import_bundle(desk, &bundle, args.paused)?;
    let found = desk.job(&bundle.job_id.to_string())?;
    desk.print(&show::to_json(&found), &show::line(&found));
    Ok(Exit::Completed)
}

/// Has the board take over a job. An extension in the bundle stays here: a board takes it only as a package. So does a journal
/// that nobody needs, which soon has more bytes than a board takes.
pub(super) fn import_bundle(desk: &mut Desk, bundle: &Bundle, paused: bool) -> Result<(), Problem> {
    let bytes = Bundle { extension: None, ..bundle.clone() }.without_needless_journal().encode();
    let bar = transfer_bar(bytes.len());
    let answer = desk.board.import(&bytes, paused, &mut |offset| told(bar.as_ref(), offset));
    done(bar);
    answer.map(drop).map_err(|error| carry::about_extension(desk.board.port(), error))
}

/// A bar for bytes that a board takes, where standard error is a terminal.
fn transfer_bar(bytes: usize) -> Option<ProgressBar> {
    let bar = super::super::progress::bar()?;
    bar.set_length(bytes as u64);
    Some(bar)
}

fn told(bar: Option<&ProgressBar>, offset: u64) {
    if let Some(bar) = bar {
        bar.set_position(offset);
    }
}

fn done(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}
