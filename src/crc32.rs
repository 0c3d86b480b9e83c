/// CRC-32 (IEEE 802.3), the checksum of all that is stored or sent.
///
/// With the feature `std` by the CPU's own instructions or large tables; without it by a table of 1 KiB, where the fast way
/// would take 16 KiB of flash.
#[derive(Clone, Debug)]
pub struct Crc32(imp::Hasher);

impl Crc32 {
    /// The checksum of no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(imp::new())
    }

    /// The checksum of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> u32 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.finish()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes that were added.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize()
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
mod imp {
    pub(super) type Hasher = crc32fast::Hasher;

    pub(super) fn new() -> Hasher {
        Hasher::new()
    }
}

#[cfg(not(feature = "std"))]
mod imp {
    use core::fmt;

    use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

    static ALGORITHM: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

    #[derive(Clone)]
    pub(super) struct Hasher(Digest<'static, u32, Table<1>>);

    pub(super) fn new() -> Hasher {
        Hasher(ALGORITHM.digest())
    }

    impl Hasher {
        pub(super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(super) fn finalize(self) -> u32 {
            self.0.finalize()
        }
    }

    impl fmt::Debug for Hasher {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Hasher")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_of_ieee_802_3() {
        assert_eq!(Crc32::of(b"123456789"), 0xcbf4_3926);
        let mut crc = Crc32::new();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.finish(), 0xcbf4_3926);
        assert_eq!(Crc32::new().finish(), 0);
    }
}
