use alloc::{borrow::ToOwned, format, string::String};
use core::fmt;

use toehold_abi::{EXECUTE_PREFIX, MIGRATE_PREFIX};

use crate::{Checkpoint, Extension, Fault, StartError, lifecycle, module::is_migration};

/// Why a job can't go on from a checkpoint on another module of its extension. It can on the module that it has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The other module does not have the job, or does not take the state.
    Start(StartError),
    /// The checkpoint is of another extension.
    OtherExtension {
        /// The extension of the checkpoint.
        checkpoint: String,
        /// This one.
        extension: String,
    },
    /// A manifest does not say which version its states have, so nobody knows whether they fit.
    NoVersion,
    /// The job of the new module has no migration.
    NoMigration {
        /// The version of the checkpoint's state.
        from: u32,
        /// The version that the new module wants.
        to: u32,
    },
    /// The migration said that it can't.
    Refused {
        /// The version of the checkpoint's state.
        from: u32,
        /// The version that the new module wants.
        to: u32,
    },
    /// The migration broke off.
    Fault(Fault),
}

impl Extension {
    /// A checkpoint of another module of this extension, as one that this module goes on from: as it is where
    /// `state_version` is the same in both manifests, else as the job's migration makes it.
    ///
    /// A `state_version` of 0 is none.
    ///
    /// # Errors
    /// [`UpgradeError`] says why not; the checkpoint is as good as before.
    pub fn upgrade(&self, checkpoint: &Checkpoint) -> Result<Checkpoint, UpgradeError> {
        if checkpoint.extension != self.id() {
            return Err(UpgradeError::OtherExtension {
                checkpoint: checkpoint.extension.clone(),
                extension: self.id().to_owned(),
            });
        }
        if checkpoint.module_hash == self.module().hash {
            return Ok(checkpoint.clone());
        }
        let job = self.find_job(&checkpoint.job).map_err(UpgradeError::Start)?;
        if !job.resumable && checkpoint.sequence > 0 {
            return Err(UpgradeError::Start(StartError::NotResumable(checkpoint.job.clone())));
        }
        let (from, to) = (checkpoint.state_version, self.manifest().state_version());
        if from == 0 || to == 0 {
            return Err(UpgradeError::NoVersion);
        }
        let state = if from == to || checkpoint.state.is_empty() {
            checkpoint.state.clone()
        } else {
            let name = job.export.strip_prefix(EXECUTE_PREFIX).unwrap_or(&job.export);
            let export = format!("{MIGRATE_PREFIX}{name}");
            let (module, linker) = self.compiled();
            if !module.get_export(&export).is_some_and(|ty| is_migration(&ty)) {
                return Err(UpgradeError::NoMigration { from, to });
            }
            lifecycle::migrate(self.shared(), module, linker, &export, from, &checkpoint.state)
                .map_err(UpgradeError::Fault)?
                .ok_or(UpgradeError::Refused { from, to })?
        };
        self.check_state(&state).map_err(UpgradeError::Start)?;
        Ok(Checkpoint {
            extension_version: self.manifest().version().to_owned(),
            state_version: to,
            module_hash: self.module().hash,
            // What has not run yet has still not run.
            sequence: if checkpoint.sequence == 0 { 0 } else { checkpoint.sequence.saturating_add(1) },
            state,
            ..checkpoint.clone()
        })
    }
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "{error}"),
            Self::OtherExtension { checkpoint, extension } => {
                write!(f, "the checkpoint is of extension {checkpoint}, not of {extension}")
            }
            Self::NoVersion => {
                f.write_str("both manifests need a `state_version` above 0 to say whether states fit")
            }
            Self::NoMigration { from, to } => {
                write!(f, "the state has version {from}, the module wants {to}, and has no migration")
            }
            Self::Refused { from, to } => {
                write!(f, "the module's migration can't make version {to} of a state of version {from}")
            }
            Self::Fault(fault) => write!(f, "the migration broke off: {fault}"),
        }
    }
}

impl core::error::Error for UpgradeError {}
