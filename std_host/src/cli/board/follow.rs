//! What happens on a board, as it happens.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::json;
use std_host::board::{Happened, Record};
use toehold::{JobRecord, console::Command};

use super::{
    super::{
        exit::Exit,
        logging::printable,
        output::{eprint, try_print},
        problem::Problem,
        progress,
    },
    Desk, show,
};

/// How long nothing may happen until the board is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(2);

/// Shows what happens to all jobs, until nobody reads it.
pub(super) fn all(desk: &mut Desk) -> Result<Exit, Problem> {
    desk.board.ask(&Command::Events(true))?;
    loop {
        let goes_on = match desk.board.happened(QUIET)? {
            None => {
                // That nothing happens may be because nobody is there any more.
                desk.board.ask(&Command::Info)?;
                true
            }
            Some(Happened::Event(event)) if desk.json => try_print(&show::event_json(&event).to_string()),
            Some(Happened::Event(event)) => {
                try_print(&format!("{}  {}", show::short(&event), show::event(&event)))
            }
            Some(Happened::Reset(firmware)) => {
                after_reset(desk, &firmware)?;
                !desk.json || try_print(&json!({ "event": "reset", "firmware": firmware }).to_string())
            }
            Some(Happened::Remark(text)) => {
                eprint(&printable(&text));
                true
            }
            Some(_) => true,
        };
        if !goes_on {
            return Ok(Exit::Completed);
        }
    }
}

/// A board that starts anew tells of events, unless its firmware does not.
fn after_reset(desk: &mut Desk, firmware: &str) -> Result<(), Problem> {
    eprint(&format!("the board was reset ({}); its jobs go on", printable(firmware)));
    desk.board.ask(&Command::Events(true))?;
    Ok(())
}

/// Waits until a job is over, and shows how it ended.
pub(super) fn wait(desk: &mut Desk, name: &str, bar: Option<ProgressBar>) -> Result<Exit, Problem> {
    let found = desk.job(name)?;
    let id = found.get("id").unwrap_or(name).to_owned();
    desk.board.ask(&Command::Events(true))?;
    let (exit, ended) = until_over(desk, &id, &mut |_| true, bar.as_ref())?;
    desk.print(&show::to_json(&ended), &show::line(&ended));
    Ok(exit)
}

/// Shows what happens to a job until it is over.
pub(super) fn job(desk: &mut Desk, id: &str, bar: Option<ProgressBar>) -> Result<Exit, Problem> {
    let json = desk.json;
    let mut shown = |event: &Record| match event.kind() {
        _ if json => try_print(&show::event_json(event).to_string()),
        // The bar has it, or a line on standard error.
        "progress" => true,
        _ => try_print(&show::event(event)),
    };
    let bar = bar.filter(|_| !json);
    let (exit, ended) = until_over(desk, id, &mut shown, bar.as_ref())?;
    if let (Exit::Failed | Exit::Fault, Some(reason)) = (exit, ended.get("reason")) {
        eprint(&format!(
            "error: {}: {}",
            printable(ended.get("job").unwrap_or(id)),
            super::super::output::one_line(reason)
        ));
    }
    Ok(exit)
}

/// Gives each event of a job to `each`, until it is over or `each` has enough. How it stands then, and the exit code for that.
fn until_over(
    desk: &mut Desk,
    id: &str,
    each: &mut dyn FnMut(&Record) -> bool,
    bar: Option<&ProgressBar>,
) -> Result<(Exit, Record), Problem> {
    let mut last = None;
    let json = desk.json;
    // Shows an event, if it is the job's. Whether anybody wants more.
    let mut told = |event: &Record| {
        if event.get("id") != Some(id) {
            return true;
        }
        let so_far = show::progress(event);
        if so_far.is_some() && so_far != last {
            if !json {
                progress::show(so_far.as_ref(), bar);
            }
            last = so_far;
        }
        each(event)
    };
    let ended = loop {
        // Again and again, since the event that tells of the end may get lost.
        let now = desk.job(id)?;
        let is_over = is_final(&now);
        let until = Instant::now() + if is_over { Duration::ZERO } else { QUIET };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match desk.board.happened(left)? {
                // All that was told before it ended has come, since the board has answered after that.
                None => break,
                Some(Happened::Event(event)) => {
                    if !told(&event) {
                        return Ok((Exit::Completed, now));
                    }
                    if !is_over && event.get("id") == Some(id) && is_end(event.kind()) {
                        break;
                    }
                }
                Some(Happened::Reset(firmware)) => after_reset(desk, &firmware)?,
                Some(Happened::Remark(text)) => log::info!("{text}"),
                Some(_) => {}
            }
        }
        if is_over {
            break now;
        }
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok((exit(desk, &ended)?, ended))
}

pub(super) fn is_final(job: &Record) -> bool {
    job.get("state").is_some_and(is_end)
}

/// Whether a job is over in this state.
fn is_end(state: &str) -> bool {
    ["completed", "failed", "cancelled"].contains(&state)
}

/// How the command ends for a job that is over.
fn exit(desk: &mut Desk, job: &Record) -> Result<Exit, Problem> {
    match job.get("state") {
        Some("completed") => Ok(Exit::Completed),
        Some("cancelled") => Ok(Exit::Cancelled),
        _ => {
            // Whether the host or the job said so stands only in its record.
            let id = job.get("id").unwrap_or_default();
            let bundle = desk.board.export(id)?;
            let by_itself = JobRecord::decode(&bundle.record)
                .is_ok_and(|record| record.last_words.is_some_and(|last| !last.fault));
            Ok(if by_itself { Exit::Failed } else { Exit::Fault })
        }
    }
}
