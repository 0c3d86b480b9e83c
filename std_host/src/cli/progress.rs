use std::{
    io::{IsTerminal, stderr},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use toehold::{JobContext, Progress};

use super::{logging::printable, output::eprint};

/// How often the progress is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// Steps of the bar.
const STEPS: u64 = 1_000;

/// Shows a job's progress on standard error: a bar on a terminal, else a line for each change that was seen.
pub(crate) struct Watcher {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// A bar, where standard error is a terminal.
pub(crate) fn bar() -> Option<ProgressBar> {
    stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {wide_msg}  {elapsed}");
        ProgressBar::new(STEPS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    })
}

impl Watcher {
    pub(crate) fn start(context: Arc<JobContext>, bar: Option<ProgressBar>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut shown = None;
            loop {
                let over = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
                let progress = context.progress();
                if progress != shown {
                    show(progress.as_ref(), bar.as_ref());
                    shown = progress;
                }
                if over {
                    break;
                }
                if let Some(bar) = &bar {
                    bar.tick();
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Self { stop, thread }
    }

    /// Shows the last progress and comes back.
    pub(crate) fn finish(self) {
        drop(self.stop);
        // The thread only prints; if it panicked, that was printed too.
        let _ = self.thread.join();
    }
}

/// Shows how far something is.
pub(crate) fn show(progress: Option<&Progress>, bar: Option<&ProgressBar>) {
    let Some(progress) = progress else { return };
    let message = printable(&progress.message);
    match bar {
        Some(bar) => {
            bar.set_position((f64::from(progress.fraction) * STEPS as f64) as u64);
            bar.set_message(message);
        }
        None => eprint(&format!("{:>3.0} %  {message}", progress.fraction * 100.0)),
    }
}
