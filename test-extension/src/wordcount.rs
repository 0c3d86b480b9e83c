//! A job that counts the words of a folder's files and hashes them.

mod file;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use toehold_sdk::{Error, JobContext, Result, job};

pub use file::CountedFile;

/// What was counted so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WordcountState {
    /// The folder whose files are counted, without those of folders inside it.
    pub folder: String,
    /// The files that were counted, by name.
    pub files: Vec<CountedFile>,
    /// The name of the last file that was dealt with. A name and not an index, since files may come and go between
    /// two runs.
    pub last: Option<String>,
}

impl Default for WordcountState {
    fn default() -> Self {
        Self { folder: "samples".into(), files: Vec::new(), last: None }
    }
}

/// Counts a file at a time, with a checkpoint after each. A file that can't be read becomes a warning.
#[job(name = "wordcount", version = 1)]
pub fn wordcount(ctx: &JobContext, state: &mut WordcountState) -> Result<()> {
    let names = list(ctx, &state.folder)?;
    let total = names.len();

    for (index, name) in names.into_iter().enumerate() {
        if state.last.as_ref().is_some_and(|last| name <= *last) {
            continue;
        }
        // Nothing of this file has been reported yet: an interrupt inside it leaves the state at the file before, and
        // the next run reads this one from its start.
        match file::count(ctx, &state.folder, &name) {
            Ok(counted) => {
                ctx.info(&counted);
                ctx.increment_bytes(counted.bytes);
                ctx.increment_items(1);
                state.files.push(counted);
            }
            Err(Error::Failed(error)) => ctx.add_warning(format!("{name} was skipped: {error}")),
            Err(interrupt) => return Err(interrupt),
        }
        ctx.report_progress((index + 1) as f32 / total as f32, &name);
        state.last = Some(name);
        ctx.checkpoint(state)?;
    }

    let words: u64 = state.files.iter().map(|file| file.words).sum();
    let bytes: u64 = state.files.iter().map(|file| file.bytes).sum();
    let files = state.files.len();
    ctx.info(format_args!("Total: {files} files, {words} words, {bytes} bytes"));
    Ok(())
}

/// The names of a folder's files in the order in which they are counted.
fn list(ctx: &JobContext, folder: &str) -> Result<Vec<String>> {
    #[derive(Serialize)]
    struct Input<'a> {
        path: &'a str,
    }
    #[derive(Deserialize)]
    struct Reply {
        entries: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        name: String,
        kind: String,
    }

    let reply: Reply = ctx.call("query:fs.list", None, &Input { path: folder })?;
    let files = reply.entries.into_iter().filter(|entry| entry.kind == "file");
    let mut names: Vec<String> = files.map(|entry| entry.name).collect();
    // The host sorts too, but going on after a name is only right in the very order of these names.
    names.sort_unstable();
    Ok(names)
}
