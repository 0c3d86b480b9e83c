//! A heap of fixed size, for guests that have little memory.
//!
//! Free blocks form a list in the order of their addresses, and neighbours are joined: so what was freed can be used
//! for larger blocks again. Nothing is kept beside a block that is in use, since Rust gives its size back with it. To
//! find room takes a look at each free block; small guests have few.

#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;

/// The memory behind [`heap!`](crate::heap): `BYTES` of it, from which blocks are taken until it is full.
///
/// Once it is full, allocations fail: those of the host come back as "no room", those of Rust's collections end the job
/// as a fault.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Heap<const BYTES: usize> {
    arena: UnsafeCell<[u8; BYTES]>,
    /// The free block with the lowest address; null where none is free.
    first: UnsafeCell<*mut Free>,
    started: UnsafeCell<bool>,
}

/// What a free block begins with.
#[derive(Debug)]
struct Free {
    size: usize,
    next: *mut Free,
}

/// Blocks begin and end at multiples of this, so that what is left of one can hold a [`Free`].
const UNIT: usize = size_of::<Free>();

// SAFETY: only one thread can reach a heap. WebAssembly without the threads proposal has one, with it this file does not
// compile; and a test keeps its heap to itself.
unsafe impl<const BYTES: usize> Sync for Heap<BYTES> {}

#[cfg(target_feature = "atomics")]
compile_error!(
    "toehold_sdk::heap! is for guests without threads: build without the target feature `atomics`"
);

impl<const BYTES: usize> Heap<BYTES> {
    /// An empty heap.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arena: UnsafeCell::new([0; BYTES]),
            first: UnsafeCell::new(ptr::null_mut()),
            started: UnsafeCell::new(false),
        }
    }

    /// Makes one free block of all of the arena, the first time.
    fn start(&self) {
        // SAFETY: there is one thread, and nobody holds a reference into a cell. The arena is aligned to more than a
        // unit and as long as the block.
        unsafe {
            if !*self.started.get() {
                *self.started.get() = true;
                give_back(self.first.get(), self.arena.get().cast(), BYTES / UNIT * UNIT);
            }
        }
    }
}

impl<const BYTES: usize> Default for Heap<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a block is cut from a free one in `take`, which leaves it out of the list until it comes back, so no two blocks
// overlap. It begins at a multiple of the alignment and has at least the layout's size. No method unwinds.
unsafe impl<const BYTES: usize> GlobalAlloc for Heap<BYTES> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.start();
        match rounded(layout.size()) {
            // SAFETY: the list is sound, as `start` and `give_back` leave it.
            Some(size) => unsafe { take(self.first.get(), size, layout.align()) },
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(size) = rounded(layout.size()) {
            // SAFETY: the caller vouches that the block came from `alloc` with this layout, so that it has this size.
            unsafe { give_back(self.first.get(), block, size) }
        }
    }
}

/// Bytes that a block of `size` takes. None is not 0: a block needs an address of its own.
fn rounded(size: usize) -> Option<usize> {
    Some(size.max(1).checked_add(UNIT - 1)? / UNIT * UNIT)
}

/// Cuts a block from the first free one that has room for it; null where none has.
///
/// # Safety
///
/// `link` leads to a list as `give_back` makes it; `size` is a multiple of a unit and not 0, `align` a power of two.
unsafe fn take(mut link: *mut *mut Free, size: usize, align: usize) -> *mut u8 {
    // SAFETY: each pointer of the list is null or the start of a free block, with as many bytes as it says. What is cut
    // off in front and behind are multiples of a unit, and inside the block.
    unsafe {
        while !(*link).is_null() {
            let free = *link;
            let front = free.cast::<u8>().align_offset(align.max(UNIT));
            if let Some(rest) = (*free).size.checked_sub(front).and_then(|rest| rest.checked_sub(size)) {
                let block = free.cast::<u8>().add(front);
                let mut next = (*free).next;
                if rest > 0 {
                    let behind = block.add(size).cast::<Free>();
                    behind.write(Free { size: rest, next });
                    next = behind;
                }
                if front > 0 {
                    (*free).size = front;
                    (*free).next = next;
                } else {
                    *link = next;
                }
                return block;
            }
            link = &raw mut (*free).next;
        }
    }
    ptr::null_mut()
}

/// Puts a block into the list, joined with its neighbours where they are free.
///
/// # Safety
///
/// `link` leads to such a list; the block is aligned to a unit, has `size` bytes, a multiple of a unit, lies in the arena,
/// and nobody uses it any more.
unsafe fn give_back(mut link: *mut *mut Free, block: *mut u8, size: usize) {
    if size == 0 {
        return;
    }
    let block = block.cast::<Free>();
    let mut before: *mut Free = ptr::null_mut();
    // SAFETY: as in `take`. Blocks that are joined lie beside each other in one arena.
    unsafe {
        while !(*link).is_null() && *link < block {
            before = *link;
            link = &raw mut (*before).next;
        }
        block.write(Free { size, next: *link });
        join(block);
        if !before.is_null() && end(before) == block {
            (*before).size += (*block).size;
            (*before).next = (*block).next;
        } else {
            *link = block;
        }
    }
}

