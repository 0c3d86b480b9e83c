;; Counts words, lines and digits of a text, byte by byte through a `br_table`, as parsers do.
(module
  (memory (export "memory") 3)
  (func (export "wasm_alloc") (param i32) (result i32) (i32.const 131072))
  (func $text
    (local $i i32)
    (loop $next
      (i32.store8 offset=4096
        (local.get $i)
        (i32.load8_u (i32.add (i32.const 16) (i32.rem_u (local.get $i) (i32.const 83)))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 65536)))))
  (func $class (param $byte i32) (result i32)
    (if (i32.eq (local.get $byte) (i32.const 10)) (then (return (i32.const 0))))
    (if (i32.eq (local.get $byte) (i32.const 32)) (then (return (i32.const 1))))
    (if (i32.lt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 10))
      (then (return (i32.const 2))))
    (i32.const 3))
  (func $count (result i32)
    (local $at i32) (local $inside i32) (local $words i32) (local $lines i32) (local $digits i32)
    (loop $next
      (block $done
        (block $letter
          (block $digit
            (block $space
              (block $line
                (br_table $line $space $digit $letter
                  (call $class (i32.load8_u offset=4096 (local.get $at)))))
              (local.set $lines (i32.add (local.get $lines) (i32.const 1))))
            (local.set $inside (i32.const 0))
            (br $done))
          (local.set $digits (i32.add (local.get $digits) (i32.const 1))))
        (local.set $words
          (i32.add (local.get $words) (i32.eqz (local.get $inside))))
        (local.set $inside (i32.const 1)))
      (br_if $next
        (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 65536))))
    (i32.add (i32.add (local.get $words) (local.get $lines)) (local.get $digits)))
  (func (export "execute_go") (param i32 i32 i32 i32) (result i32)
    (call $text)
    (drop (call $count))
    (drop (call $count))
    (i32.shl (i32.eqz (call $count)) (i32.const 1)))
  (data (i32.const 16)
    "A toehold is the smallest place where 1 climber can stand,\0ain 1953 or 2026, at rest.\0a"))
