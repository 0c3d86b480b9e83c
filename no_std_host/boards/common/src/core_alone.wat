;; Counts a million items, one for each round of a loop. The memory stays zero, so that there is the job's id at 0.
(module
  (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
  (memory (export "memory") 1 1)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "execute_count") (param i32 i32 i32 i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 1000000))
    (loop $more
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (call $items (i32.const 0) (i64.const 1000000))
    (i32.const 0)))
