//! Random bytes.

use no_std_host::Entropy;
use semihosting::fs::File;
use semihosting::io::Read;

/// The host's random bytes, by semihosting: QEMU does not have the chip's own generator. **A product needs a real one**, on
/// this chip the peripheral RNG.
#[derive(Debug)]
pub struct HostEntropy(File);

impl HostEntropy {
    /// Opens the host's source; `None` where it has none.
    #[must_use]
    pub fn open() -> Option<Self> {
        File::open(c"/dev/urandom").ok().map(Self)
    }
}

impl Entropy for HostEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.read_exact(bytes).expect("the host's random bytes never end");
    }
}
