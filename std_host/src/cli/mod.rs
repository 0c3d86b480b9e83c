//! What stands on the command line, and who sees to it.

mod board;
mod client;
mod exit;
mod extension;
mod file;
#[cfg(feature = "nats")]
mod fleet;
mod input;
mod job;
mod key;
mod logging;
mod output;
mod pack;
mod problem;
mod progress;
mod run;
mod secrets;
mod serve;
mod settings;
mod table;
#[cfg(feature = "nats")]
mod worker;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::exit::Exit;

/// Runs the jobs of WebAssembly extensions.
#[derive(Debug, Parser)]
#[command(name = "toehold", version, arg_required_else_help = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a job to its end, here and now
    Run(Box<run::RunArgs>),
    /// Run the jobs of a data folder, and answer the commands about them, until it is stopped
    Serve(Box<serve::ServeArgs>),
    /// Run jobs of a fleet, until it is stopped
    #[cfg(feature = "nats")]
    Worker(Box<worker::WorkerArgs>),
    /// Dispatch jobs, look at them, steer them
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Install, look at, remove and pack extensions
    #[command(subcommand)]
    Extension(extension::ExtensionCommand),
    /// Talk to a board: install extensions, dispatch and steer jobs, carry them there and back
    Board(Box<board::BoardArgs>),
    /// Make keys that packages are signed with, and look at them
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Serve(args) => serve::serve(&args),
        #[cfg(feature = "nats")]
        Command::Worker(args) => worker::worker(&args),
        Command::Job(command) => job::job(&command),
        Command::Extension(command) => extension::extension(&command),
        Command::Board(args) => board::board(&args),
        Command::Key(command) => key::key(&command),
        Command::Completions { shell } => {
            // Not straight to standard output: it panics where that is closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "toehold", &mut script);
            output::print(String::from_utf8_lossy(&script).trim_end());
            Exit::Completed
        }
    };
    exit.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
