//! Guests that mean harm, and how each must end. The core's tests run each beside a job that does no harm, those of `std_host` all at
//! once.

/// A hostile guest, whose job is `go`.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    /// Its module.
    pub(crate) module: Vec<u8>,
    pub(crate) ends: Ends,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ends {
    /// It is not loaded, for this reason.
    Refused(&'static str),
    /// It fails, with this in the message.
    Fails(&'static str),
    /// It completes: what it does harms nobody.
    Completes,
    /// It goes on for ever, and is stopped when it is cancelled.
    Cancelled,
}

/// Mebibytes of memory that its manifest asks for.
pub(crate) const MEMORY_MB: u32 = 128;

const HEAD: &str = r#"
    (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
    (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
    (import "spacedrive" "job_report_progress" (func $progress (param i32 f32 i32 i32)))
    (import "spacedrive" "job_checkpoint" (func $checkpoint (param i32 i32 i32) (result i32)))
    (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
    (import "spacedrive" "job_add_warning" (func $warn (param i32 i32 i32)))
    (import "spacedrive" "job_increment_items" (func $items (param i32 i64)))
    (import "spacedrive" "register_job" (func $register (param i32 i32 i32 i32 i32) (result i32)))
    (data (i32.const 96) "query:ping")
    (data (i32.const 112) "hello")
    (data (i32.const 128) "go")
    (data (i32.const 136) "execute_go")"#;

/// A memory, and an allocator that gives the same block again and again.
const MEMORY: &str = r#"(memory (export "memory") 1)
    (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))"#;

/// What the guest is told of its own id, as bytes at 64: the context's JSON begins `{"job_id":"` and its text is hexadecimal with hyphens.
pub(crate) const ID: &str = r"(func $digit (param $c i32) (result i32)
        (i32.sub (local.get $c) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $c) (i32.const 58)))))
    (func $id (param $text i32) (local $from i32) (local $to i32)
        (local.set $from (i32.add (local.get $text) (i32.const 11)))
        (local.set $to (i32.const 64))
        (loop
            (if (i32.eq (i32.load8_u (local.get $from)) (i32.const 45))
                (then (local.set $from (i32.add (local.get $from) (i32.const 1)))))
            (i32.store8 (local.get $to) (i32.or
                (i32.shl (call $digit (i32.load8_u (local.get $from))) (i32.const 4))
                (call $digit (i32.load8_u offset=1 (local.get $from)))))
            (local.set $from (i32.add (local.get $from) (i32.const 2)))
            (br_if 0 (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 1))) (i32.const 80)))))";

/// A module with this job, and whatever stands before it.
fn with(before: &str, body: &str) -> String {
    format!(
        "(module {HEAD} {MEMORY} {ID} {before}
            (func $go (export \"execute_go\") (param i32 i32 i32 i32) (result i32) (local $n i32)
                (call $id (local.get 0)) {body}))"
    )
}

/// What is done without end.
fn for_ever(what: &str) -> String {
    format!("(loop {what} (br 0)) (unreachable)")
}

/// What is done so many times.
fn times(count: u32, what: &str) -> String {
    format!(
        "(loop {what} (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {count})))) (i32.const 0)"
    )
}

const CALL: &str =
    "(drop (call $call (i32.const 96) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)))";
const SAVE: &str = "(drop (call $checkpoint (i32.const 64) (i32.const 112) (i32.const 5)))";

pub(crate) fn gallery() -> Vec<Hostile> {
    let mut all = runaways();
    all.extend(modules());
    all.extend(floods());
    all.extend(liars());
    all
}

