//! Whether there is memory enough: for a package, for a job, and for what may come next.
//!
//! Neither the interpreter nor `alloc` copes with an allocator that has nothing left: the firmware panics, and the board is
//! reset. So whatever takes much is reckoned first, and what it needs is tried for in pieces: of a heap in holes all that is free
//! may be too small.

use alloc::{format, string::String};

use toehold::{Commit, ModuleInfo, ModuleShape};

use crate::{Board, Memory, Shell, steer::Refusal};

// All of these were measured on the emulated RISC-V with guests that have 100 to 1,000 of something; see "How memory is reckoned" in docs/embedded.md.

/// Memory that an extension needs while it is loaded, as multiples of its module: its bytes, and what the interpreter makes of
/// them.
const BYTES_FOR_EACH: usize = 4;
/// What the interpreter makes of each item, element and local: of modules that have more of them than most with as many bytes.
const BYTES_OF_ITEM: usize = 160;
const BYTES_OF_ELEMENT: usize = 16;
const BYTES_OF_LOCAL: usize = 16;
/// How often there is a name, besides in the module.
const COPIES_OF_NAMES: usize = 2;
/// What any extension needs besides.
const BYTES_BESIDES: usize = 8 << 10;

/// What a job needs besides its linear memory, and for each item of its module and element of its tables.
const JOB_BYTES: usize = 7 << 10;
const JOB_BYTES_OF_ITEM: usize = 60;
const JOB_BYTES_OF_ELEMENT: usize = 6;

/// What a commit has besides a state and a journal, about; and how many copies of all of it there are while it is stored.
const COMMIT_BYTES: usize = 300;
const COPIES: usize = 3;

/// What a function takes for a while when it is first called, for each byte of its body.
const BYTES_TRANSLATED: usize = 3;

/// Bytes of the larger pieces in which memory is taken, as for a job and its place in the scheduler; and of most.
const LARGE_PIECE: usize = 1_536;
const PIECE: usize = 256;

/// There is not enough memory: what for, how much it takes, and how much there is.
pub(crate) struct NoRoom(pub(crate) String);

impl From<NoRoom> for Refusal {
    fn from(NoRoom(text): NoRoom) -> Self {
        Self::new("memory", text)
    }
}

/// The memory that there is.
pub(crate) struct Room<'m> {
    memory: &'m dyn Memory,
    free: usize,
    /// Bytes in one piece that are to be left.
    reserve: usize,
    /// A package is to be loaded, and not only to be looked at.
    loads: bool,
}

impl<'m> Room<'m> {
    pub(crate) fn new(memory: &'m dyn Memory, reserve: usize, loads: bool) -> Self {
        Self { memory, free: memory.free().saturating_sub(reserve), reserve, loads }
    }

    /// Whether there is enough for a package of which so many bytes are not schemas.
    pub(crate) fn for_package(&self, bytes: usize) -> Result<(), NoRoom> {
        let times = if self.loads { BYTES_FOR_EACH } else { 1 };
        let need = bytes.saturating_mul(times).saturating_add(BYTES_BESIDES);
        let (free, total) = (self.free, self.memory.total());
        if need <= free {
            return Ok(());
        }
        Err(NoRoom(format!(
            "a package of {bytes} bytes needs about {need} bytes of memory to load; {free} of {total} are free"
        )))
    }

