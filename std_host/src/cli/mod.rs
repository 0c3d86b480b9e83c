//! What stands on the command line, and who sees to it.

mod exit;
mod extension;
mod input;
mod logging;
mod output;
mod progress;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};
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
    /// Look at extensions
    #[command(subcommand)]
    Extension(extension::ExtensionCommand),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Where extensions are.
#[derive(Debug, Args)]
struct ExtensionsArg {
    /// The folder that holds the extensions' folders
    #[arg(long, value_name = "DIR", env = "TOEHOLD_EXTENSIONS", default_value = ".")]
    extensions: PathBuf,
}

pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Extension(command) => extension::extension(&command),
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
