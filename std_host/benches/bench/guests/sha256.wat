;; SHA-256's compression of 1,000 blocks: rotations and additions on ten locals, with its tables in memory.
(module
  (memory (export "memory") 1)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 32768))
  ;; The round constants are at 0, the message schedule at 256, the state at 512.
  (func $constants
    (local $i i32) (local $x i32)
    (local.set $x (i32.const 0x428a2f98))
    (loop $next
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $x))
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64)))))
  (func $schedule
    (local $at i32) (local $w i32) (local $v i32)
    (loop $next
      (local.set $w (i32.load offset=260 (local.get $at)))
      (local.set $v (i32.load offset=312 (local.get $at)))
      (i32.store offset=320
        (local.get $at)
        (i32.add
          (i32.add
            (i32.load offset=256 (local.get $at))
            (i32.xor
              (i32.xor
                (i32.rotr (local.get $w) (i32.const 7))
                (i32.rotr (local.get $w) (i32.const 18)))
              (i32.shr_u (local.get $w) (i32.const 3))))
          (i32.add
            (i32.load offset=292 (local.get $at))
            (i32.xor
              (i32.xor
                (i32.rotr (local.get $v) (i32.const 17))
                (i32.rotr (local.get $v) (i32.const 19)))
              (i32.shr_u (local.get $v) (i32.const 10))))))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 192)))))
  (func $compress
    (local $at i32) (local $a i32) (local $b i32) (local $c i32) (local $d i32)
    (local $e i32) (local $f i32) (local $g i32) (local $h i32) (local $t i32)
    (call $schedule)
    (local.set $a (i32.load offset=512 (i32.const 0)))
    (local.set $b (i32.load offset=516 (i32.const 0)))
    (local.set $c (i32.load offset=520 (i32.const 0)))
    (local.set $d (i32.load offset=524 (i32.const 0)))
    (local.set $e (i32.load offset=528 (i32.const 0)))
    (local.set $f (i32.load offset=532 (i32.const 0)))
    (local.set $g (i32.load offset=536 (i32.const 0)))
    (local.set $h (i32.load offset=540 (i32.const 0)))
    (loop $round
      (local.set $t
        (i32.add
          (i32.add
            (i32.add
              (local.get $h)
              (i32.xor
                (i32.xor
                  (i32.rotr (local.get $e) (i32.const 6))
                  (i32.rotr (local.get $e) (i32.const 11)))
                (i32.rotr (local.get $e) (i32.const 25))))
            (i32.xor
              (i32.and (i32.xor (local.get $f) (local.get $g)) (local.get $e))
              (local.get $g)))
          (i32.add
            (i32.load (local.get $at))
            (i32.load offset=256 (local.get $at)))))
      (local.set $h (local.get $g))
      (local.set $g (local.get $f))
      (local.set $f (local.get $e))
      (local.set $e (i32.add (local.get $d) (local.get $t)))
      (local.set $d (local.get $c))
      (local.set $t
        (i32.add
          (local.get $t)
          (i32.add
            (i32.xor
              (i32.xor
                (i32.rotr (local.get $a) (i32.const 2))
                (i32.rotr (local.get $a) (i32.const 13)))
              (i32.rotr (local.get $a) (i32.const 22)))
            (i32.or
              (i32.and (local.get $a) (local.get $b))
              (i32.and (i32.or (local.get $a) (local.get $b)) (local.get $c))))))
      (local.set $c (local.get $b))
      (local.set $b (local.get $a))
      (local.set $a (local.get $t))
      (br_if $round
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 256))))
    (i32.store offset=512 (i32.const 0) (i32.add (i32.load offset=512 (i32.const 0)) (local.get $a)))
    (i32.store offset=516 (i32.const 0) (i32.add (i32.load offset=516 (i32.const 0)) (local.get $b)))
    (i32.store offset=520 (i32.const 0) (i32.add (i32.load offset=520 (i32.const 0)) (local.get $c)))
    (i32.store offset=524 (i32.const 0) (i32.add (i32.load offset=524 (i32.const 0)) (local.get $d)))
    (i32.store offset=528 (i32.const 0) (i32.add (i32.load offset=528 (i32.const 0)) (local.get $e)))
    (i32.store offset=532 (i32.const 0) (i32.add (i32.load offset=532 (i32.const 0)) (local.get $f)))
    (i32.store offset=536 (i32.const 0) (i32.add (i32.load offset=536 (i32.const 0)) (local.get $g)))
    (i32.store offset=540 (i32.const 0) (i32.add (i32.load offset=540 (i32.const 0)) (local.get $h))))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (local $blocks i32)
    (call $constants)
    (local.set $blocks (i32.const 1000))
    (loop $next
      (i32.store offset=256 (i32.const 0) (local.get $blocks))
      (call $compress)
      (br_if $next (local.tee $blocks (i32.sub (local.get $blocks) (i32.const 1)))))
    (i32.const 0)))