    /// Whether there is enough for what the interpreter makes of a module, whose bytes are in memory already.
    pub(crate) fn for_module(&self, module: &[u8]) -> Result<(), NoRoom> {
        let shape = ModuleShape::of(module);
        if shape.most_locals == u32::MAX || !self.loads {
            return Ok(()); // Where it is damaged, whoever compiles it says that better.
        }
        let ModuleShape { items, most_locals, .. } = shape;
        let made = times(items, BYTES_OF_ITEM)
            .saturating_add(times(shape.element_bytes, BYTES_OF_ELEMENT))
            .saturating_add(times(most_locals, BYTES_OF_LOCAL))
            .saturating_add(times(shape.export_bytes, COPIES_OF_NAMES))
            .saturating_add(module.len())
            .saturating_add(BYTES_BESIDES);
        let need = module.len().saturating_add(made);
        let large = [
            times(items, BYTES_OF_ITEM / 4).max(LARGE_PIECE),
            times(shape.longest_body, 1),
            times(shape.data_bytes, 1),
        ];
        let [largest, body, data] = large;
        let (free, total) = (self.free, self.memory.total());
        if need <= free
            && has(self.memory, [largest, body, data, self.reserve], made.saturating_sub(large.iter().sum()))
        {
            return Ok(());
        }
        Err(NoRoom(format!(
            "a module of {} bytes with {items} items, and with a function of {most_locals} locals, needs about {need} bytes of memory to load, \
             {} of them in one piece; {free} of {total} are free, not all in one",
            module.len(),
            largest.max(body).max(data)
        )))
    }

    /// Whether there is enough for a job of this module, of which only what is stored is in memory.
    pub(crate) fn for_job(&self, module: &ModuleInfo) -> Result<(), NoRoom> {
        let shape = module.shape;
        let memory = usize::try_from(module.memory_bytes).unwrap_or(usize::MAX);
        let besides = times(shape.items, JOB_BYTES_OF_ITEM)
            .saturating_add(times(shape.table_elements, JOB_BYTES_OF_ELEMENT))
            .saturating_add(times(shape.export_bytes, 1))
            .saturating_add(JOB_BYTES);
        let need = memory.saturating_add(besides);
        let free = self.free;
        let translated = times(shape.longest_body, BYTES_TRANSLATED);
        let large = [memory, self.reserve, translated, LARGE_PIECE, LARGE_PIECE];
        if need <= free && has(self.memory, large, besides.saturating_sub(2 * LARGE_PIECE)) {
            return Ok(());
        }
        Err(NoRoom(format!(
            "it needs about {need} bytes of memory, {memory} of them in one piece; {free} are free, not all in one"
        )))
    }

    /// Whether there is enough for a bundle of so many bytes, which is in one piece, and for the lines that it goes out in.
    pub(crate) fn for_bundle(&self, bytes: usize) -> Result<(), NoRoom> {
        let free = self.free;
        if bytes <= free && has(self.memory, [bytes, LARGE_PIECE], 0) {
            return Ok(());
        }
        Err(NoRoom(format!(
            "the bundle takes {bytes} bytes of memory in one piece more than the job; {free} are free, not all in one: let \
             another job end"
        )))
    }
}

/// Whether there is enough to store a commit: what is written of it is put together from copies.
pub(crate) fn for_commit(memory: &dyn Memory, commit: &Commit) -> Result<(), NoRoom> {
    let state = commit.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.len());
    let bytes = state + commit.journal.len() + COMMIT_BYTES;
    if has(memory, [bytes; COPIES], 0) {
        return Ok(());
    }
    Err(NoRoom(format!(
        "memory: to store a commit of {bytes} bytes takes {COPIES} times as much, which is not free"
    )))
}

fn times(count: u32, bytes: usize) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(bytes)
}

/// Whether there are `large` pieces, and `bytes` besides in ordinary ones.
fn has<const LARGE: usize>(memory: &dyn Memory, large: [usize; LARGE], bytes: usize) -> bool {
    let ordinary = (0..bytes.div_ceil(PIECE)).map(|_| PIECE);
    memory.has(&mut large.into_iter().chain(ordinary))
}

impl<B: Board> Shell<B> {
    /// The memory that there is for a package that is to be loaded, or for a job.
    pub(crate) fn room(&self) -> Room<'_> {
        Room::new(&self.memory, self.config.reserve_bytes, true)
    }

    /// What there is of the heap, after what is to be left alone.
    pub(crate) fn free_memory(&self) -> usize {
        self.room().free
    }

    /// Whether what is to be left alone is there, in one piece.
    pub(crate) fn has_reserve(&self) -> bool {
        has(&self.memory, [self.config.reserve_bytes], 0)
    }
}
