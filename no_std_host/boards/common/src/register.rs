//! The one place that reads and writes devices.

use core::ptr;

/// One register of a device, `T` wide.
#[derive(Clone, Copy, Debug)]
pub struct Register<T>(*mut T);

// SAFETY: it is an address and nothing else, and whoever made it said that it may be used at any time.
unsafe impl<T> Sync for Register<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Register<T> {}

impl<T: Copy> Register<T> {
    /// The register at this address.
    ///
    /// # Safety
    ///
    /// There must be a register of this width, and no value that is read from it or written to it may reach memory that
    /// Rust's references know of: for a device with DMA, only its driver can promise that.
    #[must_use]
    pub const unsafe fn at(address: usize) -> Self {
        Self(address as *mut T)
    }

    /// Reads it, once.
    #[must_use]
    pub fn read(self) -> T {
        // SAFETY: `at`'s caller said that there is such a register.
        unsafe { ptr::read_volatile(self.0) }
    }

    /// Writes it, once.
    pub fn write(self, value: T) {
        // SAFETY: `at`'s caller said that there is such a register, and that any value does.
        unsafe { ptr::write_volatile(self.0, value) }
    }
}
