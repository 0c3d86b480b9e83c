//! What a panic leaves behind: its message and place in the host's log, since WebAssembly itself says no more than "trap".
//!
//! With std a hook does that, without it a panic handler. Tests keep the hook that they have: there a panic fails the
//! test, with its message.

// All of it is compiled, and tested, in each build.
#![cfg_attr(any(feature = "std", not(target_arch = "wasm32")), allow(dead_code))]

use core::fmt::{self, Display, Write};
use core::panic::Location;

/// Sees to it that panics are told from now on, where no handler does.
#[cfg(all(target_arch = "wasm32", feature = "std"))]
pub(crate) fn install() {
    use core::sync::atomic::{AtomicBool, Ordering};

    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(alloc::boxed::Box::new(|info| {
            let message = info.payload_as_str().unwrap_or("a value that is not text");
            let mut text = alloc::string::String::new();
            write(&mut text, info.location(), &message);
            crate::border::log(toehold_abi::LogLevel::Error, &text);
        }));
    }
}

#[cfg(not(all(target_arch = "wasm32", feature = "std")))]
pub(crate) fn install() {}

#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut text = Bounded::<256>::new();
    write(&mut text, info.location(), &info.message());
    crate::border::log(toehold_abi::LogLevel::Error, text.as_str());
    core::arch::wasm32::unreachable()
}

fn write(text: &mut dyn Write, place: Option<&Location<'_>>, message: &dyn Display) {
    // What does not fit is lost; there is nobody to tell.
    let _ = match place {
        Some(place) => write!(text, "panicked at {place}: {message}"),
        None => write!(text, "panicked: {message}"),
    };
}

/// Text that is cut where its room ends: the panic may be that no memory is left.
struct Bounded<const BYTES: usize> {
    bytes: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Bounded<BYTES> {
    const fn new() -> Self {
        Self { bytes: [0; BYTES], length: 0 }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl<const BYTES: usize> Write for Bounded<BYTES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = BYTES - self.length;
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let new_length = self.length + end;
        if let (Some(free), Some(text)) = (self.bytes.get_mut(self.length..new_length), text.get(..end)) {
            free.copy_from_slice(text.as_bytes());
            self.length = new_length;
        }
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn message_and_place_are_told() {
        let (sender, texts) = mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let mut text = String::new();
            write(&mut text, info.location(), &info.payload_as_str().unwrap_or("no text"));
            let _ = sender.send(text);
        }));
        let line = line!() + 1;
        let _ = std::panic::catch_unwind(|| panic!("{} of 3 is missing", 2));
        std::panic::set_hook(before);
        let told: Vec<String> = texts.iter().collect();
        let file = file!();
        let expected = format!("panicked at {file}:{line}:");
        assert!(
            told.iter().any(|text| text.starts_with(&expected) && text.ends_with(": 2 of 3 is missing")),
            "{told:?}"
        );
    }

    #[test]
    fn what_has_no_room_is_cut_between_characters() {
        let cut = |message: &str| {
            let mut text = Bounded::<16>::new();
            write(&mut text, None, &message);
            String::from(text.as_str())
        };
        assert_eq!(cut("12345"), "panicked: 12345");
        assert_eq!(cut("1234567"), "panicked: 123456");
        assert_eq!(cut("12345é"), "panicked: 12345");
        assert_eq!(cut("1234é7"), "panicked: 1234é");
    }
}
