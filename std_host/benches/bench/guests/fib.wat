;; Fibonacci's numbers by recursion: calls and nothing else.
(module
  (memory (export "memory") 1)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 1024))
  (func $fib (param $n i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else
        (i32.add
          (call $fib (i32.sub (local.get $n) (i32.const 1)))
          (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (i32.shl (i32.ne (call $fib (i32.const 24)) (i32.const 46368)) (i32.const 1))))