/// Those that take time, stack or memory without end.
fn runaways() -> Vec<Hostile> {
    use Ends::{Cancelled, Fails};
    let hostile =
        |name, module: String, ends| Hostile { name, module: wat::parse_str(module).unwrap(), ends };
    vec![
        hostile("an endless loop", with("", &for_ever("")), Cancelled),
        hostile(
            "an endless recursion",
            with("", "(call $go (i32.const 4096) (i32.const 0) (i32.const 0) (i32.const 0))"),
            Fails("calls nest too deeply"),
        ),
        hostile(
            "one block that costs more than any slice",
            with("", &format!("{} (i32.const 0)", "(drop (memory.grow (local.get 3)))".repeat(20_000))),
            Fails("fuel at once"),
        ),
        hostile(
            "memory.grow without end",
            with("", &for_ever("(drop (memory.grow (i32.const 1)))")),
            Fails("memory: asked for"),
        ),
        hostile(
            "all memory at once",
            with("", "(memory.grow (i32.const 60000))"),
            Fails("memory: asked for"),
        ),
        hostile(
            "table.grow without end",
            with("(table $t 1 funcref)", &for_ever("(drop (table.grow $t (ref.null func) (i32.const 15)))")),
            Fails("table: asked for"),
        ),
        hostile(
            "memory.copy without end",
            with("", &for_ever("(memory.copy (i32.const 0) (i32.const 1) (i32.const 65000))")),
            Cancelled,
        ),
        hostile(
            "memory.fill over the end",
            with("", "(memory.fill (i32.const 65000) (i32.const 1) (i32.const -1)) (i32.const 0)"),
            Fails("trap"),
        ),
        hostile(
            "a start function without end",
            format!("(module {MEMORY} (func $s (loop (br 0))) (start $s))"),
            Ends::Refused("start function: used up its fuel"),
        ),
        hostile(
            "a plugin_init without end",
            format!("(module {MEMORY} (func (export \"plugin_init\") (loop (br 0))))"),
            Ends::Refused("plugin_init: used up its fuel"),
        ),
    ]
}

/// Those whose module is the harm.
fn modules() -> Vec<Hostile> {
    use Ends::{Completes, Refused};
    let hostile =
        |name, module: String, ends| Hostile { name, module: wat::parse_str(module).unwrap(), ends };
    let nothing = "(i32.const 0)";
    vec![
        hostile("100,000 functions", with(&"(func)".repeat(100_000), nothing), Completes),
        hostile(
            "a function with 100,000 locals",
            with(&format!("(func (local {}))", "i64 ".repeat(100_000)), nothing),
            Refused("too many locals"),
        ),
        hostile(
            "40,000 locals on the stack",
            with(&format!("(func $many (local {}))", "i64 ".repeat(40_000)), "(call $many) (i32.const 0)"),
            Ends::Fails("trap"),
        ),
        hostile(
            "20,000 locals, called without end",
            with(&format!("(func $many (local {}))", "i64 ".repeat(20_000)), &for_ever("(call $many)")),
            Ends::Cancelled,
        ),
        hostile(
            "nesting 20,000 deep",
            with(&format!("(func {}{})", "block ".repeat(20_000), "end ".repeat(20_000)), nothing),
            Completes,
        ),
        hostile(
            "a bomb of a data segment",
            with("(data (i32.const 65000) \"", nothing).replace(
                "(data (i32.const 65000) \"",
                &format!("(data (i32.const 65000) \"{}\")", "x".repeat(1_000)),
            ),
            Refused("out of bounds"),
        ),
        hostile(
            "1 MiB in a data segment, copied without end",
            with(
                &format!("(data $d \"{}\")", "x".repeat(1 << 20)),
                &for_ever("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 60000))"),
            ),
            Ends::Cancelled,
        ),
        hostile(
            "a memory of 4 GiB",
            "(module (memory (export \"memory\") 65536))".to_owned(),
            Refused("the limit is"),
        ),
        Hostile {
            name: "a custom section of 15 MiB",
            module: with_custom_section(with("", nothing), 15 << 20),
            ends: Completes,
        },
        Hostile {
            name: "a custom section of 17 MiB",
            module: with_custom_section(with("", nothing), 17 << 20),
            ends: Refused("the limit is 16777216"),
        },
        hostile("1,000 tables", with(&"(table 1 funcref)".repeat(1_000), nothing), Refused("tables")),
    ]
}

fn with_custom_section(module: String, bytes: usize) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    // Its id, its size in LEB128, and a name of no bytes.
    module.push(0);
    let mut size = bytes + 1;
    while size >= 0x80 {
        module.push(size as u8 | 0x80);
        size >>= 7;
    }
    module.extend([size as u8, 0]);
    module.resize(module.len() + bytes, b'x');
    module
}

