//! What guests may call, and how a call is carried out.
//!
//! ```text
//! toehold::Call + Grants ──► CallContext ──► Operations::carry_out ──► toehold::Reply
//!                                             decode In, operate, encode Out
//! ```
//!
//! A call that arrives here went through the manifest's permissions and the host's limits already. An operation is a
//! function of a [`CallContext`] and its input; [`Operations::register`] adds one, typed by serde, and
//! [`Operations::register_async`] one that is a future. [`Grants`] are what the operator gives one extension: its
//! configuration, and the folders that it may read and write ([`FileAccess`]).
//!
//! # The operations that are built in
//!
//! Queries change nothing outside the job. Numbers are integers, `data` and `bytes` are standard
//! base64 with padding. Keys that an operation does not know are ignored.
//!
//! | method | input | output |
//! | --- | --- | --- |
//! | `query:ping` | anything | `{"pong": true, "echo": input}`; no `echo` for no input |
//! | `query:time.now` | none | `{"unix_ms": 1735689600000}`: milliseconds since 1970, UTC |
//! | `query:random.bytes` | `{"length": 16}`: 1 to 4,096 bytes | `{"bytes": "…"}` of the system's generator |
//! | `query:config.get` | `{"key": "a.b"}`; no key for all | `{"value": …}`, null where nothing is set |
//! | `query:fs.list` | `{"path": "samples"}` | `{"entries": [{"name", "kind", "size"}], "skipped": 0}` |
//! | `query:fs.read` | `{"path": "samples/a.txt", "offset": 0, "length": 32768}` | `{"data": "…", "size": 123}` |
//! | `query:http.fetch` | `{"url": "https://api.example.com/a"}` | `{"status", "headers", "body" or "body_base64", "url"}` |
//! | `action:http.fetch` | `{"url", "method": "POST", "headers", "body"}` | the same |
//! | `action:fs.write` | `{"path": "/srv/out/a.txt", "data": "…", "offset": 0}` | `{"size": 123}`: of the whole file |
//!
//! - `fs.list`: sorted by the bytes of `name`. `kind` is `file`, `folder` or `other`; a symbolic link counts as what it
//!   leads to, or as `other` where it leads out of the allowed folders or nowhere. `size` is in bytes, 0 for all that
//!   is no file. `skipped` counts names that are not UTF-8. A folder of more than 10,000 entries is an error.
//! - `fs.read`: at most 1 MiB (1,048,576 bytes) in one call; more is an error. `offset` is 0 if it is left out, `length`
//!   1 MiB. `size` is the whole file's, in bytes. The data ends at `size`, and is empty from there on.
//! - `fs.write`: at most 1 MiB in one call. Without `offset` the whole file is replaced in one go, with it the bytes are
//!   written there, and `offset` may not be beyond the file's end. Durable before the reply; twice is as good as once.
//! - `http.fetch`: within `permissions.network_access` and what the operator allows ([`NetworkOptions`]); docs/operations.md
//!   has the rules and limits. The query takes GET and HEAD, the action POST, PUT, PATCH and DELETE.

mod config;
mod context;
mod file_access;
mod fs_list;
mod fs_read;
mod fs_write;
mod http;
mod payload;
mod ping;
mod random;
mod resolve;
mod table;
mod task;
#[cfg(test)]
mod testing;
mod time;

pub use context::{AsyncContext, CallContext, Grants};
pub use file_access::{FileAccess, FileAccessError, FileGrants, RefusalReason, RefusedFolder};
pub use http::{
    HostPattern, HttpLimits, NetworkAccess, NetworkOptions, NetworkRule, PatternError, Secret, SecretError,
};
pub use resolve::FileError;
pub(crate) use table::Way;
pub use table::{Operations, RegisterError};
pub(crate) use task::{LazyRuntime, Task, cancelled};
