//! The boards: what their firmware is built from, and which emulator runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::emulator::{self, Emulator, Serial};
use crate::firmware::{Firmware, Program};
use crate::process;
use crate::toolchain::{CORTEX_M, RISC_V, Target};
use crate::workspace;

/// A board that has a firmware, and an emulator.
pub(crate) struct Board {
    /// As on the command line, and in the names of its packages: `firmware-NAME`.
    pub(crate) name: &'static str,
    pub(crate) target: &'static Target,
    /// The emulator, and Debian's package that has it.
    pub(crate) emulator: (&'static str, &'static str),
    /// The machine that it is to be.
    pub(crate) machine: &'static [&'static str],
    /// Bytes of its flash for jobs and packages, the size of the file that holds it.
    pub(crate) flash_bytes: u64,
    /// What its C code takes.
    pub(crate) c: C,
    /// What makes its code smaller, and only Debian's toolchain takes.
    pub(crate) smaller: &'static [&'static str],
}

/// What compiles C code for a board.
pub(crate) struct C {
    pub(crate) compiler: &'static str,
    pub(crate) packages: &'static [&'static str],
    /// Whatever finds its headers, and what keeps littlefs from calling functions of the compiler's library that a build of it
    /// from source does not have.
    pub(crate) flags: &'static str,
}

pub(crate) const BOARDS: [&Board; 2] = [
    &Board {
        name: "cortex-m",
        target: &CORTEX_M,
        emulator: ("qemu-system-arm", "qemu-system-arm"),
        machine: &["-machine", "netduinoplus2"],
        flash_bytes: 256 << 10,
        c: C {
            compiler: "arm-none-eabi-gcc",
            packages: &["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"],
            flags: "-DLFS_NO_INTRINSICS",
        },
        smaller: &[],
    },
    &Board {
        name: "riscv",
        target: &RISC_V,
        emulator: ("qemu-system-riscv32", "qemu-system-misc"),
        machine: &["-machine", "virt", "-m", "8M", "-bios", "none"],
        flash_bytes: 32 << 20,
        c: C {
            compiler: "riscv64-unknown-elf-gcc",
            packages: &["gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf"],
            flags: "-DLFS_NO_INTRINSICS --specs=picolibc.specs",
        },
        // The linker makes one instruction of the two of a call, where the function is near, which is an eighth of the flash; and
        // functions save their registers in one place (frames.rs of the firmware).
        smaller: &["-Ctarget-feature=+relax,+save-restore"],
    },
];

/// The board of this name.
pub(crate) fn by_name(name: &str) -> Result<&'static Board> {
    match BOARDS.into_iter().find(|board| board.name == name) {
        Some(board) => Ok(board),
        None => bail!("there is no board called {name:?}, only {}", names()),
    }
}

/// The names of all boards.
pub(crate) fn names() -> String {
    BOARDS.map(|board| board.name).join(" and ")
}

/// How to start one.
#[derive(Default)]
pub(crate) struct Options {
    /// The file that holds its flash, instead of the one in target/boards.
    pub(crate) flash: Option<PathBuf>,
    /// With blank flash.
    pub(crate) fresh: bool,
    /// Where its console is.
    pub(crate) serial: Serial,
    /// Its time goes by instructions.
    pub(crate) icount: bool,
    /// Instead of the whole firmware.
    pub(crate) program: Option<Program>,
    /// A job of test-extension/small to run from here, and how far it counts.
    pub(crate) job: Option<String>,
    pub(crate) target: u64,
}

/// Builds a board's firmware and runs it, until somebody ends the emulator.
pub(crate) fn run(board: &'static Board, options: Options) -> Result<()> {
    let program = options.program.unwrap_or(Program::Firmware);
    let elf = Firmware::of(board)?.build(program)?;
    let flash = match options.flash {
        Some(flash) => std::path::absolute(flash)?,
        None => flash_of(board)?,
    };
    emulator::make_flash(board, &flash, options.fresh)?;
    if let Some(job) = options.job {
        return run_job(board, &elf, &flash, &job, options.target, options.icount);
    }
    println!("{}", options.serial.describe());
    Emulator::start(board, &elf, &flash, options.serial, options.icount)?.wait()
}

/// Has a board run a job, with the command `toehold` at the other end of its console.
fn run_job(board: &Board, elf: &Path, flash: &Path, job: &str, target: u64, icount: bool) -> Result<()> {
    process::run(process::cargo().args(["build", "--quiet", "--package", "std_host", "--bin", "toehold"]))?;
    let toehold = workspace::target_folder()?.join("debug").join("toehold");
    // A socket's path has 108 bytes at most, which those of checkouts may go over.
    let socket = std::env::temp_dir().join(format!("toehold-{}-{}", board.name, std::process::id()));
    let emulator = Emulator::start(board, elf, flash, Serial::Socket(socket.clone()), icount)?;
    emulator::wait_for(&socket)?;
    let desk = |arguments: &[&str]| {
        let mut command = Command::new(&toehold);
        command.arg("board").arg("--port").arg(format!("unix:{}", socket.display()));
        process::run(command.args(["--answer-time", "60s"]).args(arguments))
    };
    let state = if target == 0 { "{}".to_owned() } else { format!("{{\"target\": {target}}}") };
    let folder = workspace::root().join("test-extension/small");
    let done = desk(&["install", &folder.to_string_lossy()])
        .and_then(|()| desk(&["dispatch", &format!("test-extension:{job}"), "--state", &state, "--follow"]));
    emulator.cut()?;
    let _ = fs::remove_file(&socket);
    done
}

/// Where a board's flash is kept from one start to the next.
pub(crate) fn flash_of(board: &Board) -> Result<PathBuf> {
    Ok(workspace::target_folder()?.join("boards").join(format!("{}.flash", board.name)))
}
