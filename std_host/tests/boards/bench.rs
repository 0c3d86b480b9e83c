//! Boards and data folders on a workbench.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use toehold::{
    Bundle,
    console::{Data, Line},
};

/// How a board is started: `{flash}` and `{socket}` in its arguments are paths.
#[derive(Clone, Deserialize)]
struct Kind {
    name: String,
    flash_bytes: u64,
    command: Vec<String>,
}

/// A board, its flash, and the socket that is its serial line.
pub(crate) struct Board {
    kind: Kind,
    folder: TempDir,
    emulator: Option<Child>,
}

/// The boards that there is firmware for.
pub(crate) fn boards() -> Vec<Board> {
    boards_of("TOEHOLD_BOARDS")
}

/// Those that this variable tells of.
pub(crate) fn boards_of(variable: &str) -> Vec<Board> {
    let text = env::var(variable).expect("`cargo xtask test` runs these tests: they need firmware");
    let kinds: Vec<Kind> = serde_json::from_str(&text).expect("it is JSON");
    assert!(!kinds.is_empty());
    kinds.into_iter().map(Board::new).collect()
}

/// The board of this name.
pub(crate) fn board(name: &str) -> Board {
    boards().into_iter().find(|board| board.kind.name == name).expect("there is firmware for it")
}

/// The small build of the test extension.
pub(crate) fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension/small")
}

/// How long a board may be silent. On a busy machine the emulator has to wait for its turn.
const PATIENCE: Duration = Duration::from_secs(60);

impl Board {
    fn new(kind: Kind) -> Self {
        let folder = tempfile::Builder::new().prefix("toehold-board-").tempdir_in("/tmp").unwrap();
        let board = Self { kind, folder, emulator: None };
        let mut flash = std::io::BufWriter::new(fs::File::create(board.flash()).unwrap());
        for _ in 0..board.kind.flash_bytes / 1_024 {
            flash.write_all(&[0xff; 1_024]).unwrap();
        }
        flash.flush().unwrap();
        board
    }

    pub(crate) fn name(&self) -> &str {
        &self.kind.name
    }

    pub(crate) fn flash(&self) -> PathBuf {
        self.folder.path().join("flash")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("serial")
    }

    /// Gives the board power. It starts once somebody connects.
    pub(crate) fn power_on(&mut self) {
        let _ = fs::remove_file(self.socket());
        let fill = |argument: &String| {
            argument
                .replace("{flash}", self.flash().to_str().unwrap())
                .replace("{socket}", self.socket().to_str().unwrap())
        };
        let arguments: Vec<String> = self.kind.command.iter().map(fill).collect();
        let (program, arguments) = arguments.split_first().expect("a command");
        let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn();
        self.emulator = Some(child.unwrap_or_else(|error| panic!("{program}: {error}")));
    }

    /// Cuts the power: the emulator can't finish anything.
    pub(crate) fn power_off(&mut self) {
        if let Some(mut emulator) = self.emulator.take() {
            let _ = emulator.kill();
            let _ = emulator.wait();
        }
    }

