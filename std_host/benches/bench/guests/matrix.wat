;; A product of two matrices of 80 by 80 f64, twice.
(module
  (memory (export "memory") 4)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 200000))
  (func $fill (param $at i32)
    (local $k i32)
    (loop $next
      (f64.store
        (i32.add (local.get $at) (i32.shl (local.get $k) (i32.const 3)))
        (f64.convert_i32_u (i32.rem_u (i32.mul (local.get $k) (i32.const 7)) (i32.const 13))))
      (br_if $next
        (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 6400)))))
  (func $multiply
    (local $row i32) (local $column i32) (local $k i32) (local $a i32) (local $b i32) (local $sum f64)
    (loop $rows
      (local.set $column (i32.const 0))
      (loop $columns
        (local.set $a (i32.mul (local.get $row) (i32.const 640)))
        (local.set $b (i32.shl (local.get $column) (i32.const 3)))
        (local.set $sum (f64.const 0))
        (local.set $k (i32.const 80))
        (loop $products
          (local.set $sum
            (f64.add
              (local.get $sum)
              (f64.mul (f64.load (local.get $a)) (f64.load offset=51200 (local.get $b)))))
          (local.set $a (i32.add (local.get $a) (i32.const 8)))
          (local.set $b (i32.add (local.get $b) (i32.const 640)))
          (br_if $products (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
        (f64.store offset=102400
          (i32.add
            (i32.mul (local.get $row) (i32.const 640))
            (i32.shl (local.get $column) (i32.const 3)))
          (local.get $sum))
        (br_if $columns
          (i32.lt_u
            (local.tee $column (i32.add (local.get $column) (i32.const 1)))
            (i32.const 80))))
      (br_if $rows
        (i32.lt_u (local.tee $row (i32.add (local.get $row) (i32.const 1))) (i32.const 80)))))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (call $fill (i32.const 0))
    (call $fill (i32.const 51200))
    (call $multiply)
    (call $multiply)
    (i32.const 0)))
