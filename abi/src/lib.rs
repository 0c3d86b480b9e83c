//! Toehold's guest ABI, version 1: the names, codes and signatures that a host and a guest must agree on.
//!
//! Both sides read them from here: the core (crate `toehold`) links its host functions under these names, the SDK
//! imports them, and neither can drift from the other. The ABI is fixed, since guests that were built years ago must
//! run; `docs/abi.md` has the whole of it in prose.
//!
//! The crate has no dependencies and needs no allocator. The only code in it that does something is for what both sides
//! must write and read alike: a step of progress ([`ProgressStep`]).

#![no_std]
#![forbid(unsafe_code)]

mod codes;
mod names;
mod progress;
mod signature;

pub use codes::{Checkpointed, Interrupt, JobResult, LogLevel, Registered};
pub use names::{
    ALLOC, CLEANUP, EXECUTE_PREFIX, FREE, HostFunction, IMPORT_MODULE, INIT, MEMORY, MIGRATE_PREFIX,
};
pub use progress::ProgressStep;
pub use signature::{EXECUTE_SIGNATURE, MIGRATE_SIGNATURE, Signature, ValueType};

/// The version of this ABI.
pub const ABI_VERSION: u32 = 1;

/// Bytes of a job id or a library id in guest memory: a UUID in RFC 4122 (big-endian) order.
pub const UUID_BYTES: u32 = 16;

/// Bytes of the little-endian length that stands before the JSON of a reply, and before a migrated state.
pub const REPLY_HEADER_BYTES: u32 = 4;

/// What a method's name starts with when calling it changes nothing outside the job.
///
/// A call of any other method counts as an effect, which must not be carried out twice.
pub const QUERY_PREFIX: &str = "query:";
