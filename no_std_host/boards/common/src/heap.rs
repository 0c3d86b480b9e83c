//! The allocator, and what it knows of itself.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use embedded_alloc::LlffHeap;
use no_std_host::{GUARDED_BYTES, Memory};

use crate::Stack;

/// The heap: a list of free pieces, of which the first that fits is taken.
///
/// It locks interrupts out while it searches. A service routine must not allocate.
pub struct Heap {
    inner: LlffHeap,
    total: AtomicUsize,
    /// The most that was ever in use.
    peak: AtomicUsize,
    /// What the last allocation that failed asked for; 0 where none has.
    asked: AtomicUsize,
    /// What was free then.
    free: AtomicUsize,
    /// What large allocations must leave, in one piece; 0 for nothing.
    reserve: AtomicUsize,
}

/// An allocation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    /// Bytes that were asked for.
    pub asked: usize,
    /// Bytes that were free, not all in one piece.
    pub free: usize,
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").field("total", &self.total).field("peak", &self.peak).finish_non_exhaustive()
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::empty()
    }
}

impl Heap {
    /// A heap that has nothing to give, until it is [given](Self::give) memory.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            inner: LlffHeap::empty(),
            total: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            free: AtomicUsize::new(0),
            reserve: AtomicUsize::new(0),
        }
    }

    /// Gives it `bytes` of memory from `start` on.
    ///
    /// # Panics
    ///
    /// The second time.
    ///
    /// # Safety
    ///
    /// Nobody else may use this memory from now on.
    pub unsafe fn give(&self, start: usize, bytes: usize) {
        // SAFETY: the caller says that it is the heap's.
        unsafe { self.inner.init(start, bytes) };
        self.total.store(bytes, Ordering::Relaxed);
    }

    /// Takes a piece that must leave the reserve, which is in one piece too.
    fn take_beside(&self, reserve: usize, layout: Layout) -> *mut u8 {
        let Ok(reserve) = Layout::from_size_align(reserve, align_of::<usize>()) else {
            return ptr::null_mut();
        };
        // SAFETY: neither layout is empty: the reserve is not 0, and what is guarded is large. What was taken from `inner` is given
        // back to it once, with the same layout.
        unsafe {
            let held = self.inner.alloc(reserve);
            if held.is_null() {
                return held;
            }
            let pointer = self.inner.alloc(layout);
            self.inner.dealloc(held, reserve);
            pointer
        }
    }

    /// Whether there are pieces of these many bytes, all at the same time: each is taken, and all are given back.
    fn has(&self, pieces: &mut dyn Iterator<Item = usize>) -> bool {
        /// What a piece has at its beginning meanwhile.
        struct Piece {
            before: *mut Self,
            layout: Layout,
        }
        let mut last: *mut Piece = ptr::null_mut();
        let mut all = true;
        for bytes in pieces {
            let bytes = bytes.max(size_of::<Piece>());
            let piece =
                Layout::from_size_align(bytes, align_of::<Piece>()).map_or(ptr::null_mut(), |layout| {
                    // SAFETY: the layout is not empty, and has room and alignment for what is written.
                    unsafe {
                        let piece = self.inner.alloc(layout).cast::<Piece>();
                        if !piece.is_null() {
                            piece.write(Piece { before: last, layout });
                        }
                        piece
                    }
                });
            if piece.is_null() {
                all = false;
                break;
            }
            last = piece;
        }
        while !last.is_null() {
            // SAFETY: `inner` gave each piece with this layout, and nothing but the above was written to it.
            unsafe {
                let Piece { before, layout } = last.read();
                self.inner.dealloc(last.cast(), layout);
                last = before;
            }
        }
        all
    }

    /// Bytes that are free, not all in one piece.
    #[must_use]
    pub fn free(&self) -> usize {
        self.inner.free()
    }

    /// Bytes in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever in use.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    /// The last allocation that failed, if any has. Whoever asked may have coped with it.
    #[must_use]
    pub fn failure(&self) -> Option<OutOfMemory> {
        let asked = self.asked.load(Ordering::Relaxed);
        (asked > 0).then(|| OutOfMemory { asked, free: self.free.load(Ordering::Relaxed) })
    }
}

/// What a board knows of its memory.
#[derive(Clone, Copy, Debug)]
pub struct BoardMemory {
    /// Its heap.
    pub heap: &'static Heap,
    /// The program's stack.
    pub stack: Stack,
}

impl Memory for BoardMemory {
    fn free(&self) -> usize {
        self.heap.free()
    }

    fn total(&self) -> usize {
        self.heap.total()
    }

    fn has(&self, pieces: &mut dyn Iterator<Item = usize>) -> bool {
        self.heap.has(pieces)
    }

    fn guard(&self, reserve: usize) {
        self.heap.reserve.store(reserve, Ordering::Relaxed);
    }

    fn never_used(&self) -> Option<usize> {
        Some(self.heap.total().saturating_sub(self.heap.peak()))
    }

    fn stack_never_used(&self) -> Option<usize> {
        Some(self.stack.never_used())
    }
}

// SAFETY: all memory comes from `inner`, which is an allocator; what is added only counts.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let reserve = self.reserve.load(Ordering::Relaxed);
        let pointer = if reserve > 0 && layout.size() > GUARDED_BYTES {
            self.take_beside(reserve, layout)
        } else {
            // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is also that of `inner`.
            unsafe { self.inner.alloc(layout) }
        };
        if pointer.is_null() {
            self.free.store(self.inner.free(), Ordering::Relaxed);
            self.asked.store(layout.size(), Ordering::Relaxed);
        } else {
            self.peak.fetch_max(self.inner.used(), Ordering::Relaxed);
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `alloc` got the pointer from `inner`.
        unsafe { self.inner.dealloc(pointer, layout) };
    }
}
