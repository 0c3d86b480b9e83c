//! A job on its way to the board, with the package that the board lacks.

use std::time::Instant;

use sha2::{Digest, Sha256};
use toehold::{Bundle, Interrupt, JobRecord, JobState, Manifest, Package, Saved, Trust, Uuid};

use super::{
    fetch::decode,
    keeper::Keeper,
    kept::{Module, Phase, Trouble},
    refusals::Refused,
};
use crate::{board::BoardError, extensions::trusted};

impl Keeper {
    /// Brings a job to the board, which has nothing of it. It stands still there until it is sure on which module.
    pub(super) fn bring(&mut self, job: Uuid) -> Result<(), Trouble> {
        let Some(saved) = self.jobs.saved(job) else { return Ok(()) };
        let Some(kept) = self.kept.get(&job) else { return Ok(()) };
        let (hash, module, bundle) = (kept.record.module_hash, kept.module, bundle(job, saved, &kept.record));
        // Also where the board has it already: whoever has brought it there may have trusted others.
        let package = self.package(&kept.record)?;
        let refused = |error: BoardError, what| match error.is_refusal() {
            true => Trouble::Refused(what, error.to_string()),
            false => Trouble::Board(error),
        };
        let module = match module {
            Module::Missing => {
                let installed = self.board()?.install(&package, &mut |_| {});
                installed.map_err(|error| refused(error, Refused::Module(hash)))?;
                Module::Installed
            }
            known => known,
        };
        let is_it = match self.board()?.import(&bundle, true, &mut |_| {}) {
            // A board with another version of the extension may take a job over to that.
            Ok(_) => decode(&self.board()?.export(&job.to_string())?)?.module_hash == hash,
            Err(error) if error.is("unknown_extension") || error.is("other_module") => false,
            Err(error) => return Err(refused(error, Refused::Job(job))),
        };
        if !is_it && module == Module::Installed {
            let reason = "it has another module of the extension, though this one was installed";
            return Err(Trouble::Refused(Refused::Module(hash), reason.to_owned()));
        }
        if !is_it {
            // While a job is there, its extension is not replaced.
            self.remove(job);
        }
        if let Some(kept) = self.kept.get_mut(&job) {
            kept.module = if is_it { module } else { Module::Missing };
            kept.phase = if is_it { Phase::There } else { Phase::Coming };
            kept.told = Interrupt::Pause;
            kept.look_at = Instant::now();
        }
        Ok(())
    }

    /// The package that a job needs, if it is one that is taken.
    fn package(&self, record: &JobRecord) -> Result<Vec<u8>, Trouble> {
        let hash = record.module_hash;
        let refused = |reason: String| Trouble::Refused(Refused::Module(hash), reason);
        let module = self.runtime.block_on(self.link.module(hash)).map_err(Trouble::Fleet)?;
        let module = module.ok_or_else(|| refused("the fleet does not have the job's module".to_owned()))?;
        if self.config.trust == Trust::Anyone {
            if let Some(package) = module.package {
                return Ok(package);
            }
            let manifest: Manifest =
                serde_json::from_str(&module.manifest).map_err(|error| refused(error.to_string()))?;
            // Boards check no states.
            return Ok(Package::pack(&manifest, b"", &module.module));
        }
        let package = trusted(module.package.clone(), &self.config.trust)
            .map_err(|error| refused(format!("the job's module is not taken here: {error}")))?;
        let is_it = package.manifest().id() == record.extension()
            && <[u8; 32]>::from(Sha256::digest(package.module())) == hash;
        match module.package.filter(|_| is_it) {
            Some(package) => Ok(package),
            None => Err(refused("the fleet has the package of another module in its place".to_owned())),
        }
    }
}

/// What the board gets of a job: it runs there, as if nobody had ever wanted anything of it, and how it failed before is the
/// fleet's business. A journal that nobody needs soon has more bytes than a board takes.
fn bundle(job: Uuid, saved: Saved, record: &JobRecord) -> Vec<u8> {
    let record = JobRecord {
        state: JobState::Queued,
        wanted: Interrupt::None,
        reason: None,
        retry_at: None,
        last_words: None,
        ..record.clone()
    };
    let saved = Saved { record: record.encode(), ..saved };
    Bundle::new(job, saved, None).without_needless_journal().encode()
}
