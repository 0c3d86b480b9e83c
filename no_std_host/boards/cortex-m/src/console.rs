//! The console on USART1: received by interrupt, sent by waiting.

use core::convert::Infallible;

use embedded_io::{ErrorType, Read, ReadReady, Write};
use firmware_common::{Hook, Inbox};

use crate::devices::{
    GPIOA_AFRH, GPIOA_MODER, NVIC_ICER1, NVIC_ISER1, RCC_AHB1ENR, RCC_APB2ENR, USART1_BRR, USART1_CR1,
    USART1_DR, USART1_INTERRUPT, USART1_SR,
};

/// Bits in a second, and the clock that they are made from: half of the processor's.
const BAUD: u32 = 115_200;
const HERTZ: u32 = 84_000_000;

/// In SR: a byte has come, and one may go.
const RECEIVED: u32 = 1 << 5;
const SENDABLE: u32 = 1 << 7;
/// In CR1: receive, send, tell by interrupt that a byte has come, be on.
const RECEIVE: u32 = 1 << 2;
const SEND: u32 = 1 << 3;
const TELL: u32 = 1 << 5;
const ON: u32 = 1 << 13;

/// The bit of its interrupt in the NVIC.
const INTERRUPT: u32 = 1 << (USART1_INTERRUPT - 32);

/// What Ctrl-C sends.
const BREAK: u8 = 0x03;

static INBOX: Inbox<256> = Inbox::new();
static ON_BREAK: Hook = Hook::new();

/// The console.
#[derive(Debug)]
pub struct Console(());

impl Console {
    /// Starts the USART, with 115,200 bits a second, no parity, one stop bit, on pins A9 and A10.
    #[must_use]
    pub fn open() -> Self {
        RCC_AHB1ENR.write(RCC_AHB1ENR.read() | 1);
        RCC_APB2ENR.write(RCC_APB2ENR.read() | 1 << 4);
        GPIOA_MODER.write(GPIOA_MODER.read() & !(0b1111 << 18) | 0b1010 << 18);
        GPIOA_AFRH.write(GPIOA_AFRH.read() & !(0xff << 4) | 0x77 << 4);
        USART1_BRR.write(HERTZ / BAUD);
        USART1_CR1.write(ON | SEND | RECEIVE | TELL);
        NVIC_ISER1.write(INTERRUPT);
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

/// The service routine of USART1.
pub(crate) extern "C" fn received() {
    while USART1_SR.read() & RECEIVED != 0 {
        if INBOX.is_full() {
            // It stays in the device, until the program has read some. Not by `TELL`: QEMU's USART goes on interrupting then, and
            // the program would never run again.
            NVIC_ICER1.write(INTERRUPT);
            return;
        }
        // Eight bits are used.
        let byte = USART1_DR.read().to_le_bytes()[0];
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
        NVIC_ISER1.write(INTERRUPT);
        Ok(count)
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while USART1_SR.read() & SENDABLE == 0 {}
            USART1_DR.write(u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
