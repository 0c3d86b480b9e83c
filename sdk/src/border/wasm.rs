//! The border in WebAssembly, and all of the SDK's unsafe code.
//!
//! Pointers are `i32` in the ABI and offsets into the guest's one memory. The host writes only into blocks that it got
//! from `wasm_alloc`, and each of them belongs to the guest from then on.

#![allow(unsafe_code)]

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::ops::Deref;
use core::ptr;
use core::slice;

use toehold_abi::{JobResult, LogLevel, REPLY_HEADER_BYTES};

use crate::{JobContext, JobInfo, Result, State, Uuid, glue};

mod imports {
    #[link(wasm_import_module = "spacedrive")]
    unsafe extern "C" {
        pub(super) fn spacedrive_call(
            method: *const u8,
            method_len: usize,
            library_id: *const u8,
            payload: *const u8,
            payload_len: usize,
        ) -> *mut u8;
        pub(super) fn spacedrive_log(level: i32, text: *const u8, text_len: usize);
        pub(super) fn job_report_progress(
            job_id: *const u8,
            progress: f32,
            message: *const u8,
            message_len: usize,
        );
        pub(super) fn job_checkpoint(job_id: *const u8, state: *const u8, state_len: usize) -> i32;
        pub(super) fn job_check_interrupt(job_id: *const u8) -> i32;
        pub(super) fn job_add_warning(job_id: *const u8, message: *const u8, message_len: usize);
        pub(super) fn job_increment_bytes(job_id: *const u8, count: u64);
        pub(super) fn job_increment_items(job_id: *const u8, count: u64);
        pub(super) fn register_job(
            name: *const u8,
            name_len: usize,
            export: *const u8,
            export_len: usize,
            resumable: i32,
        ) -> i32;
    }
}

pub(crate) fn log(level: LogLevel, text: &str) {
    // SAFETY: the host only reads the text, within its length.
    unsafe { imports::spacedrive_log(level.code(), text.as_ptr(), text.len()) }
}

pub(crate) fn report_progress(job_id: &Uuid, progress: f32, message: &str) {
    let id = job_id.as_bytes().as_ptr();
    // SAFETY: the host only reads 16 bytes of the id, and the message within its length.
    unsafe { imports::job_report_progress(id, progress, message.as_ptr(), message.len()) }
}

pub(crate) fn checkpoint(job_id: &Uuid, state: &[u8]) -> i32 {
    // SAFETY: the host only reads 16 bytes of the id, and the state within its length.
    unsafe { imports::job_checkpoint(job_id.as_bytes().as_ptr(), state.as_ptr(), state.len()) }
}

pub(crate) fn check_interrupt(job_id: &Uuid) -> i32 {
    // SAFETY: the host only reads 16 bytes of the id.
    unsafe { imports::job_check_interrupt(job_id.as_bytes().as_ptr()) }
}

pub(crate) fn add_warning(job_id: &Uuid, message: &str) {
    let id = job_id.as_bytes().as_ptr();
    // SAFETY: the host only reads 16 bytes of the id, and the message within its length.
    unsafe { imports::job_add_warning(id, message.as_ptr(), message.len()) }
}

pub(crate) fn increment_bytes(job_id: &Uuid, count: u64) {
    // SAFETY: the host only reads 16 bytes of the id.
    unsafe { imports::job_increment_bytes(job_id.as_bytes().as_ptr(), count) }
}

pub(crate) fn increment_items(job_id: &Uuid, count: u64) {
    // SAFETY: the host only reads 16 bytes of the id.
    unsafe { imports::job_increment_items(job_id.as_bytes().as_ptr(), count) }
}

pub(crate) fn register_job(job: &JobInfo) -> i32 {
    // SAFETY: the host only reads both texts, within their lengths.
    unsafe {
        imports::register_job(
            job.name.as_ptr(),
            job.name.len(),
            job.export.as_ptr(),
            job.export.len(),
            i32::from(job.resumable),
        )
    }
}

/// The JSON that the host replies, or `None` where it could not write any.
pub(crate) fn call(method: &str, library_id: Option<&Uuid>, payload: &[u8]) -> Option<Block> {
    let library = library_id.map_or(ptr::null(), |id| id.as_bytes().as_ptr());
    // SAFETY: the host only reads the method and the payload within their lengths, and 16 bytes of an id that is not
    // null. What it replies is null or a block as below.
    let reply = unsafe {
        imports::spacedrive_call(method.as_ptr(), method.len(), library, payload.as_ptr(), payload.len())
    };
    if reply.is_null() {
        return None;
    }
    // SAFETY: by the ABI a reply that is not null is a block from `wasm_alloc`, 8-aligned, that starts with the JSON's
    // length, is `4 + length` bytes long, was written in full and is the guest's now.
    unsafe {
        let length = reply.cast::<u32>().read() as usize;
        let header = REPLY_HEADER_BYTES as usize;
        Some(Block { start: reply, size: header + length, skip: header })
    }
}

