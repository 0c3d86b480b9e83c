use alloc::format;

use embedded_io::{Read, ReadReady, Write};
use embedded_storage::nor_flash::NorFlash;
use toehold::console::LineWriter;

use crate::{Clock, FlashStore, port::Port};

/// Opens the store on a flash; and where that can't be, asks on the console what to do, for as long as it takes.
///
/// A blank flash becomes an empty store. One that holds anything else, that a newer firmware has written, or that can't be
/// read, is left as it is: every line is answered by an error that says so, and opens it once more; only `format` makes an
/// empty store of it, and drops all that it holds.
pub fn open_store<F: NorFlash + 'static, const BLOCKS: usize>(
    flash: F,
    console: &mut (impl Read + ReadReady + Write),
    clock: &mut impl Clock,
) -> FlashStore<F, BLOCKS> {
    let mut opened = FlashStore::open(flash);
    let mut port = Port::new(console);
    let mut is_told = false;
    loop {
        let refused = match opened {
            Ok(store) => return store,
            Err(refused) => refused,
        };
        let text =
            format!("{}; `format` drops all that it holds, anything else tries it again", refused.error);
        if !core::mem::replace(&mut is_told, true) {
            port.write_line(&LineWriter::new("# no store:").field("message", &text).finish());
        }
        let line = loop {
            match port.read_line() {
                Some(Ok(line)) if line.trim().is_empty() => {}
                Some(line) => break line,
                None => clock.wait(None),
            }
        };
        opened = if line.is_ok_and(|line| line.trim() == "format") {
            FlashStore::format(refused.flash)
        } else {
            FlashStore::open(refused.flash)
        };
        match &opened {
            Ok(_) => port.write_line("ok"),
            Err(refused) => {
                let text = format!(
                    "{}; `format` drops all that it holds, anything else tries it again",
                    refused.error
                );
                port.write_line(&LineWriter::new("err flash").field("message", text).finish());
            }
        }
    }
}
