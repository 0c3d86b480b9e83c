//! Effects that happen exactly once, however often their call comes.

use rusqlite::OptionalExtension;
use toehold::{CallKey, Change, Uuid};

use super::{
    EffectError, KeyReused, SqliteStore, StoreError, StoreReader,
    places::Writing,
    query,
    row::{ChangeRow, integer},
    task::Applied,
};

/// A call that changes something, to be known again. What it has changed and its reply become durable together; they are
/// remembered until a new run of its job starts behind it, or the job is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The call's key. Its job is in the store.
    pub key: CallKey,
    /// SHA-256 of what was asked: method, library and payload.
    pub request: [u8; 32],
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effected {
    /// The reply that it got when it happened.
    pub reply: Vec<u8>,
    /// Whether it had happened before, so that nothing was changed now.
    pub repeated: bool,
}

impl SqliteStore {
    /// Makes changes of jobs, such as a new one, exactly once: all of them and the note that `effect` has happened, with
    /// its reply, in one transaction. Where it has happened before, nothing is changed and `done` gets the reply of then.
    pub fn change_once(
        &self,
        effect: Effect,
        changes: &[(Uuid, Change)],
        reply: Vec<u8>,
        done: impl FnOnce(Result<Effected, EffectError>) + Send + 'static,
    ) {
        let rows: Vec<_> = changes.iter().map(|(job, change)| ChangeRow::new(*job, change)).collect();
        let bytes = rows.iter().map(ChangeRow::bytes).sum::<usize>().saturating_add(reply.len());
        self.ask(bytes, done, move |writing| {
            writing.once(Some(effect), |writing| {
                for row in &rows {
                    if let Err(error) = writing.can_change(row)? {
                        return Ok(Err(error.into()));
                    }
                }
                for row in &rows {
                    if let Err(error) = writing.change(row)? {
                        return Ok(Err(error.into()));
                    }
                }
                Ok(Ok(reply.clone()))
            })
        });
    }
}

impl StoreReader {
    /// The reply to a call that has happened and is still remembered.
    ///
    /// # Errors
    /// [`EffectError`], if it has happened with another request, or the database can't be read.
    pub fn effect(&self, effect: Effect) -> Result<Option<Vec<u8>>, EffectError> {
        let found = self.read(|transaction| match query::id_of(transaction, effect.key.job)? {
            Some(id) => find(transaction, id, effect),
            None => Ok(Ok(None)),
        });
        Ok(found??)
    }
}

impl Writing<'_> {
    /// Does something unless it was done before, and notes its reply. `act` refuses before it writes, or not at all.
    pub(super) fn once<E: From<KeyReused> + From<StoreError>>(
        &mut self,
        effect: Option<Effect>,
        act: impl FnOnce(&mut Self) -> Applied<Vec<u8>, E>,
    ) -> Applied<Effected, E> {
        let Some(effect) = effect else {
            return Ok(act(self)?.map(|reply| Effected { reply, repeated: false }));
        };
        let CallKey { job, number } = effect.key;
        let Some(place) = self.place(job)? else {
            return Ok(Err(StoreError::NoSuchJob { job }.into()));
        };
        match find(self.connection, place.id, effect)? {
            Err(error) => return Ok(Err(error.into())),
            Ok(Some(reply)) => return Ok(Ok(Effected { reply, repeated: true })),
            Ok(None) => {}
        }
        let reply = match act(self)? {
            Ok(reply) => reply,
            Err(error) => return Ok(Err(error)),
        };
        self.execute(
            "INSERT INTO effects VALUES (?1, ?2, ?3, ?4)",
            (place.id, integer(number), effect.request.as_slice(), &reply),
        )?;
        Ok(Ok(Effected { reply, repeated: false }))
    }
}

fn find(
    connection: &rusqlite::Connection,
    id: i64,
    effect: Effect,
) -> rusqlite::Result<Result<Option<Vec<u8>>, KeyReused>> {
    let found: Option<(Vec<u8>, Vec<u8>)> = connection
        .prepare_cached("SELECT request, reply FROM effects WHERE job = ?1 AND number = ?2")?
        .query_row((id, integer(effect.key.number)), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((request, reply)) = found else { return Ok(Ok(None)) };
    if request == effect.request {
        return Ok(Ok(Some(reply)));
    }
    let before = request.first_chunk().copied().unwrap_or_default();
    Ok(Err(KeyReused { key: effect.key, before, now: effect.request }))
}
