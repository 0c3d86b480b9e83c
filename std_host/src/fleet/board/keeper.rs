//! The thread that speaks to the board: whether it is there, which jobs are there, and which must go from there.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, Instant},
};

use toehold::{Interrupt, JobRecord, LogLevel, Uuid, console::Command};
use tokio::{runtime::Handle, sync::watch};

use super::{
    super::{WorkerError, connect::Link, jobs::FleetJobs},
    BoardWorkerConfig,
    kept::{Kept, Phase},
    leftovers::Leftover,
    refusals::Refusals,
};
use crate::{
    board::{Board, BoardError, Happened, Record},
    manager::{EventKind, unix_now},
    store::JobStore,
};

/// What the keeper is told.
#[derive(Debug)]
pub(super) enum Order {
    /// A job is this process's in this epoch, as this record says.
    Take(Uuid, u64, Box<JobRecord>),
    /// Somebody wants something of a job.
    Heed(Uuid, Interrupt),
    /// A job that was this process's in this epoch is so no longer: what the board has of it must go.
    LetGo(Uuid, u64),
    /// A job is to be given back as it stands.
    GiveBack(Uuid),
    /// All jobs were given back: once the board has none of them any more, this is all.
    End,
}

/// How long to wait for what the board tells, before orders are looked at again.
const LISTEN: Duration = Duration::from_millis(50);
/// How often it is looked at how a job stands, and whether a board that was away is there again.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// How long a job that is given back may take to stand still; then it is given back as it was stored last.
const STAND_STILL: Duration = Duration::from_secs(5);
/// How long the board may take to be without all jobs in the end.
const END_TIME: Duration = Duration::from_secs(10);

/// Sees to the jobs on the board.
pub(super) struct Keeper {
    pub(super) config: BoardWorkerConfig,
    /// `None` while it is away.
    pub(super) board: Option<Board>,
    away_since: Instant,
    look_at: Instant,
    /// Nothing is on the board that must not be there, or it is known what.
    pub(super) swept: bool,
    pub(super) kept: HashMap<Uuid, Kept>,
    /// What must go from the board.
    pub(super) leftovers: HashMap<Uuid, Leftover>,
    pub(super) link: Link,
    pub(super) jobs: FleetJobs,
    pub(super) runtime: Handle,
    pub(super) refusals: Arc<Refusals>,
    ready: watch::Sender<bool>,
    end_by: Option<Instant>,
}

/// Opens the link to the board, which has to answer.
pub(super) fn open(config: &BoardWorkerConfig) -> Result<Board, WorkerError> {
    let link = config.port.open(config.baud)?;
    Ok(Board::new(link, &config.port.to_string(), config.answer_time)?)
}