/// Adds the next free block to this one, where they are neighbours.
///
/// # Safety
///
/// `block` is in the list, or its `next` is.
unsafe fn join(block: *mut Free) {
    // SAFETY: as in `take`.
    unsafe {
        let next = (*block).next;
        if !next.is_null() && end(block) == next {
            (*block).size += (*next).size;
            (*block).next = (*next).next;
        }
    }
}

/// # Safety
///
/// As for `join`.
unsafe fn end(block: *mut Free) -> *mut Free {
    // SAFETY: the block's size stays within the arena, or ends at its end.
    unsafe { block.byte_add((*block).size) }
}

/// Gives a small guest a heap of so many bytes, in place of the allocator that Rust brings.
///
/// It takes a constant and stands once, at the root of the extension's crate. The heap is part of the guest's memory
/// from the start and never grows, so that the memory can be as small as the guest is; what a guest needs is its state
/// twice, its longest text, and the longest reply of the host, and some bytes between them. Tests keep the allocator that
/// they have.
///
/// ```
/// toehold_sdk::heap!(4096);
/// ```
#[macro_export]
macro_rules! heap {
    ($bytes:expr) => {
        #[cfg(target_arch = "wasm32")]
        #[global_allocator]
        static TOEHOLD_HEAP: $crate::__private::Heap<{ $bytes }> = $crate::__private::Heap::new();
    };
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    use super::*;

    const BYTES: usize = 1 << 10;
    /// Miri takes seconds for each.
    const HISTORIES: usize = if cfg!(miri) { 2 } else { 200 };

    struct Block {
        start: *mut u8,
        layout: Layout,
        mark: u8,
    }

    /// Takes a block and fills it, so that another one that overlaps would show.
    fn filled(heap: &Heap<BYTES>, layout: Layout, mark: u8) -> Option<Block> {
        // SAFETY: the layout is not of size 0.
        let start = unsafe { heap.alloc(layout) };
        if start.is_null() {
            return None;
        }
        assert_eq!(start.align_offset(layout.align()), 0);
        let arena = heap.arena.get().addr()..heap.arena.get().addr() + BYTES;
        assert!(arena.contains(&start.addr()) && start.addr() + layout.size() <= arena.end);
        // SAFETY: the block is ours and has this size.
        unsafe { start.write_bytes(mark, layout.size()) };
        Some(Block { start, layout, mark })
    }

    fn freed(heap: &Heap<BYTES>, block: Block) {
        for at in 0..block.layout.size() {
            // SAFETY: it is inside the block.
            assert_eq!(unsafe { *block.start.add(at) }, block.mark, "another block was written into");
        }
        // SAFETY: it came from this heap with this layout.
        unsafe { heap.dealloc(block.start, block.layout) }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a good layout")
    }

    /// What is free in one piece, while nothing is in use.
    fn is_whole(heap: &Heap<BYTES>) -> bool {
        let whole = filled(heap, layout(BYTES, 1), 1);
        let is_whole = whole.is_some();
        whole.into_iter().for_each(|block| freed(heap, block));
        is_whole
    }

    #[test]
    fn blocks_never_overlap_and_all_memory_comes_back() {
        let heap = Box::new(Heap::<BYTES>::new());
        let mut random = 1_u64;
        let mut number = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).expect("31 bits") % below
        };
        for _ in 0..HISTORIES {
            let mut blocks = Vec::new();
            let mut refused = 0;
            for round in 0..200_u8 {
                if number(3) > 0 || blocks.is_empty() {
                    let layout = layout(1 + number(BYTES / 8), 1 << number(6));
                    match filled(&heap, layout, round) {
                        Some(block) => blocks.push(block),
                        None => refused += 1,
                    }
                } else {
                    freed(&heap, blocks.swap_remove(number(blocks.len())));
                }
            }
            assert!(refused > 0, "the heap was never full");
            blocks.into_iter().for_each(|block| freed(&heap, block));
            assert!(is_whole(&heap));
        }
    }

    #[test]
    fn a_heap_that_is_full_says_so_and_goes_on() {
        let heap = Box::new(Heap::<BYTES>::new());
        let blocks: Vec<Block> =
            core::iter::from_fn(|| filled(&heap, layout(UNIT, 1), 7)).take(BYTES).collect();
        assert_eq!(blocks.len(), BYTES / UNIT);
        assert!(filled(&heap, layout(1, 1), 1).is_none());
        // Every other block: much is free, but nothing in two neighbouring units.
        let (even, odd): (Vec<_>, Vec<_>) = blocks.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
        even.into_iter().for_each(|(_, block)| freed(&heap, block));
        assert!(filled(&heap, layout(UNIT + 1, 1), 1).is_none());
        odd.into_iter().for_each(|(_, block)| freed(&heap, block));
        assert!(is_whole(&heap));
    }

    #[test]
    fn sizes_that_no_heap_has_are_refused() {
        let heap = Box::new(Heap::<BYTES>::new());
        for size in [BYTES + 1, isize::MAX as usize / 2, isize::MAX as usize] {
            assert!(filled(&heap, layout(size, 1), 1).is_none(), "{size}");
        }
        assert!(filled(&heap, layout(8, 1 << 20), 1).is_none());
        assert!(is_whole(&heap));
    }
}
