//! Keys and values that extensions keep, each extension its own.

use rusqlite::OptionalExtension;

use super::{
    Effect, KvError, SqliteStore, StoreError, StoreReader,
    places::Writing,
    row::{integer, natural},
    task::Applied,
};

/// What an extension may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvQuota {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// How many keys.
    pub keys: u64,
}

/// A value, and how often its key was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvValue {
    /// 1 for the first put of the key, one more for each after it. Of a key that is deleted nothing stays, so that it
    /// starts at 1 again.
    pub version: u64,
    /// What was put.
    pub value: Vec<u8>,
}

/// A key that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvEntry {
    /// The key.
    pub key: String,
    /// As [`KvValue::version`].
    pub version: u64,
    /// Bytes of the value.
    pub bytes: u64,
}

impl Default for KvQuota {
    fn default() -> Self {
        Self { bytes: 16 << 20, keys: 10_000 }
    }
}

/// What there was of a key.
struct Known {
    id: i64,
    version: i64,
    value_bytes: i64,
}

impl SqliteStore {
    /// Puts a value, and gives the key's new [version](KvValue::version).
    ///
    /// With an `effect` it happens once: where the call came before, nothing is changed and `done` gets the version of
    /// then. Without one, whoever asks is no job.
    pub fn kv_put(
        &self,
        extension: &str,
        key: &str,
        value: Vec<u8>,
        effect: Option<Effect>,
        quota: KvQuota,
        done: impl FnOnce(Result<u64, KvError>) + Send + 'static,
    ) {
        let (extension, key) = (extension.to_owned(), key.to_owned());
        self.ask(value.len().saturating_add(key.len()), done, move |writing| {
            let effected = writing.once(effect, |writing| {
                let version = writing.put(&extension, &key, &value, quota)?;
                Ok(version.map(|version| version.to_string().into_bytes()))
            })?;
            Ok(effected.map(|effected| version_of(&effected.reply)))
        });
    }

    /// Deletes a key, and says whether it was there. With an `effect` as [`SqliteStore::kv_put`].
    pub fn kv_delete(
        &self,
        extension: &str,
        key: &str,
        effect: Option<Effect>,
        done: impl FnOnce(Result<bool, KvError>) + Send + 'static,
    ) {
        let (extension, key) = (extension.to_owned(), key.to_owned());
        self.ask(key.len(), done, move |writing| {
            let effected = writing.once(effect, |writing| {
                let found = writing.delete(&extension, &key)?;
                Ok(Ok(if found { YES.to_vec() } else { NO.to_vec() }))
            })?;
            Ok(effected.map(|effected| effected.reply == YES))
        });
    }
}

/// Text is compared by its bytes.
const KEYS_FROM: &str =
    "SELECT key, version, octet_length(value) FROM kv WHERE extension = ?1 AND key >= ?2 ORDER BY key";
const KEYS_BEHIND: &str =
    "SELECT key, version, octet_length(value) FROM kv WHERE extension = ?1 AND key > ?2 ORDER BY key";

/// Replies are kept as JSON.
const YES: &[u8] = b"true";
const NO: &[u8] = b"false";

fn version_of(reply: &[u8]) -> u64 {
    std::str::from_utf8(reply).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl StoreReader {
    /// A key's value, if there is one.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn kv_get(&self, extension: &str, key: &str) -> Result<Option<KvValue>, StoreError> {
        self.read(|transaction| {
            transaction
                .prepare_cached("SELECT version, value FROM kv WHERE extension = ?1 AND key = ?2")?
                .query_row((extension, key), |row| {
                    Ok(KvValue { version: natural(row.get(0)?), value: row.get(1)? })
                })
                .optional()
        })
    }

    /// An extension's keys that start with `prefix` and come behind `after`, in the order of their bytes, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn kv_list(
        &self,
        extension: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KvEntry>, StoreError> {
        let (sql, from) = match after.filter(|after| *after >= prefix) {
            Some(after) => (KEYS_BEHIND, after),
            None => (KEYS_FROM, prefix),
        };
        self.read(|transaction| {
            let mut select = transaction.prepare_cached(sql)?;
            let mut rows = select.query((extension, from))?;
            let mut entries = Vec::new();
            while entries.len() < limit {
                let Some(row) = rows.next()? else { break };
                let key: String = row.get(0)?;
                // Those with the prefix come in one piece.
                if !key.starts_with(prefix) {
                    break;
                }
                entries.push(KvEntry { key, version: natural(row.get(1)?), bytes: natural(row.get(2)?) });
            }
            Ok(entries)
        })
    }

    /// What an extension keeps now.
    ///
    /// # Errors
    /// [`StoreError`], if the database can't be read.
    pub fn kv_usage(&self, extension: &str) -> Result<KvQuota, StoreError> {
        self.read(|transaction| {
            let (keys, bytes) = usage(transaction, extension)?;
            Ok(KvQuota { bytes: natural(bytes), keys: natural(keys) })
        })
    }
}

