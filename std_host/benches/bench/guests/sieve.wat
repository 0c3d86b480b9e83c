;; The sieve of Eratosthenes over 262,144 bytes: short loops of loads, stores and branches.
(module
  (memory (export "memory") 5)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 262144))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (local $i i32) (local $j i32) (local $primes i32)
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 262144))
    (local.set $i (i32.const 2))
    (loop $next
      (if (i32.load8_u (local.get $i))
        (then
          (local.set $primes (i32.add (local.get $primes) (i32.const 1)))
          (local.set $j (i32.shl (local.get $i) (i32.const 1)))
          (if (i32.lt_u (local.get $j) (i32.const 262144))
            (then
              (loop $strike
                (i32.store8 (local.get $j) (i32.const 0))
                (br_if $strike
                  (i32.lt_u
                    (local.tee $j (i32.add (local.get $j) (local.get $i)))
                    (i32.const 262144))))))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 262144))))
    ;; There are 23,000 primes below 262,144.
    (i32.shl (i32.ne (local.get $primes) (i32.const 23000)) (i32.const 1))))
