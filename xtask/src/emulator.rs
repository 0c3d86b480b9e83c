//! Runs firmware in QEMU. To kill it is a power cut: flash keeps what it has, RAM does not.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::board::Board;
use crate::process;
use crate::toolchain::CORTEX_M;

/// Where a board's console is.
#[derive(Default)]
pub(crate) enum Serial {
    /// On this terminal.
    #[default]
    Terminal,
    /// At this socket. The board starts once somebody has connected, so that nothing it says is lost.
    Socket(PathBuf),
    /// Wherever QEMU's option `-serial` can have it.
    Other(String),
}

impl Serial {
    /// What a person has to know.
    pub(crate) fn describe(&self) -> String {
        match self {
            Serial::Terminal => "The console is here. Ctrl-A X cuts the power.".into(),
            Serial::Socket(path) => format!("The board starts once somebody connects to {}.", path.display()),
            Serial::Other(place) => format!("The console is at {place}. Ctrl-C cuts the power."),
        }
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Serial::Terminal => vec![
                "-chardev".into(),
                "stdio,id=console,mux=on,signal=off".into(),
                "-serial".into(),
                "chardev:console".into(),
                "-mon".into(),
                "chardev=console,mode=readline".into(),
            ],
            Serial::Socket(path) => vec![
                "-monitor".into(),
                "none".into(),
                "-chardev".into(),
                format!("socket,id=console,server=on,wait=on,path={}", escaped(path)),
                "-serial".into(),
                "chardev:console".into(),
            ],
            Serial::Other(place) => {
                vec!["-monitor".into(), "none".into(), "-serial".into(), served(place)]
            }
        }
    }
}

/// QEMU waits for nobody at a socket of which one does not say more.
fn served(place: &str) -> String {
    let is_socket = place.starts_with("unix:") || place.starts_with("tcp:");
    if is_socket && !place.contains(',') { format!("{place},server=on,wait=off") } else { place.to_owned() }
}

/// A path inside of QEMU's lists of options.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A board that runs. Dropping it cuts the power.
pub(crate) struct Emulator(Child);

impl Emulator {
    /// Starts a board's program with this flash.
    pub(crate) fn start(
        board: &Board,
        elf: &Path,
        flash: &Path,
        serial: Serial,
        icount: bool,
    ) -> Result<Self> {
        let (program, package) = board.emulator;
        let mut qemu = Command::new(program);
        qemu.args(arguments(board, elf, flash, &serial, icount));
        match serial {
            Serial::Terminal => &mut qemu,
            Serial::Socket(_) | Serial::Other(_) => qemu.stdin(Stdio::null()),
        };
        process::show(&qemu)?;
        match qemu.spawn() {
            Ok(child) => Ok(Self(child)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "{program} is not installed. On Debian:\n  apt-get install --no-install-recommends {package}\n  \
                 cargo xtask test --install      (does it)"
            ),
            Err(error) => Err(error).with_context(|| format!("{program} can't be started")),
        }
    }

    /// Waits until somebody ends it.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.0.wait()?;
        if !status.success() {
            bail!("the emulator ended with {status}");
        }
        Ok(())
    }

    /// Cuts the power: SIGKILL, so that QEMU can't finish anything.
    pub(crate) fn cut(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the emulator is started with.
pub(crate) fn arguments(
    board: &Board,
    elf: &Path,
    flash: &Path,
    serial: &Serial,
    icount: bool,
) -> Vec<String> {
    let mut arguments: Vec<String> = board.machine.iter().map(ToString::to_string).collect();
    arguments.extend(["-display".to_owned(), "none".to_owned()]);
    arguments.extend(serial.arguments());
    arguments.extend(program_and_flash(board, elf, flash));
    if icount {
        arguments.extend(["-icount".to_owned(), "shift=0".to_owned()]);
    }
    arguments
}

fn program_and_flash(board: &Board, elf: &Path, flash: &Path) -> Vec<String> {
    let (elf, flash) = (escaped(elf), escaped(flash));
    if board.target.triple == CORTEX_M.triple {
        vec![
            "-kernel".into(),
            elf.replace(",,", ","),
            "-semihosting-config".into(),
            format!("enable=on,target=native,arg={flash}"),
        ]
    } else {
        vec![
            "-device".into(),
            format!("loader,file={elf},cpu-num=0"),
            "-drive".into(),
            format!("if=pflash,unit=1,format=raw,file={flash}"),
            "-global".into(),
            "virtio-mmio.force-legacy=off".into(),
            "-device".into(),
            "virtio-rng-device".into(),
        ]
    }
}

/// Makes a file of blank flash, where there is none or `fresh` says so.
pub(crate) fn make_flash(board: &Board, path: &Path, fresh: bool) -> Result<()> {
    if path.exists() && !fresh {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    }
    write_blank(board, path).with_context(|| format!("{} can't be written", path.display()))
}

fn write_blank(board: &Board, path: &Path) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(path)?);
    for _ in 0..board.flash_bytes / 1_024 {
        file.write_all(&[0xff; 1_024])?;
    }
    file.flush()
}

/// The other end of a board's console.
pub(crate) struct Console {
    stream: UnixStream,
    /// What came and is no whole line yet.
    rest: Vec<u8>,
}

/// Waits until the emulator has its socket.
pub(crate) fn wait_for(socket: &Path) -> Result<()> {
    let start = Instant::now();
    while !socket.exists() {
        if start.elapsed() > PATIENCE {
            bail!("the emulator made no socket at {}", socket.display());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// How long a board may be silent. On a busy machine the emulator has to wait for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

impl Console {
    /// Connects to a board that was started with [`Serial::Socket`].
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let start = Instant::now();
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(Self { stream, rest: Vec::new() });
                }
                // The emulator has not come so far yet.
                Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(5)),
                Err(error) => bail!("no emulator listens at {}: {error}", socket.display()),
            }
        }
    }

    /// Types something.
    pub(crate) fn type_in(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            let mut bytes = [0; 1_024];
            let count = self.stream.read(&mut bytes).with_context(|| {
                format!(
                    "the board was silent for {} s after {:?}",
                    PATIENCE.as_secs(),
                    String::from_utf8_lossy(&self.rest)
                )
            })?;
            if count == 0 {
                bail!("the emulator has ended after {:?}", String::from_utf8_lossy(&self.rest));
            }
            self.rest.extend(bytes.iter().take(count));
        }
    }

    /// Lines up to one that has `wanted` in it, which comes back.
    pub(crate) fn line_with(&mut self, wanted: &str) -> Result<String> {
        let mut seen = Vec::new();
        loop {
            match self.line() {
                Ok(line) if line.contains(wanted) => return Ok(line),
                Ok(line) => seen.push(line),
                Err(error) => {
                    return Err(error.context(format!("no line with {wanted:?} came, but {seen:#?}")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_does_not_wait_unless_one_says_so() {
        assert_eq!(served("unix:/tmp/b"), "unix:/tmp/b,server=on,wait=off");
        assert_eq!(served("tcp:localhost:4321"), "tcp:localhost:4321,server=on,wait=off");
        assert_eq!(served("unix:/tmp/b,server=on,wait=on"), "unix:/tmp/b,server=on,wait=on");
        assert_eq!(served("pty"), "pty");
    }

    #[test]
    fn a_comma_in_a_path_ends_no_option() {
        let arguments = Serial::Socket("/tmp/a,b".into()).arguments();
        assert!(arguments.contains(&"socket,id=console,server=on,wait=on,path=/tmp/a,,b".to_owned()));
    }
}
