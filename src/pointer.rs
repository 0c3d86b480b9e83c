use core::ops::Range;

use toehold_abi::{HostFunction, REPLY_HEADER_BYTES, UUID_BYTES};
use uuid::Uuid;

use crate::fault::Fault;

/// A guest's claim that bytes lie somewhere in its memory. It is checked where it is used, by [`Claim::read`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    function: HostFunction,
    argument: &'static str,
    pointer: u32,
    length: u32,
}

impl Claim {
    /// Bytes at `pointer`. The ABI's `i32` holds an unsigned number, so "negative" ones lie at the end of 4 GiB.
    pub(crate) fn bytes(function: HostFunction, argument: &'static str, pointer: i32, length: i32) -> Self {
        Self { function, argument, pointer: pointer.cast_unsigned(), length: length.cast_unsigned() }
    }

    /// A UUID at `pointer`.
    pub(crate) fn uuid(function: HostFunction, argument: &'static str, pointer: i32) -> Self {
        Self { function, argument, pointer: pointer.cast_unsigned(), length: UUID_BYTES }
    }

    /// Bytes that the claim is about.
    pub(crate) fn len(&self) -> usize {
        self.length as usize
    }

    /// The bytes, if all of them lie in `memory`.
    pub(crate) fn read<'m>(&self, memory: &'m [u8]) -> Result<&'m [u8], Fault> {
        range(self.pointer, self.length).and_then(|range| memory.get(range)).ok_or(Fault::Pointer {
            function: self.function,
            argument: self.argument,
            pointer: self.pointer,
            length: self.length,
            memory: memory.len() as u64,
        })
    }

    /// The bytes as text.
    pub(crate) fn read_str<'m>(&self, memory: &'m [u8]) -> Result<&'m str, Fault> {
        core::str::from_utf8(self.read(memory)?).map_err(|error| Fault::NotUtf8 {
            function: self.function,
            argument: self.argument,
            valid_up_to: error.valid_up_to(),
        })
    }

    /// The bytes as a UUID.
    pub(crate) fn read_uuid(&self, memory: &[u8]) -> Result<Uuid, Fault> {
        let bytes = self.read(memory)?;
        Ok(Uuid::from_slice(bytes).unwrap_or_default())
    }
}

/// The bytes of a block that the guest's `wasm_alloc` handed out.
pub(crate) fn block(memory: &mut [u8], pointer: u32, bytes: u32) -> Result<&mut [u8], Fault> {
    let size = memory.len() as u64;
    range(pointer, bytes).and_then(|range| memory.get_mut(range)).ok_or(Fault::BadBlock {
        pointer,
        bytes,
        memory: size,
    })
}

/// The state that a migration returned: its length as `u32`, then its bytes.
pub(crate) fn migrated(memory: &[u8], pointer: u32) -> Result<&[u8], Fault> {
    let bad = |bytes: u32| Fault::MigratedState { pointer, bytes, memory: memory.len() as u64 };
    let header = range(pointer, REPLY_HEADER_BYTES).and_then(|range| memory.get(range)?.first_chunk::<4>());
    let length = u32::from_le_bytes(*header.ok_or(bad(REPLY_HEADER_BYTES))?);
    let start = pointer.checked_add(REPLY_HEADER_BYTES).ok_or(bad(length))?;
    range(start, length).and_then(|range| memory.get(range)).ok_or(bad(length))
}

fn range(pointer: u32, length: u32) -> Option<Range<usize>> {
    let start = usize::try_from(pointer).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_holds_only_inside_memory() {
        let memory = [7_u8; 64];
        let read = |pointer: i32, length: i32| {
            Claim::bytes(HostFunction::Log, "ptr", pointer, length).read(&memory).map(<[u8]>::len)
        };
        assert_eq!(read(0, 64), Ok(64));
        assert_eq!(read(64, 0), Ok(0));
        for (pointer, length) in
            [(1, 64), (64, 1), (65, 0), (-1, 1), (-1, 0), (0, -1), (-8, -8), (i32::MIN, 1)]
        {
            assert!(read(pointer, length).is_err(), "{length} bytes at {pointer}");
        }
        assert!(Claim::uuid(HostFunction::Log, "id", 49).read_uuid(&memory).is_err());
        assert!(Claim::uuid(HostFunction::Log, "id", 48).read_uuid(&memory).is_ok());
    }
}
