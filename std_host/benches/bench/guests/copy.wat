;; Blocks of 16 to 4,096 bytes that are copied about, as by a program that puts together strings and buffers.
(module
  (memory (export "memory") 4)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 200000))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (local $times i32) (local $size i32)
    (local.set $times (i32.const 12000))
    (loop $again
      (local.set $size (i32.const 16))
      (loop $sizes
        (memory.copy
          (i32.add (i32.const 65536) (i32.and (local.get $times) (i32.const 4095)))
          (i32.add (i32.const 4096) (local.get $size))
          (local.get $size))
        (br_if $sizes
          (i32.le_u
            (local.tee $size (i32.shl (local.get $size) (i32.const 2)))
            (i32.const 4096))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (i32.const 0)))
