//! A board in a test: real flash store on a flash in memory, a wire, a clock that is set by hand.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    rc::Rc,
};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use no_std_host::{
    Board, Clock, Config, Doing, Entropy, FlashStore, Memory, Parts, Shell, Witness,
    sim::{SimFlash, Tear},
};
use toehold::{
    Millis, Package, Trust, UnixMillis,
    console::{Command, Data, Line},
};

pub(crate) type Flash = SimFlash<4, 4096>;
pub(crate) type Store = FlashStore<Flash, 64>;

/// The kinds of parts.
pub(crate) struct Host;

impl Board for Host {
    type Store = Store;
    type Console = Wire;
    type Clock = Hand;
    type Entropy = Counted;
    type Memory = Heap;
    type Witness = Note;
}

/// Both ends of a wire.
#[derive(Clone, Default)]
pub(crate) struct Wire {
    to_board: Rc<RefCell<VecDeque<u8>>>,
    from_board: Rc<RefCell<Vec<u8>>>,
    /// More comes in than anybody can read.
    pub(crate) noise: Rc<Cell<bool>>,
}

impl Wire {
    /// Sends bytes to the board.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.to_board.borrow_mut().extend(bytes);
    }

    /// The lines that the board has sent since this was called last.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.from_board.borrow_mut());
        let text = String::from_utf8(bytes).expect("the console speaks UTF-8");
        text.lines().map(str::to_owned).collect()
    }
}

impl ErrorType for Wire {
    type Error = Infallible;
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut bytes = self.to_board.borrow_mut();
        if self.noise.get() {
            bytes.push_back(b'x');
        }
        let count = buffer.len().min(bytes.len());
        buffer.iter_mut().zip(bytes.drain(..count)).for_each(|(to, byte)| *to = byte);
        Ok(count)
    }
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.noise.get() || !self.to_board.borrow().is_empty())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.from_board.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A clock that stands still until it is set.
#[derive(Clone, Default)]
pub(crate) struct Hand {
    pub(crate) now: Rc<Cell<Millis>>,
    pub(crate) unix: Rc<Cell<Option<UnixMillis>>>,
}

impl Clock for Hand {
    fn now(&mut self) -> Millis {
        self.now.get()
    }

    fn unix(&mut self) -> Option<UnixMillis> {
        self.unix.get()
    }

    fn wait(&mut self, _until: Option<Millis>) {}
}

/// Bytes that are as random as ids have to be in a test. They go on over restarts.
#[derive(Clone, Default)]
pub(crate) struct Counted(Rc<Cell<u64>>);

impl Entropy for Counted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0.set(
                self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407),
            );
            *byte = (self.0.get() >> 56) as u8;
        }
    }
}

/// A heap that says it has so much, and so much in one piece.
#[derive(Clone)]
pub(crate) struct Heap(pub(crate) Rc<Cell<usize>>, pub(crate) Rc<Cell<usize>>);

impl Memory for Heap {
    fn free(&self) -> usize {
        self.0.get()
    }

    fn total(&self) -> usize {
        1 << 20
    }

    fn has(&self, pieces: &mut dyn Iterator<Item = usize>) -> bool {
        let (mut sum, mut largest) = (0, 0);
        for piece in pieces {
            (sum, largest) = (sum + piece, largest.max(piece));
        }
        sum <= self.0.get() && largest <= self.1.get()
    }

    fn guard(&self, _reserve: usize) {}
}

/// What is noted, and what is found after a reset.
#[derive(Clone, Default)]
pub(crate) struct Note {
    pub(crate) doing: Rc<Cell<Doing>>,
    pub(crate) reset: Rc<Cell<Option<Doing>>>,
}

impl Witness for Note {
    fn note(&mut self, doing: Doing) {
        self.doing.set(doing);
    }

    fn take(&mut self) -> Option<(Doing, &str)> {
        self.reset.take().map(|doing| (doing, "out of memory"))
    }
}