impl Keeper {
    pub(super) fn new(
        config: BoardWorkerConfig,
        board: Board,
        link: Link,
        jobs: FleetJobs,
        runtime: Handle,
        refusals: Arc<Refusals>,
        ready: watch::Sender<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            config,
            board: Some(board),
            away_since: now,
            look_at: now,
            swept: false,
            kept: HashMap::new(),
            leftovers: HashMap::new(),
            link,
            jobs,
            runtime,
            refusals,
            ready,
            end_by: None,
        }
    }

    /// Sees to the jobs until all were given back. Says whether the board is without them then.
    pub(super) fn run(mut self, orders: &Receiver<Order>) -> bool {
        loop {
            self.hear_of_writes();
            match orders.try_recv() {
                Ok(order) => {
                    // What was written of a job is durable before anybody is told to let go of it.
                    self.hear_of_writes();
                    self.obey(order);
                    continue;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return false,
            }
            if let Err(error) = self.turn() {
                log::warn!("{error}; jobs on the board go on by themselves, and it is tried again");
                self.lose_board();
            }
            let is_clean = self.swept && self.leftovers.is_empty();
            let is_done = is_clean || self.board.is_none();
            if self.end_by.is_some_and(|by| is_done || by <= Instant::now()) {
                return is_clean;
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let now = Instant::now();
        match order {
            Order::Take(job, epoch, record) => self.take(job, epoch, *record),
            Order::Heed(job, wanted) => {
                if let Some(kept) = self.kept.get_mut(&job) {
                    kept.wanted = wanted;
                    kept.look_at = now;
                }
            }
            Order::LetGo(job, epoch) if self.kept.get(&job).is_none_or(|kept| kept.epoch == epoch) => {
                self.kept.remove(&job);
                self.remove(job);
            }
            // It was taken again meanwhile.
            Order::LetGo(..) => {}
            Order::GiveBack(job) => {
                let is_away = self.board.is_none();
                match self.kept.get_mut(&job) {
                    Some(kept) if kept.phase == Phase::There && !is_away => {
                        kept.give_back_by = now.checked_add(STAND_STILL);
                        kept.look_at = now;
                    }
                    Some(kept) if kept.phase == Phase::Coming || is_away => self.release(job),
                    _ => {}
                }
            }
            Order::End => {
                // What could not be given back others take after the lease, as the fleet has it.
                let held: Vec<Uuid> = self.kept.drain().map(|(job, _)| job).collect();
                held.into_iter().for_each(|job| self.remove(job));
                self.end_by = now.checked_add(END_TIME);
            }
        }
    }

    /// Does what there is to do, and waits a moment.
    fn turn(&mut self) -> Result<(), BoardError> {
        if self.board.is_none() {
            self.wait_for_board();
            return Ok(());
        }
        self.listen()?;
        self.clear()?;
        if !self.swept && self.look_at <= Instant::now() {
            self.look_at = after(LOOK);
            self.sweep()?;
        }
        let is_ready = self.swept;
        self.ready.send_if_modified(|ready| std::mem::replace(ready, is_ready) != is_ready);
        self.see_to_jobs()
    }

    /// The link is lost. The board's jobs go on.
    fn lose_board(&mut self) {
        self.board = None;
        self.away_since = Instant::now();
        self.look_at = self.away_since;
        self.swept = false;
        self.ready.send_replace(false);
    }

    /// Looks whether the board is there again. For longer than the lease, its jobs are kept from others for nothing.
    fn wait_for_board(&mut self) {
        if self.look_at <= Instant::now() {
            self.look_at = after(LOOK);
            match open(&self.config) {
                Ok(board) => {
                    log::warn!("{}: the board is there again", self.config.port);
                    self.board = Some(board);
                    self.look_at_all();
                    return;
                }
                Err(error) => log::debug!("{error}"),
            }
        }
        if self.away_since.elapsed() >= self.link.lease {
            let now = Instant::now();
            // One that could not be given back is given back again.
            let is_held = |kept: &Kept| kept.phase != Phase::Gone || kept.look_at <= now;
            let held = self.kept.iter().filter(|(_, kept)| is_held(kept));
            let held: Vec<Uuid> = held.map(|(job, _)| *job).collect();
            for job in held {
                log::warn!("job {job} is given back: the board is away for too long");
                self.release(job);
            }
        }
        std::thread::sleep(LISTEN);
    }

    fn look_at_all(&mut self) {
        let now = Instant::now();
        self.kept.values_mut().filter(|kept| kept.phase == Phase::There).for_each(|kept| kept.look_at = now);
    }

    /// Hears what the board tells, for a moment.
    fn listen(&mut self) -> Result<(), BoardError> {
        let until = after(LISTEN);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Some(happened) = self.board()?.happened(left)? else { return Ok(()) };
            match happened {
                Happened::Event(event) => self.note(&event),
                Happened::Reset(firmware) => {
                    log::warn!("{}: the board was reset ({firmware:?}); its jobs go on", self.config.port);
                    self.board()?.ask(&Command::Events(true))?;
                    self.look_at_all();
                }
                Happened::Remark(text) => log::info!("{}: {text:?}", self.config.port),
            }
        }
    }

    /// Tells the fleet what the board tells of a job that is here.
    fn note(&mut self, event: &Record) {
        let Some(job) = event.get("id").and_then(|id| Uuid::parse_str(id).ok()) else { return };
        let Some(kept) = self.kept.get_mut(&job).filter(|kept| kept.phase == Phase::There) else { return };
        let reason = || event.get("reason").unwrap_or_default().to_owned();
        let attempt = u32::try_from(event.number("attempt").unwrap_or(1)).unwrap_or(u32::MAX);
        match event.kind() {
            "log" => {
                let level = match event.get("level") {
                    Some("debug") => LogLevel::Debug,
                    Some("info") => LogLevel::Info,
                    Some("error") => LogLevel::Error,
                    _ => LogLevel::Warn,
                };
                let text = match event.get("dropped") {
                    Some(count) => format!("{count} lines came faster than they could be kept"),
                    None => event.get("text").unwrap_or_default().to_owned(),
                };
                self.jobs.note_line(job, unix_now(), level, &text);
            }
            "running" => self.tell(job, &EventKind::Running { attempt }),
            "retry" => {
                kept.look_at = Instant::now();
                self.tell(job, &EventKind::Retry { attempt, retry_at: unix_now(), error: reason() });
            }
            "paused" | "completed" | "failed" | "cancelled" => kept.look_at = Instant::now(),
            _ => {}
        }
    }

    /// Tells those who look at a job in the fleet what happened to it.
    pub(super) fn tell(&self, job: Uuid, kind: &EventKind) {
        let data = serde_json::to_string(kind).unwrap_or_default();
        self.jobs.note_event(job, unix_now(), kind.name(), &data);
    }

    pub(super) fn board(&mut self) -> Result<&mut Board, BoardError> {
        let port = &self.config.port;
        self.board.as_mut().ok_or_else(|| BoardError::Closed { port: port.to_string() })
    }

    /// How a job stands on the board, if it is there.
    pub(super) fn status(&mut self, name: &str) -> Result<Option<Record>, BoardError> {
        match self.board()?.ask(&Command::Status(name)) {
            Ok(answer) => Ok(answer.items.into_iter().find(|item| item.kind() == "job")),
            Err(error) if error.is("unknown_job") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Steers a job. What the board can't do by now it says, and it is asked again.
    pub(super) fn steer(&mut self, command: &Command<'_>) -> Result<(), BoardError> {
        match self.board()?.steer(command) {
            Err(error) if error.is_refusal() => {
                log::debug!("{error}");
                Ok(())
            }
            steered => steered,
        }
    }
}

pub(super) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}
