use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use std_host::{
    ExtensionManager, GrantOptions, Installed,
    manager::{Replay, ReplayEnd, replay as run},
};
use toehold::{FailureCause, Fault, Interrupt, JobRecord, Limits, Outcome, Replayed, Trust};

use super::{
    super::{
        exit::Exit,
        extension,
        logging::printable,
        output::{eprint, one_line, print, try_print},
        problem::Problem,
        settings::FileArgs,
    },
    bundle,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold job export 3f2a --with-extension -o job.bundle && toehold job replay job.bundle
  toehold job replay job.bundle --extension ./test-extension --json

Shows what the job was given since its run began: replies to its calls, answers to its checkpoints, and interrupts. Nothing
is carried out and nothing is stored. Exit code 0 if the run came to the same checkpoint, byte for byte; 3 if it went another
way.")]
pub(crate) struct ReplayArgs {
    /// The file that `export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The extension's folder or its package, where the file does not bring it
    #[arg(long, value_name = "PATH")]
    extension: Option<PathBuf>,
    #[command(flatten)]
    file_args: FileArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn replay(args: &ReplayArgs) -> Result<Exit, Problem> {
    let bundle = bundle::bundle(&args.file)?;
    let record = JobRecord::decode(&bundle.record).map_err(|error| Problem::new("bad_bundle", error))?;
    let limits = Limits::default();
    let trust = args.file_args.settings()?.trust();
    let installed = match &args.extension {
        None if trust != Trust::Anyone => {
            let message = format!(
                "{}: only packages that a trusted key has signed are taken here, and a module in a bundle carries no \
                 signature; name the signed package with --extension",
                args.file.display()
            );
            return Err(Problem::new("untrusted", message));
        }
        None => None,
        Some(path) => {
            let extensions = ExtensionManager::new(path, limits.clone(), GrantOptions::default());
            Some(extension::look_into(&extensions.with_trust(trust), path)?)
        }
    };
    let replayed = run(&bundle, installed.as_deref().map(Installed::extension), &limits)
        .map_err(|error| Problem::new("not_replayed", format!("{}: {error}", args.file.display())))?;
    let same = replayed.same_bytes && !has_diverged(&replayed);
    if args.json {
        let value = json!({
            "job_id": bundle.job_id,
            "job": record.job,
            "steps": replayed.steps.iter().map(step_json).collect::<Vec<_>>(),
            "end": end_json(&replayed.end),
            "same": same,
            "same_bytes": replayed.same_bytes,
            "checkpoint_bytes": replayed.checkpoint.as_ref().map(Vec::len),
            "fuel_used": replayed.fuel_used,
            "report": replayed.report,
        });
        print(&value.to_string());
    } else {
        let lines = replayed.steps.iter().map(step_line).chain([end_line(&replayed.end)]);
        let head = format!("{}  {}", bundle.job_id, printable(&record.job));
        for line in std::iter::once(head).chain(lines) {
            if !try_print(&line) {
                break;
            }
        }
        let checkpoint = match (&replayed.checkpoint, replayed.same_bytes) {
            (_, false) => "another checkpoint than the job's newest",
            (Some(_), true) => "the same checkpoint, byte for byte",
            (None, true) => "no checkpoint, and neither had the job since its run began",
        };
        print(&format!("it came to {checkpoint}, with {} fuel", replayed.fuel_used));
    }
    if !same {
        eprint("error: the replay went another way than the job did");
        return Ok(Exit::Fault);
    }
    Ok(Exit::Completed)
}

fn has_diverged(replayed: &Replay) -> bool {
    matches!(
        &replayed.end,
        ReplayEnd::Outcome(Outcome::Failed(failure))
            if matches!(failure.cause, FailureCause::Fault(Fault::Diverged { .. }))
    )
}

/// Bytes as JSON where they are that, else as text.
fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

/// Bytes on a line.
fn text(bytes: &[u8]) -> String {
    const LONGEST: usize = 2_000;
    let text = one_line(&String::from_utf8_lossy(bytes));
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), bytes.len()),
        None => text,
    }
}

fn interrupt(interrupt: Interrupt) -> &'static str {
    match interrupt {
        Interrupt::None => "go on",
        Interrupt::Pause => "pause",
        Interrupt::Cancel => "cancel",
    }
}

fn step_json(step: &Replayed) -> Value {
    match step {
        Replayed::Call { call, payload, reply } => json!({
            "step": "call",
            "number": call.number,
            "method": call.method,
            "payload": value(payload),
            "reply": value(reply),
        }),
        Replayed::Checkpoint { state, durable } => {
            json!({ "step": "checkpoint", "state": value(state), "durable": durable })
        }
        Replayed::Interrupt { check, interrupt: answer } => {
            json!({ "step": "interrupt", "check": check, "answer": interrupt(*answer) })
        }
        // Of a newer core.
        other => json!({ "step": "other", "text": format!("{other:?}") }),
    }
}

fn step_line(step: &Replayed) -> String {
    match step {
        Replayed::Call { call, payload, reply } => {
            let method = printable(&call.method);
            format!("call {}  {method} {}  ->  {}", call.number, text(payload), text(reply))
        }
        Replayed::Checkpoint { state, durable } => {
            format!("checkpoint  {}  ->  {}", text(state), if *durable { "durable" } else { "not durable" })
        }
        Replayed::Interrupt { check, interrupt: answer } => {
            format!("interrupt  from check {check} on: {}", interrupt(*answer))
        }
        other => format!("{other:?}"),
    }
}

fn end_json(end: &ReplayEnd) -> Value {
    match end {
        ReplayEnd::Outcome(Outcome::Failed(failure)) => {
            json!({ "end": "failed", "error": failure.to_string() })
        }
        ReplayEnd::Outcome(outcome) => json!({ "end": outcome.to_string() }),
        ReplayEnd::Call { method, payload } => {
            json!({ "end": "call", "method": method, "payload": value(payload) })
        }
        ReplayEnd::Commit => json!({ "end": "checkpoint" }),
        ReplayEnd::OutOfFuel => json!({ "end": "out_of_fuel" }),
        other => json!({ "end": "other", "text": format!("{other:?}") }),
    }
}

fn end_line(end: &ReplayEnd) -> String {
    match end {
        ReplayEnd::Outcome(outcome) => printable(&outcome.to_string()),
        ReplayEnd::Call { method, payload } => {
            format!("the journal ends at the call of {} {}", printable(method), text(payload))
        }
        ReplayEnd::Commit => "the journal ends at a checkpoint or an effect that was not durable".to_owned(),
        ReplayEnd::OutOfFuel => {
            "the journal ends; the job computed on until the replay's fuel was used up".to_owned()
        }
        other => format!("{other:?}"),
    }
}
