//! What the fleet gets of what a board has of a job.

use toehold::{Bundle, FormatError, Interrupt, JobRecord, JobState, JournalEntry, Saved, UnixMillis};

use super::super::entry::Changed;

/// The changes, of one entry, that make what the fleet has of a job what the board has, with this record.
pub(super) fn changes(fleet: &Saved, board: &Bundle, record: &JobRecord) -> Vec<Changed> {
    let record = Some(record.encode());
    let newest = |before: &[u8]| Some(board.newest.clone()).filter(|newest| newest != before);
    if fleet.base == board.base
        && let Some(added) = board.journal.strip_prefix(&*fleet.journal)
    {
        let (journal, checkpoint) = (added.to_vec(), newest(&fleet.newest));
        return vec![Changed { record, new_run: false, journal, checkpoint }];
    }
    // Another run. What it began with is the newest checkpoint for a moment, which nobody sees: an entry counts as a whole.
    let first = (fleet.newest != board.base)
        .then(|| Changed { checkpoint: Some(board.base.clone()), ..Changed::default() });
    let journal = board.journal.clone();
    let run = Changed { record, new_run: true, journal, checkpoint: newest(&board.base) };
    first.into_iter().chain([run]).collect()
}

/// The record of a job for the fleet, in this state: what is the fleet's own stays, and how far it is comes from the board.
pub(super) fn record(fleet: &JobRecord, board: JobRecord, state: JobState, now: UnixMillis) -> JobRecord {
    let is_over = state.is_final();
    JobRecord {
        library: fleet.library,
        parent: fleet.parent,
        state,
        wanted: match state {
            JobState::Paused => Interrupt::Pause,
            JobState::Cancelled => Interrupt::Cancel,
            _ => Interrupt::None,
        },
        priority: fleet.priority,
        reason: board.reason.filter(|_| is_over || state == JobState::Paused),
        attempts: fleet.attempts,
        retry_at: None,
        // Boards seldom know the date.
        created_at: fleet.created_at,
        started_at: fleet.started_at.or(board.started_at.map(|_| now)),
        ended_at: is_over.then_some(now),
        ..board
    }
}

/// The first call of a run that the board had no operation for, if there is one: another worker may have it.
///
/// # Errors
/// [`FormatError`] where the journal can't be read.
pub(super) fn lacking(journal: &[u8]) -> Result<Option<String>, FormatError> {
    let mut method = String::new();
    for entry in JournalEntry::decode_all(journal)? {
        match entry {
            JournalEntry::Call(call) => method = call.method,
            // What boards say of an operation that they don't have; a guest can only keep itself from running here with it.
            JournalEntry::Reply(reply) if has(&reply, &format!("{method}: this board has no ")) => {
                return Ok(Some(method));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn has(bytes: &[u8], text: &str) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|bytes| bytes.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toehold::Uuid;

    /// A store that makes changes as the fleet's log does.
    fn apply(mut saved: Saved, changes: Vec<Changed>) -> Saved {
        for Changed { record, new_run, journal, checkpoint } in changes {
            if new_run {
                saved.base.clone_from(&saved.newest);
                saved.journal.clear();
            }
            saved.journal.extend(journal);
            saved.newest = checkpoint.unwrap_or(saved.newest);
            saved.record = record.unwrap_or(saved.record);
        }
        saved
    }

    fn sample() -> JobRecord {
        JobRecord {
            parent: Some(Uuid::from_u128(3)),
            priority: toehold::Priority::High,
            attempts: 5,
            ..crate::store::tests::record("x:y", JobState::Queued)
        }
    }

    #[test]
    fn whatever_the_board_has_the_fleet_has_then() {
        let record = sample();
        let parts = [&b""[..], b"a", b"b", b"ab"];
        let mut single = 0;
        for (base, newest, journal) in all(&parts) {
            for (base_there, newest_there, journal_there) in all(&parts) {
                let fleet = Saved {
                    record: Vec::new(),
                    base: base.clone(),
                    newest: newest.clone(),
                    journal: journal.clone(),
                };
                let board = Saved {
                    record: record.encode(),
                    base: base_there,
                    newest: newest_there,
                    journal: journal_there,
                };
                let bundle = Bundle::new(Uuid::nil(), board.clone(), None);
                let changes = changes(&fleet, &bundle, &record);
                single += usize::from(changes.len() == 1);
                assert_eq!(apply(fleet.clone(), changes), board, "{fleet:?}");
            }
        }
        assert!(single > 0);

        fn all(parts: &[&'static [u8]]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
            let mut all = Vec::new();
            for base in parts {
                for newest in parts {
                    all.extend(
                        parts.iter().map(|journal| (base.to_vec(), newest.to_vec(), journal.to_vec())),
                    );
                }
            }
            all
        }
    }

    #[test]
    fn what_is_the_fleets_own_stays() {
        let fleet = sample();
        let board = JobRecord {
            parent: None,
            priority: toehold::Priority::Low,
            attempts: 2,
            attempt: 2,
            created_at: 7,
            started_at: Some(8),
            ended_at: Some(9),
            fuel_used: 100,
            ..fleet.clone()
        };
        let made = record(&fleet, board, JobState::Completed, 2_000);
        assert_eq!((made.parent, made.priority, made.attempts), (fleet.parent, fleet.priority, 5));
        assert_eq!((made.created_at, made.started_at, made.ended_at), (1_000, Some(2_000), Some(2_000)));
        assert_eq!((made.attempt, made.fuel_used, made.state), (2, 100, JobState::Completed));
    }
}