/// A board whose parts outlive its shell.
pub(crate) struct Bench {
    pub(crate) wire: Wire,
    pub(crate) clock: Hand,
    pub(crate) memory: Heap,
    pub(crate) witness: Note,
    entropy: Counted,
    flash: Option<Flash>,
    /// The chip, whoever has it.
    chip: Flash,
    pub(crate) shell: Option<Shell<Host>>,
    config: fn() -> Config,
    /// Lines that came in and were not looked at.
    pub(crate) lines: VecDeque<String>,
    /// Remarks for people that came before answers.
    pub(crate) remarks: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Config::default)
    }

    pub(crate) fn with(config: fn() -> Config) -> Self {
        let mut bench = Self::off(config, Flash::new(64));
        bench.power_on();
        bench
    }

    /// A board that is off.
    pub(crate) fn off(config: fn() -> Config, flash: Flash) -> Self {
        Self {
            wire: Wire::default(),
            clock: Hand::default(),
            memory: Heap(Rc::new(Cell::new(1 << 20)), Rc::new(Cell::new(usize::MAX))),
            witness: Note::default(),
            entropy: Counted::default(),
            chip: flash.clone(),
            flash: Some(flash),
            shell: None,
            config,
            lines: VecDeque::new(),
            remarks: Vec::new(),
        }
    }

    /// The flash of a board that is off.
    pub(crate) fn flash(&self) -> &Flash {
        self.flash.as_ref().expect("the board is off")
    }

    /// Whether the flash fails at whatever is asked of it.
    pub(crate) fn break_flash(&mut self, is_broken: bool) {
        self.chip.set_unreadable(is_broken);
    }

    /// From now on the flash can be read and not written.
    pub(crate) fn wear_out_flash(&mut self) {
        (0..64).for_each(|block| self.chip.wear_out(block));
    }

    /// The power goes at the operation of flash after so many.
    pub(crate) fn cut_after(&mut self, operations: u64, tear: Tear) {
        self.chip.cut_after(operations, tear);
    }

    /// Whether the power went. What the board does from then on is for nothing.
    pub(crate) fn is_cut(&self) -> bool {
        self.chip.is_off()
    }

    /// Starts the board on the flash as it is.
    pub(crate) fn power_on(&mut self) {
        let flash = self.flash.take().expect("the board is off");
        let parts = Parts {
            store: Store::open(flash).unwrap_or_else(|refused| panic!("{}", refused.error)),
            console: self.wire.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            memory: self.memory.clone(),
            witness: self.witness.clone(),
        };
        let shell = Shell::new(parts, (self.config)()).unwrap_or_else(|error| panic!("{error}"));
        self.shell = Some(shell);
    }

    /// Takes the power away: what is not in flash is gone.
    pub(crate) fn power_off(&mut self) {
        drop(self.shell.take().expect("the board is on"));
        self.flash = Some(self.chip.clone());
        self.wire.to_board.borrow_mut().clear();
    }

    pub(crate) fn restart(&mut self) {
        self.power_off();
        self.power_on();
    }

    /// One round. Whether there was something to do.
    pub(crate) fn turn(&mut self) -> bool {
        let busy = self.shell.as_mut().expect("the board is on").turn();
        self.lines.extend(self.wire.lines());
        busy
    }

    /// Sends bytes, whole lines or not.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// Sends a line, and gives what comes up to the answer, events left out.
    pub(crate) fn tell(&mut self, line: &str) -> Vec<String> {
        self.send(format!("{line}\n").as_bytes());
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Vec<String> {
        let mut answer = Vec::new();
        for _ in 0..100_000 {
            while let Some(line) = self.lines.pop_front() {
                match Line::parse(&line) {
                    Line::Event(..) => {}
                    Line::Remark(_) => self.remarks.push(line),
                    Line::Ok(_) | Line::Err(..) | Line::Wanted(_) => {
                        answer.push(line);
                        return answer;
                    }
                    _ => answer.push(line),
                }
            }
            self.turn();
        }
        panic!("no answer; before it there was {answer:?}");
    }

    /// Sends a line that is to be carried out.
    pub(crate) fn ok(&mut self, line: &str) -> Vec<String> {
        let answer = self.tell(line);
        assert!(answer.last().is_some_and(|last| last.starts_with("ok")), "{line}: {answer:?}");
        answer
    }

    /// Sends a line that is to be refused, and gives the code and the text.
    pub(crate) fn refused(&mut self, line: &str) -> (String, String) {
        let answer = self.tell(line);
        match answer.last().map(|last| Line::parse(last)) {
            Some(Line::Err(code, message)) => (code.to_owned(), message.into_owned()),
            _ => panic!("{line}: {answer:?}"),
        }
    }

    /// Sends a command that data follows, and the data. Gives the last line.
    pub(crate) fn carry(&mut self, command: &str, bytes: &[u8]) -> String {
        let mut last = self.tell(command).pop().expect("an answer");
        while let Line::Wanted(offset) = Line::parse(&last) {
            let Some(data) = Data::of(bytes, offset) else { panic!("it wants {offset} of {}", bytes.len()) };
            last = self.tell(&data.to_string()).pop().expect("an answer");
        }
        last
    }

    pub(crate) fn install(&mut self, package: &[u8]) -> String {
        let (bytes, checksum) = (package.len() as u32, toehold::Crc32::of(package));
        let schemas =
            Package::open(package, &Trust::Anyone).map_or(0, |package| package.schemas().len() as u32);
        self.carry(&Command::Install { bytes, checksum, schemas }.to_string(), package)
    }

    pub(crate) fn import(&mut self, bundle: &[u8], paused: bool) -> String {
        let (bytes, checksum) = (bundle.len() as u32, toehold::Crc32::of(bundle));
        self.carry(&Command::Import { bytes, checksum, paused }.to_string(), bundle)
    }

    pub(crate) fn export(&mut self, job: &str) -> Vec<u8> {
        let answer = self.ok(&format!("export {job}"));
        answer.iter().fold(Vec::new(), |mut bytes, line| {
            if let Line::Data(data) = Line::parse(line) {
                bytes.extend(data.expect("whole data").bytes);
            }
            bytes
        })
    }

    /// Dispatches a job and gives its id.
    pub(crate) fn dispatch(&mut self, job: &str, state: &str) -> String {
        let answer = self.ok(&format!("run {job} {state}"));
        field(answer.last().expect("an answer"), "id").expect("an id")
    }

    /// A field of a job, as it stands.
    pub(crate) fn status(&mut self, id: &str, key: &str) -> Option<String> {
        let answer = self.ok(&format!("status {id}"));
        field(answer.first()?, key)
    }

    /// The state of a job, if there is such a job.
    pub(crate) fn state(&mut self, id: &str) -> Option<String> {
        let answer = self.tell(&format!("status {id}"));
        field(answer.first()?, "state")
    }

    /// Goes on until a job is in a state. The clock goes on where there is nothing to do.
    pub(crate) fn until(&mut self, id: &str, state: &str) {
        for _ in 0..100_000 {
            if self.status(id, "state").as_deref() == Some(state) {
                return;
            }
            self.rounds(1);
        }
        panic!("job {id} is not {state}: {:?}", self.ok(&format!("status {id}")));
    }

    /// So many rounds; the clock goes on to what is due where there is nothing to do.
    pub(crate) fn rounds(&mut self, rounds: u32) {
        for _ in 0..rounds {
            if !self.turn()
                && let Some(due) = self.shell.as_mut().and_then(Shell::next_due)
            {
                self.clock.now.set(self.clock.now.get().max(due));
            }
        }
    }

    /// The events so far, of this kind.
    pub(crate) fn events(&mut self, kind: &str) -> Vec<String> {
        let mark = format!("* {kind} ");
        self.lines.iter().filter(|line| line.starts_with(&mark)).cloned().collect()
    }
}

/// A field of a line.
pub(crate) fn field(line: &str, key: &str) -> Option<String> {
    match Line::parse(line) {
        Line::Item(_, fields) | Line::Event(_, fields) | Line::Ok(fields) => {
            fields.get(key).map(std::borrow::Cow::into_owned)
        }
        _ => None,
    }
}