    /// Connects to the serial line.
    pub(crate) fn console(&self) -> Console {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(self.socket()) {
                Ok(stream) => break stream,
                // The emulator has not come so far yet.
                Err(_) if start.elapsed() < PATIENCE => std::thread::yield_now(),
                Err(error) => panic!("no emulator listens: {error}"),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Console { lines: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// What the command `toehold board` says.
    pub(crate) fn desk(&self, arguments: &[&str]) -> Output {
        let port = format!("unix:{}", self.socket().display());
        let start = Instant::now();
        loop {
            let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
            command.args(["board", "--port", &port, "--answer-time", "60s", "--json"]).args(arguments);
            let output = command.output().expect("toehold runs");
            // The command does not wait for an emulator that is not there yet.
            let is_early = text(&output.stderr).contains("is the board, or its emulator, running?");
            if !is_early || start.elapsed() > PATIENCE {
                return output;
            }
        }
    }

    /// The same, which must succeed; its JSON, the last line of it where there are more.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Value {
        let output = self.desk(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{}: {arguments:?}: {out}{err}", self.name());
        out.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap_or(Value::Null))
    }

    pub(crate) fn install_small(&self) {
        let folder = small();
        self.ok(&["install", folder.to_str().unwrap()]);
    }

    /// Powers it on, and has it count for as long as a test may take. Gives the console, and the job's id.
    pub(crate) fn counting(&mut self) -> (Console, String) {
        self.power_on();
        self.install_small();
        let mut console = self.console();
        let answer = console.ask(r#"run test-extension:counter {"target": 100000000}"#);
        let id = field(&answer, "id").unwrap_or_else(|| panic!("{}: {answer}", self.name()));
        (console, id)
    }

    /// All that there is of a job.
    pub(crate) fn bundle(&self, id: &str) -> Bundle {
        let file = self.folder.path().join("bundle");
        let _ = fs::remove_file(&file);
        self.ok(&["export", id, "-o", file.to_str().unwrap()]);
        Bundle::decode(&fs::read(&file).unwrap()).unwrap()
    }

    /// Has the board take over a job.
    pub(crate) fn import(&self, bundle: &Bundle) {
        let file = self.folder.path().join("imported");
        fs::write(&file, bundle.encode()).unwrap();
        self.ok(&["import", file.to_str().unwrap()]);
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// The desk's end of a serial line.
pub(crate) struct Console {
    lines: BufReader<UnixStream>,
    stream: UnixStream,
}

impl Console {
    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next line, which must not say that the firmware has reset the board: whatever a test does, that is never right.
    pub(crate) fn line(&mut self) -> String {
        let mut bytes = Vec::new();
        let count = self.lines.read_until(b'\n', &mut bytes).expect("the board says something");
        assert!(count > 0, "the emulator has ended");
        let line = text(&bytes).trim_end().to_owned();
        assert!(!line.contains("the board was reset"), "{line}");
        line
    }

    /// Lines up to one for which this holds.
    pub(crate) fn until(&mut self, mut is_it: impl FnMut(&str) -> bool) -> String {
        loop {
            let line = self.line();
            if is_it(&line) {
                return line;
            }
        }
    }

    /// The answer to a line: what stands in its last line.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> String {
        self.until(|line| matches!(Line::parse(line), Line::Ok(_) | Line::Err(..) | Line::Wanted(_)))
    }

    /// Sends a command that data follows, and the data. Gives the last line.
    pub(crate) fn carry(&mut self, command: &str, bytes: &[u8]) -> String {
        let mut last = self.ask(&format!("{command} {} {:08x}", bytes.len(), toehold::Crc32::of(bytes)));
        while let Line::Wanted(offset) = Line::parse(&last) {
            let data = Data::of(bytes, offset).expect("it wants what there is");
            last = self.ask(&data.to_string());
        }
        last
    }

    /// The line that says how a job stands.
    pub(crate) fn status(&mut self, id: &str) -> String {
        self.send(&format!("status {id}"));
        let line = self.until(|line| line.starts_with("- job"));
        self.answer();
        line
    }

    /// Waits until a job counts on.
    pub(crate) fn counts_on(&mut self, id: &str) {
        let items = |line: String| {
            assert_eq!(field(&line, "state").as_deref(), Some("running"), "{line}");
            field(&line, "items").unwrap().parse::<u64>().unwrap()
        };
        let before = items(self.status(id));
        while items(self.status(id)) <= before {}
    }
}

/// A field of a job on a board.
pub(crate) fn field(line: &str, key: &str) -> Option<String> {
    match Line::parse(line) {
        Line::Item(_, fields) | Line::Event(_, fields) | Line::Ok(fields) => {
            fields.get(key).map(std::borrow::Cow::into_owned)
        }
        _ => None,
    }
}

/// A data folder of this machine.
pub(crate) struct Folder(TempDir);

impl Folder {
    /// One that has the small test extension.
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.ok(&["extension", "add", small().to_str().unwrap()]);
        folder
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// What the command `toehold` says, in this folder.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        let output = command.args(arguments).args(["--data", self.path(), "--json"]).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap_or(Value::Null))
    }

    /// All that there is of a job.
    pub(crate) fn bundle(&self, id: &str) -> Bundle {
        let file = self.0.path().join("exported.bundle");
        let _ = fs::remove_file(&file);
        self.ok(&["job", "export", id, "-o", file.to_str().unwrap()]);
        Bundle::decode(&fs::read(&file).unwrap()).unwrap()
    }

    pub(crate) fn import(&self, bundle: &Bundle) {
        let file = self.0.path().join("imported.bundle");
        fs::write(&file, bundle.encode()).unwrap();
        self.ok(&["job", "import", file.to_str().unwrap()]);
    }

    /// Starts `toehold serve` on it.
    pub(crate) fn serve(&self) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        command
            .args(["serve", "--listen", "none", "--data", self.path()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut says = BufReader::new(child.stderr.take().unwrap());
        // It may say something about its folder first.
        let mut said = String::new();
        while !said.lines().any(|line| line.starts_with("ready")) {
            assert_ne!(says.read_line(&mut said).unwrap(), 0, "{said}");
        }
        Server { child, _says: says }
    }
}

/// A server; it is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    _says: BufReader<std::process::ChildStderr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
