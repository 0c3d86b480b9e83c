//! Jobs that outlive the process: dispatched, looked at, steered, carried elsewhere, replayed.

mod bundle;
mod dispatch;
mod history;
pub(crate) mod id;
mod list;
mod replay;
mod show;
mod steer;
pub(crate) mod wait;

use clap::{Args, Subcommand};
use std_host::manager::ManagerConfig;

use super::{
    client::{Client, Need},
    exit::Exit,
    logging,
    problem::Problem,
    serve,
    settings::DataArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Dispatch a job, to be run by `toehold serve`
    Dispatch(dispatch::DispatchArgs),
    /// List jobs, newest first
    List(list::ListArgs),
    /// Show all there is about a job
    Show(show::ShowArgs),
    /// Show what happened to a job
    Events(history::EventsArgs),
    /// Show what a job logged
    Logs(history::LogsArgs),
    /// Wait until jobs are over, and end as they did
    Wait(wait::WaitArgs),
    /// Let jobs stand still, until they are resumed
    Pause(steer::PauseArgs),
    /// Let paused jobs go on
    Resume(steer::SteerArgs),
    /// Stop jobs for good, and all that they have dispatched
    Cancel(steer::SteerArgs),
    /// Remove jobs that are over, or paused, and all that is kept of them
    Remove(steer::SteerArgs),
    /// Write all there is of a job into a file
    Export(bundle::ExportArgs),
    /// Take over a job from a file that `export` wrote
    Import(bundle::ImportArgs),
    /// Run an exported job again, step by step, without any effect
    Replay(replay::ReplayArgs),
}

/// What all commands about jobs of a data folder have.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    data: DataArgs,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    fleet: crate::cli::fleet::FleetArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn open(&self, need: Need) -> Result<Client, Problem> {
        #[cfg(feature = "nats")]
        if let Some(fleet) = self.fleet.config() {
            return Client::of_fleet(&fleet, &self.config()?);
        }
        Client::open(&self.config()?, need)
    }

    /// What it is that was opened before, for people.
    fn place(&self) -> String {
        #[cfg(feature = "nats")]
        if self.fleet.config().is_some() {
            return "the fleet".to_owned();
        }
        self.config().map(|config| config.data.display().to_string()).unwrap_or_default()
    }

    pub(crate) fn config(&self) -> Result<ManagerConfig, Problem> {
        let settings = self.data.settings()?;
        serve::config(&self.data.folder(&settings)?, &settings)
    }
}

pub(crate) fn job(command: &JobCommand) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    let (result, json) = match command {
        JobCommand::Dispatch(args) => (dispatch::dispatch(args), args.common.json),
        JobCommand::List(args) => (list::list(args), args.common.json),
        JobCommand::Show(args) => (show::show(args), args.common.json),
        JobCommand::Events(args) => (history::events(args), args.part.common.json),
        JobCommand::Logs(args) => (history::logs(args), args.part.common.json),
        JobCommand::Wait(args) => (wait::wait(args), args.common.json),
        JobCommand::Pause(args) => (steer::pause(args), args.steer.common.json),
        JobCommand::Resume(args) => (steer::resume(args), args.common.json),
        JobCommand::Cancel(args) => (steer::cancel(args), args.common.json),
        JobCommand::Remove(args) => (steer::remove(args), args.common.json),
        JobCommand::Export(args) => (bundle::export(args), args.common.json),
        JobCommand::Import(args) => (bundle::import(args), args.common.json),
        JobCommand::Replay(args) => (replay::replay(args), args.json),
    };
    result.unwrap_or_else(|problem| problem.report(json))
}