/// What the export of a job calls.
///
/// # Safety
///
/// Only for the host, through the export: each pair of pointer and length is a block from `wasm_alloc` that was made
/// with exactly this length, was written in full, and is handed over. A length of 0 is no block at all.
pub unsafe fn execute<S: State>(
    ctx_ptr: i32,
    ctx_len: i32,
    state_ptr: i32,
    state_len: i32,
    job: fn(&JobContext, &mut S) -> Result<()>,
) -> i32 {
    // SAFETY: both are as this function's own contract says.
    let (ctx, state) = unsafe { (Block::of(ctx_ptr, ctx_len), Block::of(state_ptr, state_len)) };
    let result: JobResult = glue::execute(ctx, state, job);
    result.code()
}

/// What the export of a migration calls.
///
/// # Safety
///
/// Only for the host, through the export: the pair of pointer and length is as for [`execute`].
pub unsafe fn migrate<S: State>(
    version: u32,
    from_version: i32,
    state_ptr: i32,
    state_len: i32,
    migration: fn(u32, &[u8]) -> Result<S>,
) -> i32 {
    // SAFETY: it is as this function's own contract says.
    let old = unsafe { Block::of(state_ptr, state_len) };
    match glue::migrate(version, from_version as u32, old, migration) {
        Some(state) => hand_over(&state),
        None => 0,
    }
}

/// A block for the host to read and to free: the length of the bytes, and the bytes. 0 means out of memory.
fn hand_over(bytes: &[u8]) -> i32 {
    let header = (bytes.len() as u32).to_le_bytes();
    let Some(layout) = bytes.len().checked_add(header.len()).and_then(layout) else {
        return 0;
    };
    // SAFETY: the layout is not of size 0.
    let block = unsafe { alloc(layout) };
    if block.is_null() {
        log(LogLevel::Error, "no memory is left to hand over the migrated state");
        return 0;
    }
    // SAFETY: the block is new and as long as header and bytes together.
    unsafe {
        ptr::copy_nonoverlapping(header.as_ptr(), block, header.len());
        ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(header.len()), bytes.len());
    }
    block.expose_provenance() as i32
}

/// Bytes that the host wrote and handed over; freed when dropped.
pub(crate) struct Block {
    start: *mut u8,
    size: usize,
    /// Bytes at the start that are not content.
    skip: usize,
}

impl Block {
    /// # Safety
    ///
    /// As for [`execute`].
    unsafe fn of(start: i32, size: i32) -> Self {
        Self {
            start: ptr::with_exposed_provenance_mut(start as u32 as usize),
            size: size as u32 as usize,
            skip: 0,
        }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.size == 0 {
            return &[];
        }
        // SAFETY: whoever made the block vouched for `size` written bytes, of which `skip` are not content.
        unsafe { slice::from_raw_parts(self.start.add(self.skip), self.size - self.skip) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: whoever made the block vouched that it came from `wasm_alloc` with this size, and it is dropped once.
        unsafe { free(self.start, self.size) }
    }
}

/// The layout of a block of this many bytes; `None` for no bytes and for more than memory can hold.
fn layout(size: usize) -> Option<Layout> {
    if size == 0 {
        return None;
    }
    // Hosts may write whole words, so blocks are aligned like those of C's malloc.
    Layout::from_size_align(size, ALIGN).ok()
}

const ALIGN: usize = 8;

/// A block for the host to write into; 0 means out of memory.
///
/// A block of no bytes takes no memory: it gets an address that is not 0, and freeing it does nothing.
#[unsafe(no_mangle)]
extern "C" fn wasm_alloc(size: i32) -> i32 {
    if size == 0 {
        return ALIGN as i32;
    }
    match layout(size as u32 as usize) {
        // SAFETY: the layout is not of size 0.
        Some(layout) => unsafe { alloc(layout) }.expose_provenance() as i32,
        None => 0,
    }
}

/// Takes a block back. Null and blocks of no bytes are left alone.
///
/// # Safety
///
/// Only for the host: the block came from `wasm_alloc` with this very size and has not been handed over, or it is what a
/// migration returned, of 4 + length bytes. It has not been freed.
#[unsafe(no_mangle)]
unsafe extern "C" fn wasm_free(block: i32, size: i32) {
    // SAFETY: as this function's own contract says.
    unsafe {
        free(ptr::with_exposed_provenance_mut(block as u32 as usize), size as u32 as usize);
    }
}

/// # Safety
///
/// As for [`wasm_free`].
unsafe fn free(block: *mut u8, size: usize) {
    if let (false, Some(layout)) = (block.is_null(), layout(size)) {
        // SAFETY: the block came from `wasm_alloc` or `hand_over`, which used the same layout for this size.
        unsafe { dealloc(block, layout) }
    }
}
