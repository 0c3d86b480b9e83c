use alloc::{
    boxed::Box,
    collections::BTreeMap,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::fmt;

use toehold::{
    Extension, Interrupt, JobContext, JobRecord, JobState, Millis, Registry, Scheduler, Stopped, Store,
    Trust, Turn, UnixMillis, Uuid,
};

use crate::{
    Board, Clock, Config, Doing, Entropy, Parts, Witness, entry::Entry, life::Reset, platform::Desk,
    port::Port, show, transfer::Transfer,
};

// What the shell does for a line, a job or a commit is `#[inline(never)]` all over this crate. A build for size that sees the
// whole program puts a function that is called once into the one that calls it, and then the stack has room for all of
// them at once, whichever runs: 22 KiB were not enough for `ls`.

/// A board that runs jobs: what its console is told to do, one slice after the other.
#[expect(missing_debug_implementations, reason = "parts of boards seldom have one")]
pub struct Shell<B: Board> {
    pub(crate) config: Config,
    pub(crate) store: B::Store,
    pub(crate) port: Port<B::Console>,
    pub(crate) clock: B::Clock,
    pub(crate) entropy: B::Entropy,
    pub(crate) memory: B::Memory,
    pub(crate) witness: B::Witness,
    pub(crate) registry: Registry,
    pub(crate) scheduler: Scheduler,
    /// All jobs that have not ended. Boxed, since the map makes room for eleven as soon as there is one.
    pub(crate) entries: BTreeMap<Uuid, Box<Entry>>,
    /// The extensions of the jobs that are in memory.
    pub(crate) extensions: BTreeMap<String, Extension>,
    /// Data that is on its way to the board.
    pub(crate) transfer: Option<Transfer>,
    /// Whether to tell what happens.
    pub(crate) events: bool,
    /// A job may be waiting that can run now.
    pub(crate) look: bool,
    /// When something that the store could not take is offered again.
    pub(crate) offer_at: Option<Millis>,
    /// The newest time in any record: a board that does not know the date counts on from there.
    pub(crate) stamp: UnixMillis,
    pub(crate) started: Millis,
}

/// Why a shell did not come up.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// The store can't be read.
    Store(E),
    /// [`Config::compile`] is there, which loads modules without validation, but packages are taken from anyone.
    Unvalidated,
}

/// How often progress is told, in milliseconds.
const TOLD_EVERY: Millis = 100;

impl<B: Board> Shell<B> {
    /// A shell over a board's parts. Jobs that were running go on once it is [run](Shell::run).
    ///
    /// # Errors
    /// [`OpenError`] says why not.
    #[inline(never)]
    pub fn new(parts: Parts<B>, config: Config) -> Result<Self, OpenError<<B::Store as Store>::Error>> {
        if config.compile.is_some() && config.trust == Trust::Anyone {
            return Err(OpenError::Unvalidated);
        }
        let Parts { store, console, mut clock, entropy, memory, witness } = parts;
        let started = clock.now();
        let mut shell = Self {
            config,
            store,
            port: Port::new(console),
            clock,
            entropy,
            memory,
            witness,
            registry: Registry::default(),
            scheduler: Scheduler::new(),
            entries: BTreeMap::new(),
            extensions: BTreeMap::new(),
            transfer: None,
            events: true,
            look: true,
            offer_at: None,
            stamp: 0,
            started,
        };
        let banner = format!("# {} ready", shell.config.firmware);
        shell.port.write_line(&banner);
        let reset = shell.take_reset();
        shell.read_jobs(reset).map_err(OpenError::Store)?;
        Ok(shell)
    }

    /// What a job that is in memory shares with those who look at it or steer it; `None` for any other.
    #[must_use]
    pub fn context(&self, job: Uuid) -> Option<Arc<JobContext>> {
        self.registry.get(job)
    }

    /// Gives the parts back. Jobs that were running go on when another shell is made over the same store.
    pub fn into_parts(self) -> Parts<B> {
        let Self { store, port, clock, entropy, memory, witness, .. } = self;
        Parts { store, console: port.into_inner(), clock, entropy, memory, witness }
    }

    /// Runs jobs and answers the console, for ever.
    pub fn run(&mut self) -> ! {
        loop {
            if self.turn() {
                continue;
            }
            let until = self.next_due();
            self.clock.wait(until);
        }
    }

    /// One round: what the console says, then one slice of one job. False if there is nothing to do until
    /// [`Shell::next_due`], or until the console has more.
    pub fn turn(&mut self) -> bool {
        let mut busy = false;
        if let Some(received) = self.port.read_line() {
            self.receive(&received);
            busy = true;
        }
        self.tend_transfer();
        self.heed_attention();
        let now = self.clock.now();
        if self.offer_at.is_some_and(|at| at <= now) {
            self.offer_again();
        }
        self.look |= self.entries.values().filter_map(|entry| entry.next_attempt()).any(|due| due <= now);
        if core::mem::take(&mut self.look) {
            self.admit();
        }
        self.scheduler.wake_due(now);
        self.run_one() || busy || self.port.is_ready()
    }

    /// When the board has something to do by itself, at the latest; `None` if nothing before the console says something.
    pub fn next_due(&mut self) -> Option<Millis> {
        let retries = self.entries.values().filter_map(|entry| entry.next_attempt());
        let transfer = self.transfer.as_ref().map(|transfer| transfer.ask_at);
        [self.scheduler.next_due(), self.offer_at, transfer].into_iter().flatten().chain(retries).min()
    }