impl Writing<'_> {
    fn put(&mut self, extension: &str, key: &str, value: &[u8], quota: KvQuota) -> Applied<i64, KvError> {
        let known = self.known(extension, key)?;
        let (keys, bytes) = usage(self.connection, extension)?;
        let (key_bytes, value_bytes) = (integer(key.len() as u64), integer(value.len() as u64));
        let (new_keys, new_bytes) = match &known {
            Some(known) => (keys, bytes.saturating_sub(known.value_bytes).saturating_add(value_bytes)),
            None => (keys.saturating_add(1), bytes.saturating_add(key_bytes).saturating_add(value_bytes)),
        };
        let over = |new: i64, old: i64, most: u64| new > integer(most) && new > old;
        // Where a quota was lowered, what does not grow is still taken.
        if over(new_keys, keys, quota.keys) || over(new_bytes, bytes, quota.bytes) {
            return Ok(Err(KvError::Quota {
                extension: extension.to_owned(),
                key: key.to_owned(),
                keys: natural(new_keys),
                max_keys: quota.keys,
                bytes: natural(new_bytes),
                max_bytes: quota.bytes,
            }));
        }
        let version = known.as_ref().map_or(1, |known| known.version.saturating_add(1));
        match known {
            Some(known) => self.execute(
                "UPDATE kv SET version = ?2, value = ?3 WHERE id = ?1",
                (known.id, version, value),
            )?,
            None => self.execute(
                "INSERT INTO kv (extension, key, version, value) VALUES (?1, ?2, ?3, ?4)",
                (extension, key, version, value),
            )?,
        };
        self.set_usage(extension, new_keys, new_bytes)?;
        Ok(Ok(version))
    }

    fn delete(&mut self, extension: &str, key: &str) -> rusqlite::Result<bool> {
        let Some(known) = self.known(extension, key)? else { return Ok(false) };
        let (keys, bytes) = usage(self.connection, extension)?;
        self.execute("DELETE FROM kv WHERE id = ?1", [known.id])?;
        let gone = known.value_bytes.saturating_add(integer(key.len() as u64));
        self.set_usage(extension, keys.saturating_sub(1), bytes.saturating_sub(gone))?;
        Ok(true)
    }

    fn known(&self, extension: &str, key: &str) -> rusqlite::Result<Option<Known>> {
        self.connection
            .prepare_cached(
                "SELECT id, version, octet_length(value) FROM kv WHERE extension = ?1 AND key = ?2",
            )?
            .query_row((extension, key), |row| {
                Ok(Known { id: row.get(0)?, version: row.get(1)?, value_bytes: row.get(2)? })
            })
            .optional()
    }

    fn set_usage(&self, extension: &str, keys: i64, bytes: i64) -> rusqlite::Result<()> {
        self.execute(
            "INSERT INTO kv_usage VALUES (?1, ?2, ?3)
                ON CONFLICT (extension) DO UPDATE SET keys = excluded.keys, bytes = excluded.bytes",
            (extension, keys, bytes),
        )?;
        Ok(())
    }
}

/// Keys of an extension, and bytes of them with their values.
fn usage(connection: &rusqlite::Connection, extension: &str) -> rusqlite::Result<(i64, i64)> {
    let found = connection
        .prepare_cached("SELECT keys, bytes FROM kv_usage WHERE extension = ?1")?
        .query_row([extension], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.unwrap_or_default())
}
