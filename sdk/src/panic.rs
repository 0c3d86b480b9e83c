//! What a panic leaves behind.

#[cfg(any(target_arch = "wasm32", test))]
use std::panic::PanicHookInfo;

/// Sends the message and place of every panic to the host's log, since WebAssembly itself says no more than "trap".
///
/// Tests keep the hook that they have: there a panic fails the test, with its message.
#[cfg(target_arch = "wasm32")]
pub(crate) fn install() {
    use core::sync::atomic::{AtomicBool, Ordering};

    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|info| {
            crate::border::log(toehold_abi::LogLevel::Error, &text(info));
        }));
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn install() {}

#[cfg(any(target_arch = "wasm32", test))]
fn text(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str()
    } else {
        "a value that is not text"
    };
    match info.location() {
        Some(place) => format!("panicked at {place}: {message}"),
        None => format!("panicked: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    #[test]
    fn message_and_place_are_told() {
        let (sender, texts) = mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = sender.send(super::text(info));
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
}