    /// Gives a job its turn, if one is ready.
    #[inline(never)]
    fn run_one(&mut self) -> bool {
        let Some(id) = self.scheduler.next_ready() else { return false };
        if !self.has_reserve() && !self.drop_held(id) {
            // What the console brought has taken it, and may be gone soon.
            self.put_back(id);
            return true;
        }
        self.witness.note(Doing::Job(id));
        if let Some(attention) = self.config.attention {
            attention.runs(self.registry.get(id));
        }
        let slice = self.config.slice;
        let Self { scheduler, store, clock, entropy, entries, config, memory, .. } = self;
        let reserve = config.reserve_bytes;
        let operations = &mut config.operations;
        let mut desk = Desk::<B> { store, clock, entropy, operations, entries, memory, reserve };
        let turn = scheduler.turn(&mut desk, slice);
        if let Some(attention) = self.config.attention {
            attention.runs(None);
        }
        self.witness.note(Doing::Idle);
        if !matches!(turn, Turn::Stopped(_, Stopped::Held(_)))
            && let Some(entry) = self.entries.get_mut(&id)
        {
            entry.goes_on();
        }
        match turn {
            Turn::Ran(id) | Turn::Waits(id) if !self.has_reserve() => self.took_reserve(id),
            Turn::Ran(id) | Turn::Waits(id) => self.tell_more(id, false),
            Turn::Stopped(job, stopped) => self.stopped(job, stopped),
            _ => return false,
        }
        true
    }

    /// Notes all jobs that are stored. Those that were running wait for their turn.
    #[inline(never)]
    fn read_jobs(&mut self, reset: Option<Reset>) -> Result<(), <B::Store as Store>::Error> {
        let mut jobs: Vec<Uuid> = self.store.jobs()?;
        jobs.sort_unstable();
        for id in jobs {
            // What of one job can't be read is kept for a firmware that can, and keeps no other from running.
            let saved = match self.store.load(id) {
                Ok(Some(saved)) => saved,
                Ok(None) => continue,
                Err(error) => {
                    self.remark(&format!("job {id} can't be read, and is kept as it is: {error}"));
                    continue;
                }
            };
            match JobRecord::decode(&saved.record) {
                Ok(record) if Self::is_half_imported(&record) => {
                    if let Err(error) = self.store.remove(id) {
                        self.remark(&format!("job {id} was never whole, and can't be removed: {error}"));
                    }
                }
                Ok(record) => self.enter(id, record),
                Err(error) => self.remark(&format!("job {id} can't be read, and is kept as it is: {error}")),
            }
        }
        if let Some(reset) = reset {
            self.blame(&reset);
        }
        Ok(())
    }

    /// Notes a job that is stored.
    #[inline(never)]
    pub(crate) fn enter(&mut self, id: Uuid, mut record: JobRecord) {
        let times = [Some(record.created_at), record.started_at, record.ended_at];
        self.stamp = times.into_iter().flatten().fold(self.stamp, UnixMillis::max);
        if record.state.is_final() {
            return;
        }
        let wanted = record.wanted;
        // Where it is paused and nobody wants that, it was held up by the store.
        record.state = if wanted == Interrupt::Pause { JobState::Paused } else { JobState::Queued };
        let retry_due = record.retry_at.map(|_| self.clock.now().saturating_add(self.config.backoff_ms));
        self.entries.insert(id, Box::new(Entry { retry_due, ..Entry::new(id, record) }));
        if wanted == Interrupt::Cancel {
            // There may never be room for it again, or its extension.
            self.cancelled(id);
        }
        self.look = true;
    }

    /// The time for a record: the date where the board knows it, else one more than the newest that any record has.
    pub(crate) fn date(&mut self) -> UnixMillis {
        let date = self.clock.unix().unwrap_or(0);
        self.stamp = self.stamp.saturating_add(1).max(date);
        self.stamp
    }

    /// A new id (UUID version 4).
    pub(crate) fn new_id(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Tells what a job has logged and how far it has come; not all of that, unless it `must`.
    #[inline(never)]
    pub(crate) fn tell_more(&mut self, id: Uuid, must: bool) {
        let now = self.clock.now();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(context) = entry.context.clone() else { return };
        let (lines, dropped) = context.take_log();
        let due = must || entry.told_at.is_none_or(|at| at.saturating_add(TOLD_EVERY) <= now);
        let progress = if due {
            entry.told_at = Some(now);
            let report = context.report();
            let further = (&report.progress, report.items, report.bytes)
                != (&entry.record.report.progress, entry.record.report.items, entry.record.report.bytes);
            entry.record.report = report;
            entry.record.fuel_used = context.fuel_used();
            further.then(|| show::progress(id, &entry.record.report))
        } else {
            None
        };
        for line in lines {
            self.event("log", id, |event| {
                event.field("level", show::level(line.level)).field("text", &line.text)
            });
        }
        if dropped > 0 {
            self.event("log", id, |event| event.field("dropped", dropped));
        }
        if let Some(line) = progress.filter(|_| self.events) {
            self.port.write_line(&line);
        }
    }

    /// Tells that something happened to a job.
    pub(crate) fn event(
        &mut self,
        kind: &str,
        id: Uuid,
        fields: impl FnOnce(toehold::console::LineWriter) -> toehold::console::LineWriter,
    ) {
        if !self.events {
            return;
        }
        let line = toehold::console::LineWriter::new(&format!("* {kind}")).field("id", id);
        self.port.write_line(&fields(line).finish());
    }

    /// Tells people something.
    pub(crate) fn remark(&mut self, text: &str) {
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        self.port.write_line(&format!("# {text}"));
    }

    /// What a full or broken store says.
    pub(crate) fn store_error(error: &<B::Store as Store>::Error) -> String {
        error.to_string()
    }
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the store can't be read: {error}"),
            Self::Unvalidated => f.write_str(
                "modules are not validated here, so only signed packages may be taken: set `trust` to the keys",
            ),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for OpenError<E> {}
