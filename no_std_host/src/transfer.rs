//! Data on its way to the board: asked for piece by piece, and again where a piece does not come or is damaged.

use alloc::{format, vec::Vec};

use toehold::{
    Millis,
    console::{Data, LineWriter},
};

use crate::{Board, Clock, Depot, Shell, steer::Refusal};

/// What is on its way.
pub(crate) struct Transfer {
    kind: Kind,
    bytes: usize,
    checksum: u32,
    hasher: toehold::Crc32,
    received: usize,
    /// When the next piece is asked for again.
    pub(crate) ask_at: Millis,
    asked: u32,
}

enum Kind {
    /// A package, piece by piece into the store.
    Package,
    /// A bundle, into memory.
    Bundle { bytes: Vec<u8>, paused: bool },
}

/// Milliseconds until a piece that did not come is asked for again.
const PATIENCE: Millis = 2_000;
/// How many times a bundle's bytes are in memory while it is imported: as its parts, and those as what they say.
const BUNDLE_TIMES: usize = 3;
/// How often a piece is asked for.
const TRIES: u32 = 10;

impl<B: Board> Shell<B> {
    #[inline(never)]
    pub(crate) fn begin_install(&mut self, bytes: u32, checksum: u32, schemas: u32) -> Result<(), Refusal> {
        let size = bytes as usize;
        if size == 0 {
            return Err(Refusal::new("package", "a package of 0 bytes is none"));
        }
        // Nobody looks at schemas here. Whether it was true that they are so long shows once the package is here.
        self.room().for_package(size.saturating_sub(schemas as usize))?;
        self.store.begin_package().map_err(|error| Self::flash(&error))?;
        self.begin_transfer(Kind::Package, size, checksum);
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn begin_import(&mut self, bytes: u32, checksum: u32, paused: bool) -> Result<(), Refusal> {
        let (size, limit) = (bytes as usize, self.config.bundle_bytes);
        if size > limit {
            return Err(Refusal::new(
                "too_large",
                format!("the bundle has {size} bytes, the limit here is {limit}"),
            ));
        }
        if size == 0 {
            return Err(Refusal::new("format", "a bundle of 0 bytes is none"));
        }
        let (need, free) = (size.saturating_mul(BUNDLE_TIMES), self.free_memory());
        if need > free {
            let text =
                format!("the bundle has {size} bytes and needs {need}, {free} bytes of memory are free");
            return Err(Refusal::new("memory", text));
        }
        self.begin_transfer(Kind::Bundle { bytes: Vec::with_capacity(size), paused }, size, checksum);
        Ok(())
    }

    fn begin_transfer(&mut self, kind: Kind, bytes: usize, checksum: u32) {
        let hasher = toehold::Crc32::new();
        self.transfer = Some(Transfer { kind, bytes, checksum, hasher, received: 0, ask_at: 0, asked: 0 });
        self.ask();
    }

    /// Asks for the next piece.
    fn ask(&mut self) {
        let now = self.clock.now();
        let Some(transfer) = &mut self.transfer else { return };
        transfer.ask_at = now.saturating_add(PATIENCE);
        transfer.asked = transfer.asked.saturating_add(1);
        let line = format!("> {}", transfer.received);
        self.port.write_line(&line);
    }

    /// Asks again for a piece that did not come, or gives up.
    #[inline(never)]
    pub(crate) fn tend_transfer(&mut self) {
        let now = self.clock.now();
        match &self.transfer {
            Some(transfer) if transfer.ask_at <= now && transfer.asked >= TRIES => {
                self.drop_transfer();
                self.refuse(&Refusal::new(
                    "timeout",
                    "the data stopped coming, and what came is dropped: begin again",
                ));
            }
            Some(transfer) if transfer.ask_at <= now => self.ask(),
            _ => {}
        }
    }

    /// A piece came in.
    #[inline(never)]
    pub(crate) fn take_data(&mut self, data: Option<Data>) -> Result<Option<LineWriter>, Refusal> {
        let Some(transfer) = &mut self.transfer else {
            return Err(Refusal::new("unasked", "no data was asked for; `install` or `import` first"));
        };
        // One that it has was sent twice, because it was asked for twice. To ask again now would have all that follows sent twice.
        if data
            .as_ref()
            .is_some_and(|data| usize::try_from(data.offset).is_ok_and(|at| at < transfer.received))
        {
            return Ok(None);
        }
        let wanted = |data: &Data| {
            usize::try_from(data.offset) == Ok(transfer.received)
                && !data.bytes.is_empty()
                && data.bytes.len() <= transfer.bytes - transfer.received
        };
        let Some(data) = data.filter(wanted) else {
            self.ask();
            return Ok(None);
        };
        match &mut transfer.kind {
            Kind::Bundle { bytes, .. } => bytes.extend_from_slice(&data.bytes),
            Kind::Package => {
                if let Err(error) = self.store.write_package(&data.bytes) {
                    let refusal = Self::flash(&error);
                    self.drop_transfer();
                    return Err(refusal);
                }
            }
        }
        transfer.hasher.update(&data.bytes);
        transfer.received += data.bytes.len();
        transfer.asked = 0;
        if transfer.received < transfer.bytes {
            self.ask();
            return Ok(None);
        }
        self.finish().map(Some)
    }

    fn finish(&mut self) -> Result<LineWriter, Refusal> {
        let Some(transfer) = self.transfer.take() else { return Ok(LineWriter::new("ok")) };
        let found = transfer.hasher.finish();
        let whole = if found == transfer.checksum {
            Ok(())
        } else {
            let text =
                format!("the data has checksum {found:08x}, not {:08x}: send it again", transfer.checksum);
            Err(Refusal::new("checksum", text))
        };
        match transfer.kind {
            Kind::Bundle { bytes, paused } => whole.and_then(|()| self.import(bytes, paused)),
            Kind::Package => {
                let installed = whole.and_then(|()| self.install(transfer.bytes));
                if installed.is_err() {
                    // It is gone after the next start in any case.
                    let _ = self.store.abort_package();
                }
                self.drop_extensions();
                installed
            }
        }
    }

    /// No more data comes. Says whether any was on its way.
    pub(crate) fn drop_transfer(&mut self) -> bool {
        let Some(transfer) = self.transfer.take() else { return false };
        if matches!(transfer.kind, Kind::Package) {
            // It is gone after the next start in any case.
            let _ = self.store.abort_package();
        }
        true
    }
}
