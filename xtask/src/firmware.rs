//! Builds firmware: the workspace in no_std_host/boards.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::board::{BOARDS, Board};
use crate::process;
use crate::toolchain::{self, Toolchain};
use crate::workspace;

/// What a board can run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Program {
    /// All of it.
    Firmware,
    /// What tries a board's parts, for whoever brings one up.
    BringUp,
    /// Nothing but the core and what it takes to start.
    CoreAlone,
    /// The one that newcomers copy, where the board has one.
    Example,
}

impl Program {
    fn binary(self, board: &Board) -> String {
        match self {
            Program::Firmware => format!("firmware-{}", board.name),
            Program::BringUp => format!("bring-up-{}", board.name),
            Program::CoreAlone => format!("core-{}", board.name),
            Program::Example => "examples/minimal".into(),
        }
    }
}

/// The programs of one board, as one toolchain builds them.
#[derive(Clone)]
pub(crate) struct Firmware {
    board: &'static Board,
    toolchain: Toolchain,
    features: Features,
}

/// Features of a firmware.
#[derive(Clone, Copy)]
pub(crate) enum Features {
    Default,
    /// These, separated by commas.
    Only(&'static str),
}

/// The public key of firmware that takes only signed packages. It is for sizes and tests: std_host/tests/boards/unvalidated.rs has
/// the secret one.
const TEST_KEY: &str = "e76dfacf6a6311e338bd0f3358179c6de23dfbfd17612f42b548b86a88d1599c";

impl Firmware {
    /// As small as this machine can.
    pub(crate) fn of(board: &'static Board) -> Result<Self> {
        need_c(board)?;
        Ok(Self { board, toolchain: toolchain::take_smallest(board.target)?, features: Features::Default })
    }

    /// The same with other features.
    pub(crate) fn with(&self, features: Features) -> Self {
        Self { features, ..self.clone() }
    }

    /// Builds one program, and says where it is.
    pub(crate) fn build(&self, program: Program) -> Result<PathBuf> {
        if program == Program::Example && !self.has_example() {
            bail!("{} has no examples/minimal.rs; cortex-m has one", self.board.name);
        }
        let name = program.binary(self.board);
        let what = match name.strip_prefix("examples/") {
            Some(name) => ["--example", name],
            None => ["--bin", &name],
        };
        process::run(self.cargo("build")?.args(what))
            .with_context(|| format!("the firmware of {} does not build", self.board.name))?;
        self.built(program)
    }

    /// Builds all programs.
    pub(crate) fn build_all(&self) -> Result<()> {
        process::run(self.cargo("build")?.args(["--bins", "--examples"]))
            .with_context(|| format!("the firmware of {} does not build", self.board.name))
    }

    /// Whether the board has the program that newcomers copy.
    pub(crate) fn has_example(&self) -> bool {
        workspace::root()
            .join("no_std_host/boards")
            .join(self.board.name)
            .join("examples/minimal.rs")
            .exists()
    }

    /// Where a program is that was built.
    pub(crate) fn built(&self, program: Program) -> Result<PathBuf> {
        let folder = self.toolchain.target_folder()?.join(self.board.target.triple).join("release");
        Ok(folder.join(program.binary(self.board)))
    }

    /// Whether a panic leaves its text as last words.
    pub(crate) fn tells_panics(&self) -> bool {
        self.toolchain == Toolchain::Installed
    }

    /// What builds it.
    pub(crate) fn describe(&self) -> String {
        match &self.toolchain {
            Toolchain::Installed => "std as rustup has it".into(),
            Toolchain::Debian { rustc, .. } => {
                format!("rustc {rustc}, std from source, {}", SMALLER.join(" "))
            }
        }
    }

    fn cargo(&self, subcommand: &str) -> Result<Command> {
        let Self { board, toolchain, features } = self;
        let unstable: &[&[&str]] = match toolchain {
            Toolchain::Installed => &[],
            Toolchain::Debian { .. } => &[&SMALLER, board.smaller],
        };
        let flags: Vec<String> =
            unstable.concat().into_iter().chain(COMPACT_SHA_2).map(String::from).collect();
        let mut cargo = toolchain.cargo(subcommand, &[board.target], &flags)?;
        cargo.args(["--manifest-path", MANIFEST, "--release"]);
        cargo.args(["--package", &format!("firmware-{}", board.name)]);
        if let Features::Only(features) = features {
            cargo.args(["--no-default-features", "--features", features]);
            // Without validation a firmware takes only what is signed.
            if !features.contains("validate") {
                cargo.env("TOEHOLD_TRUST", TEST_KEY);
            }
        }
        if !board.c.flags.is_empty() {
            cargo.env(format!("CFLAGS_{}", board.target.triple.replace('-', "_")), board.c.flags);
        }
        Ok(cargo)
    }
}

/// Clippy and the tests that need no board.
pub(crate) fn check() -> Result<()> {
    let mut test = process::cargo();
    test.args(["test", "--manifest-path", MANIFEST, "--package", "firmware-common"]);
    test.arg("--target-dir").arg(workspace::target_folder()?);
    let mut commands = vec![test];
    for board in BOARDS {
        need_c(board)?;
        // Debian has no clippy that fits its compiler.
        let toolchain = toolchain::take(board.target)?;
        if toolchain == Toolchain::Installed {
            let mut clippy = Firmware { board, toolchain, features: Features::Default }.cargo("clippy")?;
            clippy.args(["--", "-Dwarnings"]);
            commands.push(clippy);
        }
    }
    process::run_all(commands).context("firmware has mistakes")
}

/// What makes firmware a fifth smaller, where the compiler takes unstable options: a panic is an instruction that faults, without
/// text and place. The fault's address says which it was. Texts stay as they are, so there is no `fmt-debug=none` here.
const SMALLER: [&str; 3] = ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none"];

/// SHA-256 as a loop, instead of one that is written out: 6.6 KB less.
const COMPACT_SHA_2: [&str; 4] = ["--cfg", "sha2_backend=\"soft\"", "--cfg", "sha2_backend_soft=\"compact\""];

/// The workspace of the firmwares.
const MANIFEST: &str = "no_std_host/boards/Cargo.toml";

/// The store's file system is C.
fn need_c(board: &Board) -> Result<()> {
    if process::find(board.c.compiler).is_none() {
        bail!(
            "{} is not installed, and the firmware of {} has C code. On Debian:\n  \
               apt-get install --no-install-recommends {} libclang-dev\n  \
               cargo xtask test --install      (does it)",
            board.c.compiler,
            board.name,
            board.c.packages.join(" ")
        );
    }
    Ok(())
}
