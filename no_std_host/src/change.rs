//! How a change of a job is written: beside its head, or as a new head with the pieces that don't fit into it.

use alloc::vec::Vec;

use littlefs2::driver::Storage;
use toehold::Uuid;

use crate::{
    disk::Disk,
    flash::CACHE_BYTES,
    head::{Addition, Head},
    job_files::{ADDITIONS, HEAD_ID, Pieces, job_path},
    store_error::Trouble,
};

/// How a change is to be written.
pub(crate) enum Plan {
    /// Beside the head, as the attribute of this id.
    Beside { id: u8, addition: Addition },
    /// As a new head.
    Anew {
        head: Head,
        /// Bytes of the head before; `None` for a new job.
        bytes_before: Option<usize>,
        /// Pieces that the head before needs.
        pieces_before: Vec<u32>,
    },
}

impl Plan {
    /// The number of the job's head and how many additions it has, once this is written.
    pub(crate) fn progress(&self) -> (u32, u8) {
        match self {
            Self::Beside { id, addition } => (addition.head, *id),
            Self::Anew { head, .. } => (head.number, 0),
        }
    }
}

impl<S: Storage> Disk<'_, '_, S> {
    /// Finds out how to write a change. Writes nothing.
    pub(crate) fn plan(&self, job: Uuid, mut change: Addition) -> Result<Plan, Trouble> {
        let Some(stored) = self.stored(job)? else {
            let mut head = Head::new();
            head.apply(change);
            return Ok(Plan::Anew { head, bytes_before: None, pieces_before: Vec::new() });
        };
        let mut head = stored.head;
        let bytes = change.length();
        if bytes <= Self::ADDITION_BYTES && bytes <= stored.head_bytes / 2 && stored.additions < ADDITIONS {
            change.head = head.number;
            return Ok(Plan::Beside { id: stored.additions + 1, addition: change });
        }
        let pieces_before = head.pieces().map(|piece| piece.number).collect();
        // A flash is worn out long before so many are written.
        head.number = head.number.wrapping_add(1);
        head.apply(change);
        Ok(Plan::Anew { head, bytes_before: Some(stored.head_bytes), pieces_before })
    }

    /// Writes a change; all of it is there at the end, and nothing before. Gives the numbers of the pieces that nobody needs any more.
    pub(crate) fn write_change(
        &self,
        job: Uuid,
        plan: Plan,
        may_use_reserve: bool,
    ) -> Result<Vec<u32>, Trouble> {
        let path = job_path(job);
        let (mut head, bytes_before, mut pieces) = match plan {
            Plan::Beside { id, addition } => {
                self.fs.set_attribute(&path, id, &addition.encode())?;
                return Ok(Vec::new());
            }
            Plan::Anew { head, bytes_before, pieces_before } => (head, bytes_before, pieces_before),
        };
        let bytes = head.encode().len();
        let grows = bytes_before.is_none_or(|before| bytes > before + CACHE_BYTES / 4);
        if grows || bytes > Self::HEAD_BYTES {
            self.need_room(bytes, may_use_reserve)?;
        }
        head.spill(Self::HEAD_BYTES, &mut Pieces { disk: self, job })?;
        let bytes = head.encode();
        if bytes_before.is_none() {
            self.write(&path, &[])?;
        }
        // A job is there as soon as its file has a head.
        self.fs.set_attribute(&path, HEAD_ID, &bytes)?;
        pieces.retain(|piece| head.pieces().all(|needed| needed.number != *piece));
        Ok(pieces)
    }
}