/// Those that tell more than anybody wants to hear.
fn floods() -> Vec<Hostile> {
    use Ends::{Completes, Fails};
    let hostile =
        |name, module: String, ends| Hostile { name, module: wat::parse_str(module).unwrap(), ends };
    vec![
        hostile(
            "a flood of log lines",
            with("", &times(100_000, "(call $log (i32.const 0) (i32.const 112) (i32.const 5))")),
            Completes,
        ),
        hostile(
            "a flood of long log lines",
            with("", &times(2_000, "(call $log (i32.const 0) (i32.const 8192) (i32.const 50000))")),
            Completes,
        ),
        hostile(
            "a flood of warnings",
            with("", &times(100_000, "(call $warn (i32.const 64) (i32.const 112) (i32.const 5))")),
            Completes,
        ),
        hostile(
            "a flood of progress",
            with(
                "",
                &times(
                    100_000,
                    "(call $progress (i32.const 64) (f32.const nan) (i32.const 112) (i32.const 5))",
                ),
            ),
            Completes,
        ),
        hostile("a flood of calls", with("", &for_ever(CALL)), Ends::Cancelled),
        hostile("checkpoints without end", with("", &for_ever(SAVE)), Ends::Cancelled),
        hostile(
            "a checkpoint of 100 MB",
            with(
                "",
                "(drop (memory.grow (i32.const 1600))) (call $checkpoint (i32.const 64) (i32.const 0) (i32.const 100000000)) (drop) (i32.const 0)",
            ),
            Completes,
        ),
        hostile(
            "registers jobs without end",
            format!(
                "(module {HEAD} {MEMORY} (func (export \"plugin_init\") (loop (drop (call $register (i32.const 112) (i32.const 5) (i32.const 136) (i32.const 10) (i32.const 1))) (br 0))))"
            ),
            Ends::Refused("plugin_init: used up its fuel"),
        ),
        hostile(
            "a counter that overflows",
            with("", &times(10, "(call $items (i32.const 64) (i64.const 0x7fffffffffffffff))")),
            Completes,
        ),
        hostile(
            "a negative count",
            with("", "(call $items (i32.const 64) (i64.const -1)) (i32.const 0)"),
            Completes,
        ),
        hostile("an unknown result", with("", "(i32.const 77)"), Fails("returned 77")),
    ]
}

/// Those that lie to the host functions, or about stopping.
fn liars() -> Vec<Hostile> {
    use Ends::{Cancelled, Completes, Fails};
    let hostile =
        |name, module: String, ends| Hostile { name, module: wat::parse_str(module).unwrap(), ends };
    let alloc = |alloc: &str| {
        with("", &format!("{CALL} (i32.const 0)")).replace(
            "(func (export \"wasm_alloc\") (param i32) (result i32) (i32.const 4096))",
            &format!(
                "(global $calls (mut i32) (i32.const 0))
                 (func $alloc (export \"wasm_alloc\") (param i32) (result i32)
                    ;; The first two blocks are for the context and the state.
                    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                    (if (i32.lt_u (global.get $calls) (i32.const 2)) (then (return (i32.const 4096)))) {alloc})"
            ),
        )
    };
    let mut all = vec![
        hostile(
            "somebody else's id",
            with(
                "",
                "(i32.store8 (i32.const 64) (i32.const 0xee)) (call $items (i32.const 64) (i64.const 1)) (i32.const 0)",
            ),
            Fails("job_increment_items"),
        ),
        hostile("an allocator that has nothing left", alloc("(i32.const 0)"), Completes),
        hostile("an allocator that points outside", alloc("(i32.const -8)"), Fails("wasm_alloc")),
        hostile("an allocator without end", alloc("(loop (br 0)) (unreachable)"), Fails("wasm_alloc")),
        hostile("an allocator that traps", alloc("(unreachable)"), Fails("wasm_alloc")),
        hostile(
            "an allocator that calls the host",
            alloc(&format!("{CALL} (i32.const 4096)")),
            Fails("wasm_alloc"),
        ),
        hostile(
            "an allocator that calls itself",
            alloc("(call $alloc (local.get 0))"),
            Fails("calls nest too deeply"),
        ),
        hostile(
            "takes no notice of any interrupt",
            with("", &for_ever("(drop (call $interrupt (i32.const 64)))")),
            Cancelled,
        ),
        hostile(
            "hears that it must stop, and computes on",
            with(
                "",
                "(loop (br_if 0 (i32.eqz (call $interrupt (i32.const 64))))) (loop (br 0)) (unreachable)",
            ),
            Cancelled,
        ),
        hostile(
            "says that it stops, and goes on",
            with("", &for_ever(&format!("(if (call $interrupt (i32.const 64)) (then {SAVE}))"))),
            Cancelled,
        ),
    ];
    for (name, pointer, length) in [
        ("a text that begins behind the memory", 65_536_i64, 1),
        ("a text that ends behind the memory", 65_535, 2_i64),
        ("a text at the last address", 0xffff_ffff, 1),
        ("a text of 4 GiB", 0, 0xffff_ffff),
        ("a text whose end wraps around", 0xffff_fff0, 0x20),
    ] {
        let body =
            format!("(call $log (i32.const 1) (i32.const {pointer}) (i32.const {length})) (i32.const 0)");
        all.push(hostile(name, with("", &body), Fails("spacedrive_log")));
    }
    all
}
