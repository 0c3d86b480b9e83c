//! A job manager that runs no jobs itself: it dispatches, steers and installs for the whole fleet.

use std::sync::Arc;

use toehold::Uuid;
use tokio::sync::mpsc;

use super::{
    FleetConfig, WorkerError, WorkerStatus,
    connect::{Link, patiently},
    extensions,
    jobs::FleetJobs,
    mirror::Mirror,
    store::{Background, closed},
};
use crate::{
    SqliteStore,
    manager::{Manager, ManagerConfig},
};

/// A fleet, seen from outside.
#[derive(Debug)]
pub struct FleetClient {
    manager: Manager,
    link: Link,
    runtime: Background,
}

impl FleetClient {
    /// Connects to a fleet. `manager` has the folder for what this process keeps for itself, and says whose extensions it takes;
    /// it has no workers.
    ///
    /// # Errors
    /// [`WorkerError`] says why not.
    pub fn open(fleet: &FleetConfig, manager: ManagerConfig) -> Result<Self, WorkerError> {
        let runtime = Background::new("toehold-fleet")?;
        let handle = runtime.handle().cloned().ok_or_else(closed)?;
        let link = runtime.block_on(Link::open(fleet)).ok_or_else(closed)??;
        // Nothing is claimed here, so nothing is told.
        let (tell, _) = mpsc::unbounded_channel();
        let data = manager.data.clone();
        let store = SqliteStore::open(&data, manager.store)?;
        let jobs = FleetJobs::new(link.clone(), Uuid::new_v4(), handle, tell).with_mirror(store.clone());
        let config = ManagerConfig { workers: 0, ..manager };
        let manager = Manager::open_on(config, store.clone(), Arc::new(jobs))?;
        let begin = async {
            patiently(async || extensions::sync(&link, &manager, &data).await).await?;
            Mirror::new(link.clone(), store, manager.clone()).catch_up().await
        };
        runtime.block_on(link.begin("following the fleet", begin)).ok_or_else(closed)??;
        Ok(Self { manager, link, runtime })
    }

    /// The manager: what it dispatches, imports, steers and installs is the fleet's.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// The workers that are there. Waits for the servers; not for threads of an async runtime.
    ///
    /// # Errors
    /// [`WorkerError::Fleet`] if the servers do not answer.
    pub fn workers(&self) -> Result<Vec<WorkerStatus>, WorkerError> {
        Ok(self.runtime.block_on(self.link.workers()).ok_or_else(closed)??)
    }
}
