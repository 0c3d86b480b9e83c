//! The console on a 16550 UART: received by interrupt, sent by waiting.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use firmware_common::{Hook, Inbox};

use crate::devices::{
    PLIC_CLAIM, PLIC_ENABLED, PLIC_THRESHOLD, PLIC_UART_PRIORITY, UART_DATA, UART_INTERRUPT, UART_INTERRUPTS,
    UART_LINE, UART_QUEUES, UART_STATUS,
};

/// In the status: a byte has come, and one may go.
const RECEIVED: u8 = 1;
const SENDABLE: u8 = 1 << 5;
/// Of the interrupts: the one that tells that a byte has come.
const TELL: u8 = 1;
/// Eight bits in each frame.
const EIGHT_BITS: u8 = 0b11;
/// The device's own queues of 16 bytes are on, and tell of each byte.
const QUEUES_ON: u8 = 1;

/// What Ctrl-C sends.
const BREAK: u8 = 0x03;

static INBOX: Inbox<256> = Inbox::new();
static ON_BREAK: Hook = Hook::new();

/// The console.
#[derive(Debug)]
pub struct Console(());

impl Console {
    /// Starts the UART. Its speed is whatever the emulator likes.
    #[must_use]
    pub fn open() -> Self {
        UART_LINE.write(EIGHT_BITS);
        UART_QUEUES.write(QUEUES_ON);
        UART_INTERRUPTS.write(TELL);
        PLIC_UART_PRIORITY.write(1);
        PLIC_THRESHOLD.write(0);
        PLIC_ENABLED.write(1 << UART_INTERRUPT);
        crate::start::enable_interrupts();
        Self(())
    }

    /// Calls `hook` from the interrupt service routine whenever Ctrl-C comes, which is not read as input then.
    pub fn on_break(&self, hook: fn()) {
        ON_BREAK.set(hook);
    }
}

pub(crate) fn has_input() -> bool {
    !INBOX.is_empty()
}

/// The service routine of the interrupt controller.
pub(crate) fn interrupted() {
    let number = PLIC_CLAIM.read();
    if number == UART_INTERRUPT {
        received();
    }
    PLIC_CLAIM.write(number);
}

fn received() {
    while UART_STATUS.read() & RECEIVED != 0 {
        if INBOX.is_full() {
            // It stays in the device, until the program has read some.
            UART_INTERRUPTS.write(0);
            return;
        }
        let byte = UART_DATA.read();
        if byte != BREAK || !ON_BREAK.call() {
            INBOX.push(byte);
        }
    }
}

impl ErrorType for Console {
    type Error = Infallible;
}

impl ReadReady for Console {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(has_input())
    }
}

impl Read for Console {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let count = INBOX.read(bytes);
        // There is room again.
        UART_INTERRUPTS.write(TELL);
        Ok(count)
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while UART_STATUS.read() & SENDABLE == 0 {}
            UART_DATA.write(*byte);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
