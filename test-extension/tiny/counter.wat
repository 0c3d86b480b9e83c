;; The job `counter` of test-extension by hand, in a kilobyte: for boards with a few KiB to spare, and to show what the ABI
;; asks of a guest that no SDK helps. It says and writes what the others do, to the byte, so that a job can move between
;; them. It is short with what it does not expect: of a state it reads only the numbers, and where a checkpoint is not
;; durable it fails without a word.
;;
;; Its memory is counted in bytes, of which it needs 1,024. `(memory (export "memory") 1)` instead makes it a guest for
;; hosts that know only pages of 64 KiB.
;;
;;      0   the numbers of the state, 8 bytes for each letter that a key may begin with: from `a` at 8 on
;;    224   the job's id, 16 bytes
;;    240   the text that is being written, of at most 94 bytes
;;    336   texts that are always the same
;;    432   what the host hands over: its context and the state
(module
  (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
  (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
  (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
  (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
  (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))

  (memory (export "memory") 1024 1024 (pagesize 1))
  (data (i32.const 336)
    (; 336 ;) "{\22current\22:"
    (; 347 ;) ",\22target\22:"
    (; 357 ;) ",\22processed\22:"
    (; 370 ;) "}"
    (; 371 ;) "✓ Completed!"
    (; 385 ;) "Counted "
    (; 393 ;) "/"
    (; 394 ;) "Starting counter (current: "
    (; 421 ;) ", target: "
    (; 431 ;) ")")

  ;; The first free byte for the host, and the end of the text that is being written.
  (global $free (mut i32) (i32.const 432))
  (global $end (mut i32) (i32.const 0))

  ;; Blocks one behind the other. All of them are free again once the job has read them.
  (func (export "wasm_alloc") (param $size i32) (result i32)
    (if (i32.gt_u (local.get $size) (i32.sub (i32.const 1024) (global.get $free)))
      (then (return (i32.const 0))))
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))

  ;; Nothing registers the job: an export with such a name is one.
  (func (export "execute_counter") (param $context i32) (param $context_length i32) (param $state i32) (param $length i32)
        (result i32)
    (call $read_id (local.get $context))
    ;; A target that no key gives is 100.
    (i64.store (i32.const 0xa0) (i64.const 100))
    (call $read_state (local.get $state) (i32.add (local.get $state) (local.get $length)))
    (global.set $free (i32.const 432))
    (call $begin (i32.const 394) (i32.const 27))
    (call $number (call $current))
    (call $text (i32.const 421) (i32.const 10))
    (call $number (call $target))
    (call $text (i32.const 431) (i32.const 1))
    (call $log (i32.const 1) (i32.const 240) (call $written))
    (block $done
      (loop $next
        (br_if $done (i64.ge_u (call $current) (call $target)))
        (if (call $interrupt (i32.const 224))
          ;; 1 is interrupted, 2 is failed.
          (then (return (i32.add (call $save) (i32.const 1)))))
        (i64.store (i32.const 0x18) (i64.add (call $current) (i64.const 1)))
        (i64.store (i32.const 0x80) (i64.add (i64.load (i32.const 0x80)) (i64.const 1)))
        (call $items (i32.const 224) (i64.const 1))
        (call $begin (i32.const 385) (i32.const 8))
        (call $number (call $current))
        (call $text (i32.const 393) (i32.const 1))
        (call $number (call $target))
        (call $progress
          (i32.const 224)
          (f32.div (f32.convert_i64_u (call $current)) (f32.convert_i64_u (call $target)))
          (i32.const 240)
          (call $written))
        (br_if $next (i64.ne (i64.rem_u (call $current) (i64.const 10)) (i64.const 0)))
        (br_if $next (i32.eqz (call $save)))
        (return (i32.const 2))))
    (call $log (i32.const 1) (i32.const 371) (i32.const 14))
    (i32.const 0))

  (func $current (result i64) (i64.load (i32.const 0x18)))
  (func $target (result i64) (i64.load (i32.const 0xa0)))

  ;; The host's context is JSON. The text after the key that begins with `j` is the job's id.
  (func $read_id (param $at i32)
    (local $digits i32) (local $digit i32)
    (loop $key
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $key (i32.ne (i32.load16_u (local.get $at)) (i32.const 0x6a22))))
    ;; The key takes 8 bytes. Quotes, hyphens and blanks lie below the digits in ASCII.
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (loop $next
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $digit (i32.load8_u (local.get $at)))
      (br_if $next (i32.lt_u (local.get $digit) (i32.const 0x30)))
      ;; Letters have another bit than digits, and `a` is 10.
      (if (i32.and (local.get $digit) (i32.const 0x40))
        (then (local.set $digit (i32.add (local.get $digit) (i32.const 9)))))
      (i32.store8 offset=224
        (i32.shr_u (local.get $digits) (i32.const 1))
        (i32.or
          (i32.shl (i32.load8_u offset=224 (i32.shr_u (local.get $digits) (i32.const 1))) (i32.const 4))
          (i32.and (local.get $digit) (i32.const 15))))
      (br_if $next
        (i32.lt_u (local.tee $digits (i32.add (local.get $digits) (i32.const 1))) (i32.const 32)))))

  ;; A quote and a letter begin a key, and what digits follow are its number.
  (func $read_state (param $at i32) (param $end i32)
    (local $byte i32) (local $key i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $byte (i32.load8_u (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (if (i32.eq (local.get $byte) (i32.const 0x22))
          (then
            (local.set $byte (i32.load8_u (local.get $at)))
            (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 0x61)) (i32.const 26))
              (then
                (local.set $key (i32.shl (i32.and (local.get $byte) (i32.const 31)) (i32.const 3)))
                (i64.store (local.get $key) (i64.const 0))))
            (br $next)))
        (local.set $byte (i32.sub (local.get $byte) (i32.const 0x30)))
        (br_if $next (i32.gt_u (local.get $byte) (i32.const 9)))
        (i64.store
          (local.get $key)
          (i64.add
            (i64.mul (i64.load (local.get $key)) (i64.const 10))
            (i64.extend_i32_u (local.get $byte))))
        (br $next))))

  ;; Writes the state, and says 0 where it is durable, else 1.
  (func $save (result i32)
    (call $begin (i32.const 336) (i32.const 11))
    (call $number (call $current))
    (call $text (i32.const 347) (i32.const 10))
    (call $number (call $target))
    (call $text (i32.const 357) (i32.const 13))
    (call $number (i64.load (i32.const 0x80)))
    (call $text (i32.const 370) (i32.const 1))
    (call $checkpoint (i32.const 224) (i32.const 240) (call $written)))

  (func $begin (param $from i32) (param $length i32)
    (global.set $end (i32.const 240))
    (call $text (local.get $from) (local.get $length)))

  (func $text (param $from i32) (param $length i32)
    (memory.copy (global.get $end) (local.get $from) (local.get $length))
    (global.set $end (i32.add (global.get $end) (local.get $length))))

  (func $number (param $number i64)
    (if (i64.ge_u (local.get $number) (i64.const 10))
      (then (call $number (i64.div_u (local.get $number) (i64.const 10)))))
    (i32.store8
      (global.get $end)
      (i32.add (i32.const 0x30) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))

  (func $written (result i32) (i32.sub (global.get $end) (i32.const 240))))
