//! Worker processes, and what dispatches to them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use std_host::{
    fleet::{FleetClient, FleetConfig},
    manager::{Dispatch, ManagerConfig},
};
use tempfile::TempDir;
use toehold::{JobState, Uuid};
use tokio::runtime::Runtime;

/// A process that runs jobs. It is killed with this, without any warning.
pub(crate) struct Worker {
    child: Child,
    /// For what it would leave behind where it is killed.
    _folder: TempDir,
}

impl Worker {
    /// One that is ready.
    pub(crate) fn start(url: &str, config: &FleetConfig, slots: usize, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        command.args(["worker", "--json", "--workers", "1", "--nats", url, "--fleet", &config.name]);
        command.args(["--slots", &slots.to_string()]).args(more);
        if !more.contains(&"--trust") {
            command.arg("--allow-unsigned");
        }
        let folder = tempfile::tempdir().unwrap();
        command.env("TMPDIR", folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("\"ready\""), "the worker is not ready: {ready:?}");
        Self { child, _folder: folder }
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill {name}");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who dispatches to a fleet.
pub(crate) struct Desk {
    pub(crate) client: FleetClient,
    pub(crate) runtime: Runtime,
    _data: TempDir,
}

impl Desk {
    pub(crate) fn open(config: &FleetConfig) -> Self {
        let data = tempfile::tempdir().unwrap();
        let manager = ManagerConfig::new(data.path());
        let client = crate::servers::patiently(|| FleetClient::open(config, manager.clone()));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { client, runtime, _data: data }
    }

    /// With the test extension in the fleet.
    pub(crate) fn with_extension(config: &FleetConfig) -> Self {
        let desk = Self::open(config);
        desk.client.manager().add_extension(&extension()).unwrap();
        desk
    }

    pub(crate) fn dispatch(&self, job: &str, state: &serde_json::Value) -> Uuid {
        let dispatch = Dispatch { state: state.to_string().into_bytes(), ..Dispatch::default() };
        let name = format!("test-extension:{job}");
        self.runtime.block_on(self.client.manager().dispatch(&name, dispatch)).unwrap().id()
    }

    /// How a job stands, as far as has come here.
    pub(crate) fn state(&self, job: Uuid) -> JobState {
        self.client.manager().job(job).unwrap().status().state
    }

    /// Waits until a job is in one of these states.
    #[track_caller]
    pub(crate) fn wait(&self, job: Uuid, states: &[JobState]) -> JobState {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let state = self.state(job);
            if states.contains(&state) {
                return state;
            }
            assert!(Instant::now() < until, "job {job} is {state}, not one of {states:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many items a job has processed, as far as has come here.
    pub(crate) fn items(&self, job: Uuid) -> u64 {
        self.client.manager().job(job).unwrap().status().report.items
    }
}

pub(crate) fn extension() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension")
}

/// Dispatches many jobs at once.
pub(crate) fn dispatch_all(desk: &Desk, count: usize, job: &str, state: &serde_json::Value) -> Vec<Uuid> {
    let manager = Arc::new(desk.client.manager().clone());
    let name = format!("test-extension:{job}");
    desk.runtime.block_on(async {
        let jobs: Vec<_> = (0..count)
            .map(|_| {
                let (manager, name, state) = (manager.clone(), name.clone(), state.to_string().into_bytes());
                tokio::spawn(async move {
                    let dispatch = Dispatch { state, ..Dispatch::default() };
                    manager.dispatch(&name, dispatch).await.unwrap().id()
                })
            })
            .collect();
        let mut ids = Vec::new();
        for job in jobs {
            ids.push(job.await.unwrap());
        }
        ids
    })
}
