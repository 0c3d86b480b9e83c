//! Random bytes from a virtio device (version 1.2 of its specification: 4.2 the transport, 2.7 the queue, 5.4 the device).

use core::cell::UnsafeCell;
use core::sync::atomic::{Ordering, fence};

use firmware_common::Register;
use no_std_host::Entropy;

/// Where the machine has places for virtio devices, and how many.
const FIRST: usize = 0x1000_1000;
const STEP: usize = 0x1000;
const PLACES: usize = 8;

const MAGIC: u32 = 0x7472_6976;
/// The second version of the transport, which QEMU calls not legacy.
const VERSION: u32 = 2;
/// The kind of device that gives random bytes.
const ENTROPY: u32 = 4;
/// The one feature that must be taken: bit 32, of the second half.
const VERSION_1: u32 = 1;
/// How far the driver is: it has seen the device, can drive it, has agreed on features, and runs.
const SEEN: u32 = 1;
const DRIVER: u32 = 2;
const DRIVEN: u32 = 4;
const AGREED: u32 = 8;
/// A descriptor's buffer is for the device to write.
const FOR_DEVICE: u16 = 2;

/// Bytes that are asked for at once.
const PIECE: usize = 32;

/// A queue of one request. The device reads and writes it, as the specification lays it out.
#[repr(C, align(16))]
struct Queue {
    /// Address, bytes, flags and next of the one buffer.
    descriptor: (u64, u32, u16, u16),
    /// Flags, how many requests were ever made, and which descriptor each has.
    available: [u16; 4],
    /// Flags, how many were ever done, and for each the descriptor and how many bytes were written.
    used: Used,
    buffer: [u8; PIECE],
}

#[repr(C, align(4))]
struct Used {
    flags: u16,
    count: u16,
    descriptor: u32,
    bytes: u32,
}

struct Shared(UnsafeCell<Queue>);

// SAFETY: only `VirtioEntropy` touches it, of which there is one, and only while the device has no request.
unsafe impl Sync for Shared {}

static QUEUE: Shared = Shared(UnsafeCell::new(Queue {
    descriptor: (0, 0, 0, 0),
    available: [0; 4],
    used: Used { flags: 0, count: 0, descriptor: 0, bytes: 0 },
    buffer: [0; PIECE],
}));

/// The host's random bytes. **A product needs a source of its own**, such as a generator in its chip.
#[derive(Debug)]
pub struct VirtioEntropy {
    base: usize,
    /// How many requests were made, wrapping.
    requests: u16,
}

impl VirtioEntropy {
    /// Looks for the device and starts it; `None` where there is none. Call it once.
    #[must_use]
    pub fn open() -> Option<Self> {
        let base = (0..PLACES).map(|place| FIRST + place * STEP).find(|base| {
            [(0x000, MAGIC), (0x004, VERSION), (0x008, ENTROPY)]
                .iter()
                .all(|(offset, expected)| register(*base, *offset).read() == *expected)
        })?;
        let status = register(base, 0x070);
        status.write(0);
        status.write(SEEN | DRIVER);
        // The first half of the features, of which none is needed, then the second.
        register(base, 0x024).write(0);
        register(base, 0x020).write(0);
        register(base, 0x024).write(1);
        register(base, 0x020).write(VERSION_1);
        status.write(SEEN | DRIVER | AGREED);
        if status.read() & AGREED == 0 {
            return None;
        }
        // Queue 0, with one place.
        register(base, 0x030).write(0);
        register(base, 0x038).write(1);
        let queue = QUEUE.0.get();
        // SAFETY: these are addresses of fields; nothing is read.
        let (descriptor, available, used) = unsafe {
            (&raw const (*queue).descriptor, &raw const (*queue).available, &raw const (*queue).used)
        };
        for (offset, address) in
            [(0x080, descriptor as usize), (0x090, available as usize), (0x0a0, used as usize)]
        {
            register(base, offset).write(address as u32);
            register(base, offset + 4).write(0);
        }
        register(base, 0x044).write(1);
        status.write(SEEN | DRIVER | AGREED | DRIVEN);
        Some(Self { base, requests: 0 })
    }

    /// Up to `PIECE` bytes.
    fn request(&mut self, bytes: &mut [u8]) -> usize {
        let queue = QUEUE.0.get();
        self.requests = self.requests.wrapping_add(1);
        let wanted = bytes.len().min(PIECE);
        // SAFETY: there is one `VirtioEntropy`, and the device has no request, so nobody else uses the queue. Accesses are
        // volatile, since the device is about to look.
        unsafe {
            let address = (&raw const (*queue).buffer) as usize as u64;
            (&raw mut (*queue).descriptor).write_volatile((address, wanted as u32, FOR_DEVICE, 0));
            // Flag 1: no interrupt is wanted.
            (&raw mut (*queue).available).write_volatile([1, self.requests, 0, 0]);
        }
        fence(Ordering::SeqCst);
        register(self.base, 0x050).write(0);
        // SAFETY: it is read once each time, whoever writes it.
        while unsafe { (&raw const (*queue).used.count).read_volatile() } != self.requests {}
        fence(Ordering::SeqCst);
        // SAFETY: the device has done the request, and will not touch the queue until the next.
        let (written, buffer) = unsafe {
            ((&raw const (*queue).used.bytes).read_volatile(), (&raw const (*queue).buffer).read_volatile())
        };
        let written = wanted.min(written as usize);
        for (to, from) in bytes.iter_mut().zip(&buffer[..written]) {
            *to = *from;
        }
        written
    }
}

/// A register of the transport.
fn register(base: usize, offset: usize) -> Register<u32> {
    // SAFETY: each place for a virtio device has these registers, even an empty one. What the device writes to, the queue, is
    // reached by volatile accesses only.
    unsafe { Register::at(base + offset) }
}

impl Entropy for VirtioEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        let mut left = bytes;
        while !left.is_empty() {
            let count = self.request(left);
            left = &mut left[count..];
        }
    }
}
