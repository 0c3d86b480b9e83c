//! Small guests.

use toehold::{Manifest, Package, Permissions};

/// A package of a module in text, which may call anything.
pub(crate) fn package(id: &str, wat: &str) -> Vec<u8> {
    let permissions = Permissions { methods: vec![String::new()], ..Permissions::default() };
    let manifest = Manifest::new(id).unwrap().with_permissions(permissions);
    Package::pack(&manifest, b"", &wat::parse_str(wat).unwrap())
}

/// Jobs that count up to the number that the first character of their state stands for (`0` for none, `1` for one, then as in
/// ASCII); the second character is how far they are.
///
/// - `count`: checkpoints after each item, and asks whether to stop before each.
/// - `deaf`: the same, but never asks.
/// - `tally`: the same as `count`, and calls `action:mark` for each item.
/// - `spin`: computes for ever.
/// - `fail`: traps.
/// - `nap`: sleeps for as many milliseconds as its payload says, then is done.
/// - `log`: logs `target` lines.
pub(crate) const JOBS: &str = r#"(module
    (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
    (import "spacedrive" "job_check_interrupt" (func $check (param i32) (result i32)))
    (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "Counted")
    (data (i32.const 80) "action:sleep")
    (data (i32.const 96) "{\"ms\": 5000}")
    (data (i32.const 112) "action:mark")
    (global $free (mut i32) (i32.const 1024))
    (func (export "wasm_alloc") (param i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (i32.and (i32.add (local.get 0) (i32.const 15)) (i32.const -8)))))
    ;; The job's id, in binary, from its text in the context: {"job_id":"…
    (func $id (param $ctx i32) (local $from i32) (local $to i32) (local $byte i32) (local $half i32)
        (local.set $from (i32.add (local.get $ctx) (i32.const 11)))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $to) (i32.const 32)))
            (local.set $byte (i32.load8_u (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br_if $next (i32.eq (local.get $byte) (i32.const 45)))
            (local.set $half (select (i32.sub (local.get $byte) (i32.const 87)) (i32.sub (local.get $byte) (i32.const 48))
                (i32.gt_u (local.get $byte) (i32.const 57))))
            (i32.store8 (i32.shr_u (local.get $to) (i32.const 1))
                (i32.or (i32.shl (i32.load8_u (i32.shr_u (local.get $to) (i32.const 1))) (i32.const 4)) (local.get $half)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br $next))))
    (func $run (param $state i32) (param $asks i32) (param $marks i32) (result i32)
        (block $done (loop $next
            (br_if $done (i32.ge_u (i32.load8_u offset=1 (local.get $state)) (i32.load8_u (local.get $state))))
            (if (local.get $asks) (then
                (if (call $check (i32.const 0)) (then
                    (drop (call $checkpoint (i32.const 0) (local.get $state) (i32.const 2)))
                    (return (i32.const 1))))))
            (i32.store8 offset=1 (local.get $state) (i32.add (i32.load8_u offset=1 (local.get $state)) (i32.const 1)))
            (if (local.get $marks) (then
                (drop (call $call (i32.const 112) (i32.const 11) (i32.const 0) (i32.const 0) (i32.const 0)))))
            (call $items (i32.const 0) (i64.const 1))
            (call $progress (i32.const 0)
                (f32.div (f32.convert_i32_u (i32.sub (i32.load8_u offset=1 (local.get $state)) (i32.const 48)))
                    (f32.convert_i32_u (i32.sub (i32.load8_u (local.get $state)) (i32.const 48))))
                (i32.const 64) (i32.const 7))
            (drop (call $checkpoint (i32.const 0) (local.get $state) (i32.const 2)))
            (br $next)))
        (i32.const 0))
    (func (export "execute_count") (param $ctx i32) (param i32) (param $state i32) (param i32) (result i32)
        (call $id (local.get $ctx)) (call $run (local.get $state) (i32.const 1) (i32.const 0)))
    (func (export "execute_tally") (param $ctx i32) (param i32) (param $state i32) (param i32) (result i32)
        (call $id (local.get $ctx)) (call $run (local.get $state) (i32.const 1) (i32.const 1)))
    (func (export "execute_deaf") (param $ctx i32) (param i32) (param $state i32) (param i32) (result i32)
        (call $id (local.get $ctx)) (call $run (local.get $state) (i32.const 0) (i32.const 0)))
    (func (export "execute_spin") (param i32 i32 i32 i32) (result i32) (loop $l (br $l)) (unreachable))
    (func (export "execute_fail") (param i32 i32 i32 i32) (result i32) (unreachable))
    (func (export "execute_nap") (param i32 i32 i32 i32) (result i32)
        (drop (call $call (i32.const 80) (i32.const 12) (i32.const 0) (i32.const 96) (i32.const 12)))
        (i32.const 0))
    (func (export "execute_log") (param i32 i32) (param $state i32) (param i32) (result i32)
        (loop $next
            (call $log (i32.const 1) (i32.const 64) (i32.const 7))
            (i32.store8 (local.get $state) (i32.sub (i32.load8_u (local.get $state)) (i32.const 1)))
            (br_if $next (i32.gt_u (i32.load8_u (local.get $state)) (i32.const 48))))
        (i32.const 0)))"#;

/// A state for [`JOBS`], which can be typed. `to` is at most 78.
pub(crate) fn state(to: u8) -> String {
    format!("{}0", char::from(b'0' + to))
}
