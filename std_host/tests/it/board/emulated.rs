//! A board with the real shell and a simulated flash, at a Unix socket, on which things go wrong when they are told to.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use no_std_host::{
    Board, Clock, Config, Doing, Entropy, FlashStore, Memory, Parts, Shell, Witness, sim::SimFlash,
};
use std_host::toehold::{Limits, Trust, Uuid};
use tempfile::TempDir;

use crate::command::signal;

type Flash = SimFlash<4, 4096>;

/// A board that runs until this is dropped.
pub(crate) struct Emulated {
    folder: TempDir,
    orders: Arc<Mutex<Orders>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What goes wrong, once that many lines have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The link breaks, and the answer is lost.
    CutAnswer,
    /// The board is reset before it reads the line.
    Reset,
    /// The board is reset, and what it has done is all that is left of the line.
    ResetAfter,
    /// This process is killed, and the board reads its line all the same.
    Kill(u32),
    /// The line arrives damaged.
    Damage,
    /// The answer to it arrives damaged.
    DamageAnswer,
}

#[derive(Debug, Default)]
struct Orders {
    /// Lines that have come since the last orders.
    lines: usize,
    mishap: Option<(usize, Mishap)>,
    /// Jobs stand still, though they don't know it.
    hold: bool,
}

impl Emulated {
    pub(crate) fn new() -> Self {
        Self::with::<256>(Trust::Anyone)
    }

