//! The program's stack, and how much of it was ever in use.

use core::ptr;

/// What a stack is filled with while nobody uses it.
const UNUSED: u32 = 0x7057_ac4e;

/// A stack that grows downwards, from `top` to `end`.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    end: usize,
    top: usize,
}

impl Stack {
    /// The stack between these addresses, multiples of 4: `end` is its lowest, `top` the first that is not its own.
    ///
    /// # Safety
    ///
    /// All of it must be RAM, and of Rust's only stack frames may lie there.
    #[must_use]
    pub const unsafe fn between(end: usize, top: usize) -> Self {
        Self { end, top }
    }

    /// Fills what is below `from`, for [`Stack::never_used`].
    ///
    /// # Safety
    ///
    /// All frames that are there, that of this function too, must lie at `from` and above, and no interrupt may use the stack meanwhile.
    #[inline(never)]
    pub unsafe fn fill_below(self, from: usize) {
        for address in (self.end..from.min(self.top)).step_by(4) {
            // SAFETY: it is RAM, and the caller says that no frame is there.
            unsafe { ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(UNUSED) };
        }
    }

    /// Bytes that were never in use.
    #[must_use]
    pub fn never_used(self) -> usize {
        // SAFETY: it is RAM, and a word that changes while it is looked at is as good before as after.
        let is_unused =
            |address: &usize| unsafe { ptr::with_exposed_provenance::<u32>(*address).read_volatile() } == UNUSED;
        let lowest = (self.end..self.top).step_by(4).find(|address| !is_unused(address));
        lowest.unwrap_or(self.top) - self.end
    }

    /// Bytes in all.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.top - self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_to_counts_as_used_from_its_lowest_byte_on() {
        let mut words = [1_u32; 16];
        let end = words.as_mut_ptr().expose_provenance();
        // SAFETY: the array is no stack, but as good as one: nobody else looks at it.
        let stack = unsafe { Stack::between(end, end + 64) };
        assert_eq!((stack.never_used(), stack.bytes()), (0, 64));
        // SAFETY: as above.
        unsafe { stack.fill_below(end + 40) };
        assert_eq!(stack.never_used(), 40);
        // SAFETY: it is in the array.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(end + 20).write_volatile(7) };
        assert_eq!(stack.never_used(), 20);
        // SAFETY: as above; more than there is is left alone.
        unsafe { stack.fill_below(end + 100) };
        assert_eq!(stack.never_used(), 64);
    }
}
