//! Modules that jobs were dispatched on, so that a job goes on on the very same after an extension has changed.

use std::collections::HashSet;

use rusqlite::OptionalExtension;
use toehold::UnixMillis;

use super::{
    SqliteStore, StoreError, StoreReader,
    row::{integer, natural},
};

/// A module, with what it was installed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredModule {
    /// SHA-256 of the module.
    pub hash: [u8; 32],
    /// Its manifest, as JSON.
    pub manifest: String,
    /// The module itself.
    pub module: Vec<u8>,
    /// Its configuration, as JSON.
    pub config: String,
    /// When it was added.
    pub added_at: UnixMillis,
    /// The package that it came in, if somebody has signed that.
    pub package: Option<Vec<u8>>,
    /// Whether it was never installed here, but came in a job's bundle: whoever made that wrote its manifest.
    pub brought: bool,
}

impl SqliteStore {
    /// Adds a module, and says whether it was new. One that is there already stays as it is, with the manifest and the
    /// configuration that came with it first; but one that is installed takes the place of one that was brought, and a package
    /// that of an older one.
    pub fn put_module(
        &self,
        module: StoredModule,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) {
        let StoredModule { hash, manifest, module, config, added_at, package, brought } = module;
        let lengths = [module.len(), manifest.len(), config.len(), package.as_ref().map_or(0, Vec::len)];
        let bytes = lengths.into_iter().fold(0, usize::saturating_add);
        self.ask(bytes, done, move |writing| {
            let added = writing.execute(
                "INSERT INTO modules (hash, manifest, module, config, added_at, brought) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (hash) DO UPDATE SET manifest = excluded.manifest, config = excluded.config, brought = 0 \
                 WHERE modules.brought AND NOT excluded.brought",
                (hash.as_slice(), &manifest, &module, &config, integer(added_at), brought),
            )?;
            if let Some(package) = &package {
                writing.execute(
                    "INSERT INTO packages VALUES (?1, ?2) ON CONFLICT (hash) DO UPDATE SET package = excluded.package",
                    (hash.as_slice(), package),
                )?;
            }
            Ok(Ok(added > 0))
        });
    }

    /// Removes the modules that no job in the store and none of `keep`, the extensions that are installed, refers to.
    /// Gives how many they were.
    pub fn prune_modules(
        &self,
        keep: &[[u8; 32]],
        done: impl FnOnce(Result<u64, StoreError>) + Send + 'static,
    ) {
        let keep: HashSet<Vec<u8>> = keep.iter().map(|hash| hash.to_vec()).collect();
        self.ask(0, done, move |writing| {
            let unused: Vec<Vec<u8>> = writing
                .connection
                .prepare_cached("SELECT hash FROM modules WHERE hash NOT IN (SELECT module FROM jobs)")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut removed = 0_u64;
            for hash in unused.iter().filter(|hash| !keep.contains(*hash)) {
                writing.execute("DELETE FROM modules WHERE hash = ?1", [hash])?;
                writing.execute("DELETE FROM packages WHERE hash = ?1", [hash])?;
                removed = removed.saturating_add(1);
            }
            Ok(Ok(removed))
        });
    }
}

impl StoreReader {
    /// A module by its hash, if it is there.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn module(&self, hash: &[u8; 32]) -> Result<Option<StoredModule>, StoreError> {
        self.read(|transaction| {
            transaction
                .prepare_cached(
                    "SELECT manifest, module, config, added_at, package, brought \
                     FROM modules LEFT JOIN packages USING (hash) WHERE hash = ?1",
                )?
                .query_row([hash.as_slice()], |row| {
                    Ok(StoredModule {
                        hash: *hash,
                        manifest: row.get(0)?,
                        module: row.get(1)?,
                        config: row.get(2)?,
                        added_at: natural(row.get(3)?),
                        package: row.get(4)?,
                        brought: row.get(5)?,
                    })
                })
                .optional()
        })
    }
}