    /// One that trusts these, and whose flash has so many blocks of 4 KiB.
    pub(crate) fn with<const BLOCKS: usize>(trust: Trust) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("board.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (orders, stop) = (Arc::<Mutex<Orders>>::default(), Arc::<AtomicBool>::default());
        let (theirs, stopped) = (orders.clone(), stop.clone());
        let run = move || run::<BLOCKS>(listener, theirs, &stopped, &trust);
        // The interpreter's, in a debug build.
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(run).unwrap();
        Self { folder, orders, stop, thread: Some(thread) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("board.sock")
    }

    pub(crate) fn port(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Lets a mishap happen with the line after the next `lines`.
    pub(crate) fn after(&self, lines: usize, mishap: Mishap) {
        let mut orders = self.lock();
        orders.lines = 0;
        orders.mishap = Some((lines, mishap));
    }

    /// Lines that have come since then, and whether the mishap has happened; none happens any more.
    pub(crate) fn calm(&self) -> (usize, bool) {
        let mut orders = self.lock();
        let has_happened = orders.mishap.take().is_none();
        (std::mem::take(&mut orders.lines), has_happened)
    }

    /// From now on no job comes any further, until this is taken back.
    pub(crate) fn hold(&self, hold: bool) {
        self.lock().hold = hold;
    }

    fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap()
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// With a flash of so many blocks of 4 KiB.
struct Desktop<const BLOCKS: usize>;

impl<const BLOCKS: usize> Board for Desktop<BLOCKS> {
    type Store = FlashStore<Flash, BLOCKS>;
    type Console = Console;
    type Clock = Uptime;
    type Entropy = Random;
    type Memory = Plenty;
    type Witness = Nobody;
}

/// The board's life: from reset to reset.
fn run<const BLOCKS: usize>(
    listener: UnixListener,
    orders: Arc<Mutex<Orders>>,
    stop: &AtomicBool,
    trust: &Trust,
) {
    let flash = Flash::new(BLOCKS);
    let socket = Rc::new(RefCell::new(Socket::new(listener, orders)));
    while !stop.load(Ordering::Relaxed) {
        let parts = Parts {
            store: FlashStore::open(flash.clone()).unwrap_or_else(|refused| panic!("{}", refused.error)),
            console: Console(socket.clone()),
            clock: Uptime(Instant::now()),
            entropy: Random,
            memory: Plenty,
            witness: Nobody,
        };
        let limits = Limits { module_bytes: 1 << 20, memory_bytes: 8 << 20, ..Limits::default() };
        let config = Config { limits, slice: 1, trust: trust.clone(), ..Config::default() };
        let mut shell = Shell::<Desktop<BLOCKS>>::new(parts, config).unwrap();
        while !stop.load(Ordering::Relaxed) && !socket.borrow_mut().take_reset() {
            let may_turn = socket.borrow_mut().may_turn();
            if !may_turn || !shell.turn() {
                std::thread::sleep(IDLE);
            }
        }
    }
}

/// How long a board that has nothing to do sleeps.
const IDLE: Duration = Duration::from_micros(200);

/// The board's end of the link.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    stream: Option<UnixStream>,
    orders: Arc<Mutex<Orders>>,
    /// What has come in and is no whole line yet, or waits behind one.
    received: Vec<u8>,
    /// The line that the shell reads.
    line: VecDeque<u8>,
    /// What becomes of the answer.
    answer: Option<Mishap>,
    is_reset: bool,
}

impl Socket {
    fn new(listener: UnixListener, orders: Arc<Mutex<Orders>>) -> Self {
        Self {
            listener,
            stream: None,
            orders,
            received: Vec::new(),
            line: VecDeque::new(),
            answer: None,
            is_reset: false,
        }
    }

    fn take_reset(&mut self) -> bool {
        if std::mem::take(&mut self.is_reset) {
            self.line.clear();
            self.answer = None;
            return true;
        }
        false
    }

    /// Whether the shell may do something: always, unless jobs are held, and nothing has come in.
    fn may_turn(&mut self) -> bool {
        let is_held = self.orders.lock().unwrap().hold;
        !is_held || self.fill()
    }

    /// Whether there is a line to be read.
    fn fill(&mut self) -> bool {
        if !self.line.is_empty() {
            return true;
        }
        match self.answer.take() {
            // What came before was carried out.
            Some(Mishap::CutAnswer) => self.hang_up(),
            Some(Mishap::ResetAfter) => self.is_reset = true,
            other => self.answer = other,
        }
        if self.is_reset {
            return false;
        }
        if self.stream.is_none() {
            self.stream = self.listener.accept().ok().map(|(stream, _)| stream);
            if let Some(stream) = &self.stream {
                stream.set_nonblocking(true).unwrap();
            }
        }
        let mut buffer = [0; 4096];
        match self.stream.as_mut().map(|stream| stream.read(&mut buffer)) {
            None => {}
            Some(Ok(0)) => self.hang_up(),
            Some(Ok(count)) => self.received.extend(&buffer[..count]),
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Some(Err(_)) => self.hang_up(),
        }
        if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line = self.received.drain(..=end).collect();
            self.came(line);
        }
        !self.line.is_empty()
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.received.clear();
    }

    /// A line came in: whatever is to happen then does.
    fn came(&mut self, mut line: VecDeque<u8>) {
        let mishap = {
            let mut orders = self.orders.lock().unwrap();
            let number = orders.lines;
            orders.lines += 1;
            match orders.mishap {
                Some((after, mishap)) if after == number => {
                    orders.mishap = None;
                    Some(mishap)
                }
                _ => None,
            }
        };
        match mishap {
            Some(Mishap::Reset) => {
                self.is_reset = true;
                return;
            }
            Some(Mishap::Kill(process)) => signal("-KILL", process),
            Some(Mishap::Damage) => {
                let middle = line.len() / 2;
                line[middle] ^= 1;
            }
            Some(later @ (Mishap::CutAnswer | Mishap::ResetAfter | Mishap::DamageAnswer)) => {
                self.answer = Some(later);
            }
            None => {}
        }
        self.line = line;
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        match self.answer {
            Some(Mishap::CutAnswer | Mishap::ResetAfter) => return,
            Some(Mishap::DamageAnswer) if bytes.len() > 2 => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                // The first characters say what the line is.
                bytes[0] ^= 1;
                self.answer = None;
            }
            _ => {}
        }
        let mut rest = &bytes[..];
        while let Some(stream) = &mut self.stream {
            match stream.write(rest) {
                Ok(count) if count == rest.len() => return,
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(IDLE),
                Err(_) => self.hang_up(),
            }
        }
    }
}

struct Console(Rc<RefCell<Socket>>);

impl embedded_io::ErrorType for Console {
    type Error = embedded_io::ErrorKind;
}

impl embedded_io::ReadReady for Console {
    fn read_ready(&mut self) -> Result<bool, Self::Error> {
        Ok(self.0.borrow_mut().fill())
    }
}

impl embedded_io::Read for Console {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let line = &mut self.0.borrow_mut().line;
        let count = buffer.len().min(line.len());
        for (place, byte) in buffer.iter_mut().zip(line.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl embedded_io::Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.0.borrow_mut().write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Uptime(Instant);

impl Clock for Uptime {
    fn now(&mut self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap()
    }

    fn wait(&mut self, _until: Option<u64>) {}
}

struct Random;

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = Uuid::new_v4().as_bytes()[0];
        }
    }
}

struct Plenty;

impl Memory for Plenty {
    fn free(&self) -> usize {
        64 << 20
    }

    fn total(&self) -> usize {
        64 << 20
    }

    fn has(&self, _pieces: &mut dyn Iterator<Item = usize>) -> bool {
        true
    }

    fn guard(&self, _reserve: usize) {}
}

struct Nobody;

impl Witness for Nobody {
    fn note(&mut self, _doing: Doing) {}

    fn take(&mut self) -> Option<(Doing, &str)> {
        None
    }
}
