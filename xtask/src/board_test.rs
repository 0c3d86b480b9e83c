//! Starts what was built for boards in their emulators, and sees that it comes up, comes back, and keeps what it has to.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::board::{BOARDS, Board};
use crate::emulator::{self, Console, Emulator, Serial};
use crate::firmware::{self, Features, Firmware, Program};
use crate::process;
use crate::workspace;

/// Builds everything for all boards, and tries it.
pub(crate) fn all() -> Result<()> {
    firmware::check()?;
    for board in BOARDS {
        let firmware = Firmware::of(board)?;
        firmware.build_all()?;
        let bench = Bench::new(board, firmware)?;
        bench.core_alone().with_context(|| format!("the core alone on {}", board.name))?;
        bench.parts().with_context(|| format!("the parts of {}", board.name))?;
        bench.example().with_context(|| format!("the example of {}", board.name))?;
    }
    let kinds = BOARDS.map(|board| kind(board, &Firmware::of(board)?.built(Program::Firmware)?, false));
    // Figures are for `cargo xtask bench`, and the others take another firmware.
    jobs("TOEHOLD_BOARDS", kinds, &["--skip", "measure::", "--skip", "unvalidated::"])
}

/// Measures the boards.
pub(crate) fn bench() -> Result<()> {
    let kinds = BOARDS.map(|board| kind(board, &Firmware::of(board)?.build(Program::Firmware)?, true));
    jobs("TOEHOLD_BOARDS", kinds, &["measure::", "--nocapture"])
}

/// Builds the firmware that does not validate modules, and tries that it takes only signed packages.
pub(crate) fn unvalidated() -> Result<()> {
    let kinds = BOARDS.map(|board| {
        let elf = Firmware::of(board)?.with(Features::Only("signatures")).build(Program::Firmware)?;
        // The next build puts another one in its place.
        let folder = test_folder()?;
        let kept = folder.join(format!("unvalidated-{}", board.name));
        fs::copy(&elf, &kept).with_context(|| format!("{} can't be copied", elf.display()))?;
        kind(board, &kept, false)
    });
    jobs("TOEHOLD_UNVALIDATED_BOARDS", kinds, &["unvalidated::"])
}

/// How the tests of std_host start a board.
fn kind(board: &Board, elf: &Path, icount: bool) -> Result<serde_json::Value> {
    let serial = Serial::Socket("{socket}".into());
    let mut command = vec![board.emulator.0.to_owned()];
    command.extend(emulator::arguments(board, elf, Path::new("{flash}"), &serial, icount));
    Ok(serde_json::json!({ "name": board.name, "flash_bytes": board.flash_bytes, "command": command }))
}

/// Where the flash of boards is that are tested.
fn test_folder() -> Result<PathBuf> {
    let folder = workspace::target_folder()?.join("boards").join("test");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Runs tests of std_host that need boards, with the command `toehold` at the other end of the wire. `variable` tells them of the
/// boards.
fn jobs(variable: &str, kinds: [Result<serde_json::Value>; BOARDS.len()], which: &[&str]) -> Result<()> {
    let kinds = kinds.into_iter().collect::<Result<Vec<_>>>()?;
    let mut test = process::cargo();
    test.args([
        "test",
        "--package",
        "std_host",
        "--test",
        "boards",
        "--",
        "--ignored",
        "--test-threads",
        "2",
    ]);
    process::run(test.args(which).env(variable, serde_json::Value::from(kinds).to_string()))
}

/// A board on a workbench: its flash, and the wire to its console.
struct Bench {
    board: &'static Board,
    firmware: Firmware,
    flash: PathBuf,
    socket: PathBuf,
}

impl Bench {
    fn new(board: &'static Board, firmware: Firmware) -> Result<Self> {
        let flash = test_folder()?.join(format!("{}.flash", board.name));
        emulator::make_flash(board, &flash, true)?;
        // A socket's path has 108 bytes at most, which those of checkouts may go over.
        let socket = std::env::temp_dir().join(format!("toehold-{}-{}", board.name, std::process::id()));
        Ok(Self { board, firmware, flash, socket })
    }

    /// Switches the board on.
    fn start(&self, program: Program) -> Result<(Emulator, Console)> {
        let elf = self.firmware.built(program)?;
        let _ = fs::remove_file(&self.socket);
        let serial = Serial::Socket(self.socket.clone());
        let emulator = Emulator::start(self.board, &elf, &self.flash, serial, false)?;
        let console = Console::connect(&self.socket)?;
        Ok((emulator, console))
    }

    fn core_alone(&self) -> Result<()> {
        let (emulator, mut console) = self.start(Program::CoreAlone)?;
        console.line_with("the core counted a million items")?;
        emulator.cut()
    }

    /// What newcomers copy comes up, on flash that is blank.
    fn example(&self) -> Result<()> {
        if !self.firmware.has_example() {
            return Ok(());
        }
        emulator::make_flash(self.board, &self.flash, true)?;
        let (emulator, mut console) = self.start(Program::Example)?;
        console.line_with("# minimal ")?;
        emulator.cut()
    }

    fn parts(&self) -> Result<()> {
        let (emulator, mut console) = self.start(Program::BringUp)?;
        comes_up(&mut console, 1, None)?;
        // A panic, a stack that is full and memory that is full: each resets the board, which then says why.
        for (start, (key, words)) in (2..).zip([
            ("!", if self.firmware.tells_panics() { "somebody typed an exclamation mark" } else { "fault" }),
            ("s", "fault"),
            ("m", "the last allocation that failed asked for"),
        ]) {
            console.type_in(key)?;
            comes_up(&mut console, start, Some(words)).with_context(|| format!("{key:?} was typed"))?;
        }
        emulator.cut()?;
        // RAM has lost what it knew, flash has not.
        let (emulator, mut console) = self.start(Program::BringUp)?;
        comes_up(&mut console, 5, None)?;
        // More than any queue holds, at once: all of it comes back.
        let text = "0123456789".repeat(200);
        console.type_in(&text)?;
        console.type_in("\n")?;
        let echo = console.line()?;
        ensure!(echo == text, "of {} bytes that were typed at once, {} came back", text.len(), echo.len());
        emulator.cut()
    }
}

/// Reads what the program says that tries the parts, at its start number `start`, after last words with `words`.
fn comes_up(console: &mut Console, start: u32, words: Option<&str>) -> Result<()> {
    console.line_with("toehold: bring-up")?;
    let mut lines = Vec::new();
    loop {
        let line = console.line()?;
        let is_last = line.starts_with("ready");
        lines.push(line);
        if is_last {
            break;
        }
    }
    let has = |wanted: &str| lines.iter().any(|line| line.contains(wanted));
    ensure!(has(&format!("start number {start};")), "it is not start number {start}: {lines:#?}");
    ensure!(has("core counted Some(1000000)"), "the job did not count: {lines:#?}");
    match words {
        Some(words) => {
            ensure!(has("last words") && has(words), "there are no last words {words:?}: {lines:#?}")
        }
        None if has("last words") => bail!("there are last words: {lines:#?}"),
        None => {}
    }
    Ok(())
}
