//! Guests that do anything: modules from arbitrary data.

use std::sync::LazyLock;

use arbitrary::{Arbitrary, Unstructured};
use toehold::HostFunction;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, GlobalSection, GlobalType, HeapType, ImportSection, Instruction, MemArg, MemArgTarget,
    MemorySection, MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
};

/// A module of wasm-smith's that has a guest's imports and exports; `None` where the bytes do not suffice.
pub(crate) fn smith(bytes: &[u8]) -> Option<Vec<u8>> {
    static IMPORTS: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
        let imports: String = crate::guests::PRELUDE.split("(memory").next().unwrap_or_default().to_owned();
        wat::parse_str(format!("(module {imports})")).ok()
    });
    static EXPORTS: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
        let text = r#"(module (memory (export "memory") 1)
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 0))
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (i32.const 0))
            (func (export "plugin_init") (result i32) (i32.const 0)))"#;
        wat::parse_str(text).ok()
    });
    let config = wasm_smith::Config {
        available_imports: IMPORTS.clone(),
        exports: EXPORTS.clone(),
        max_memory32_bytes: 1 << 20,
        max_table_elements: 1_000,
        max_memories: 1,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    Some(wasm_smith::Module::new(config, &mut Unstructured::new(bytes)).ok()?.to_bytes())
}

/// A guest whose job is `go`.
#[derive(Debug, Arbitrary)]
pub(crate) struct Guest {
    alloc: Alloc,
    init: Vec<Op>,
    job: Vec<Op>,
    returns: Returns,
}

/// What its `wasm_alloc` does.
#[derive(Debug, Arbitrary)]
enum Alloc {
    Bump,
    BumpToo,
    Never,
    At(Pointer),
    Trap,
    ForEver,
    /// It does this first, and so calls the host from inside of a call of the host.
    Busy(Vec<Op>),
}

#[derive(Debug, Arbitrary)]
enum Returns {
    Completed,
    Interrupted,
    Failed,
    Again,
    Other(i32),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Pointer {
    Id,
    OtherId,
    Null,
    Small(u16),
    /// This far from the end of the memory that there is at first.
    End(i8),
    Any(u32),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Length {
    None,
    Small(u8),
    Medium(u16),
    Any(u32),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Text {
    Ping,
    Put,
    Hello,
    NoText,
    Any(Pointer, Length),
}

/// Whose job it says that it is: mostly itself.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Who {
    Me,
    MeToo,
    MeAsWell,
    Somebody(Pointer),
}

#[derive(Debug, Arbitrary)]
enum Op {
    Call { method: Text, library: Option<Pointer>, payload: Text },
    Log { level: i32, text: Text },
    Progress { who: Who, fraction: f32, text: Text },
    Checkpoint { who: Who, state: Text },
    Interrupt { who: Who, obeys: bool },
    Warn { who: Who, text: Text },
    Bytes { who: Who, count: i64 },
    Items { who: Who, count: i64 },
    Register { name: Text, export: Text, resumable: i32 },
    Store { at: Pointer, value: i32 },
    Copy { to: Pointer, from: Pointer, length: Length },
    Fill { to: Pointer, value: i32, length: Length },
    Grow(u8),
    GrowTable(u8),
    Repeat { times: u16, ops: Vec<Op> },
    Recurse,
    Trap,
    Return(Returns),
}

const ALLOC: u32 = 9;
const GO: u32 = 10;
const INIT: u32 = 11;
/// Loops in loops.
const LOOPS: u32 = 4;

impl Pointer {
    fn address(self) -> i32 {
        match self {
            Self::Id => 64,
            Self::OtherId => 80,
            Self::Null => 0,
            Self::Small(at) => i32::from(at),
            Self::End(offset) => 65_536 + i32::from(offset),
            Self::Any(at) => at.cast_signed(),
        }
    }
}

impl Length {
    fn bytes(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Small(bytes) => i32::from(bytes),
            Self::Medium(bytes) => i32::from(bytes),
            Self::Any(bytes) => bytes.cast_signed(),
        }
    }
}

impl Text {
    fn span(self) -> [i32; 2] {
        match self {
            Self::Ping => [96, 10],
            Self::Put => [150, 13],
            Self::Hello => [112, 5],
            Self::NoText => [120, 2],
            Self::Any(pointer, length) => [pointer.address(), length.bytes()],
        }
    }
}

impl Who {
    fn address(self) -> i32 {
        match self {
            Self::Me | Self::MeToo | Self::MeAsWell => Pointer::Id.address(),
            Self::Somebody(pointer) => pointer.address(),
        }
    }
}

impl Returns {
    fn code(&self) -> i32 {
        match self {
            Self::Completed => 0,
            Self::Interrupted => 1,
            Self::Failed => 2,
            Self::Again => 3,
            Self::Other(code) => *code,
        }
    }
}

/// The code of one function, whose local 0 is free for what nobody needs, and those from `first` on count loops.
struct Code {
    function: Function,
    first: u32,
    /// Whether the function is the job's, whose parameters are what a recursion needs.
    is_job: bool,
}

impl Code {
    fn new(parameters: u32, is_job: bool) -> Self {
        Self { function: Function::new([(LOOPS, ValType::I32)]), first: parameters, is_job }
    }

    fn push(&mut self, instruction: Instruction<'_>) {
        self.function.instruction(&instruction);
    }

    fn consts(&mut self, values: impl IntoIterator<Item = i32>) {
        values.into_iter().for_each(|value| self.push(Instruction::I32Const(value)));
    }

    fn host(&mut self, function: HostFunction) {
        let index = HostFunction::ALL.iter().position(|other| *other == function).unwrap_or_default();
        self.push(Instruction::Call(index as u32));
    }

    fn ops(&mut self, ops: &[Op], depth: u32) {
        use HostFunction as F;
        // Enough of them: what is repeated is repeated.
        for op in ops.iter().take(60) {
            match op {
                Op::Call { method, library, payload } => {
                    self.consts(method.span());
                    self.consts([library.map_or(0, Pointer::address)]);
                    self.consts(payload.span());
                    self.host(F::Call);
                    self.push(Instruction::Drop);
                }
                Op::Log { level, text } => {
                    self.consts([*level]);
                    self.consts(text.span());
                    self.host(F::Log);
                }
                Op::Progress { who, fraction, text } => {
                    self.consts([who.address()]);
                    self.push(Instruction::F32Const((*fraction).into()));
                    self.consts(text.span());
                    self.host(F::ReportProgress);
                }
                Op::Checkpoint { who, state } => {
                    self.consts([who.address()]);
                    self.consts(state.span());
                    self.host(F::Checkpoint);
                    self.push(Instruction::Drop);
                }
                Op::Interrupt { who, obeys } => {
                    self.consts([who.address()]);
                    self.host(F::CheckInterrupt);
                    if *obeys {
                        self.push(Instruction::If(BlockType::Empty));
                        self.consts([1]);
                        self.push(Instruction::Return);
                        self.push(Instruction::End);
                    } else {
                        self.push(Instruction::Drop);
                    }
                }
                Op::Warn { who, text } => {
                    self.consts([who.address()]);
                    self.consts(text.span());
                    self.host(F::AddWarning);
                }
                Op::Bytes { who, count } | Op::Items { who, count } => {
                    self.consts([who.address()]);
                    self.push(Instruction::I64Const(*count));
                    let is_bytes = matches!(op, Op::Bytes { .. });
                    self.host(if is_bytes { F::IncrementBytes } else { F::IncrementItems });
                }
                Op::Register { name, export, resumable } => {
                    self.consts(name.span());
                    self.consts(export.span());
                    self.consts([*resumable]);
                    self.host(F::RegisterJob);
                    self.push(Instruction::Drop);
                }
                Op::Store { at, value } => {
                    self.consts([at.address(), *value]);
                    self.push(Instruction::I32Store(MemArg {
                        offset: 0,
                        align: 0,
                        target: MemArgTarget::Memory(0),
                        ordering: None,
                    }));
                }
                Op::Copy { to, from, length } => {
                    self.consts([to.address(), from.address(), length.bytes()]);
                    self.push(Instruction::MemoryCopy { src_mem: 0, dst_mem: 0 });
                }
                Op::Fill { to, value, length } => {
                    self.consts([to.address(), *value, length.bytes()]);
                    self.push(Instruction::MemoryFill(0));
                }
                Op::Grow(pages) => {
                    self.consts([i32::from(*pages)]);
                    self.push(Instruction::MemoryGrow(0));
                    self.push(Instruction::Drop);
                }
                Op::GrowTable(elements) => {
                    self.push(Instruction::RefNull(HeapType::FUNC));
                    self.consts([i32::from(*elements)]);
                    self.push(Instruction::TableGrow(0));
                    self.push(Instruction::Drop);
                }
                Op::Repeat { times, ops } if depth < LOOPS => self.repeat(*times, ops, depth),
                Op::Repeat { .. } => {}
                Op::Recurse if self.is_job => {
                    (0..4).for_each(|local| self.push(Instruction::LocalGet(local)));
                    self.push(Instruction::Call(GO));
                    self.push(Instruction::Drop);
                }
                Op::Recurse => {}
                Op::Trap => self.push(Instruction::Unreachable),
                Op::Return(returns) => {
                    self.consts([returns.code()]);
                    self.push(Instruction::Return);
                }
            }
        }
    }

    /// 0 times stands for ever.
    fn repeat(&mut self, times: u16, ops: &[Op], depth: u32) {
        let counter = self.first + depth;
        self.consts([0]);
        self.push(Instruction::LocalSet(counter));
        self.push(Instruction::Loop(BlockType::Empty));
        self.ops(ops, depth + 1);
        self.push(Instruction::LocalGet(counter));
        self.consts([1]);
        self.push(Instruction::I32Add);
        self.push(Instruction::LocalTee(counter));
        self.consts([i32::from(times)]);
        self.push(Instruction::I32Ne);
        self.push(Instruction::BrIf(0));
        self.push(Instruction::End);
    }

    fn end(mut self, returns: i32) -> Function {
        self.consts([returns]);
        self.push(Instruction::End);
        self.function
    }
}

impl Guest {
    /// The module's bytes.
    pub(crate) fn module(&self) -> Vec<u8> {
        let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
        let mut functions = FunctionSection::new();
        for (index, function) in HostFunction::ALL.iter().enumerate() {
            let (parameters, results) = signature(*function);
            types.ty().function(parameters, results);
            imports.import("spacedrive", function.name(), EntityType::Function(index as u32));
        }
        let own = HostFunction::ALL.len() as u32;
        types.ty().function([ValType::I32], [ValType::I32]);
        types.ty().function([ValType::I32; 4], [ValType::I32]);
        types.ty().function([], [ValType::I32]);
        functions.function(own).function(own + 1);
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        exports.export("wasm_alloc", ExportKind::Func, ALLOC);
        exports.export("execute_go", ExportKind::Func, GO);
        let mut code = CodeSection::new();
        code.function(&self.alloc());
        let mut go = Code::new(4, true);
        go.ops(&self.job, 0);
        code.function(&go.end(self.returns.code()));
        if !self.init.is_empty() {
            functions.function(own + 2);
            exports.export("plugin_init", ExportKind::Func, INIT);
            let mut init = Code::new(0, false);
            init.ops(&self.init, 0);
            code.function(&init.end(0));
        }
        let (mut tables, mut memories, mut globals) =
            (TableSection::new(), MemorySection::new(), GlobalSection::new());
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            minimum: 4,
            maximum: None,
            table64: false,
            shared: false,
        });
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let global = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(global, &ConstExpr::i32_const(4096));
        let mut data = DataSection::new();
        let texts: [(i32, &[u8]); 8] = [
            (79, &[7]),
            (95, &[8]),
            (96, b"query:ping"),
            (112, b"hello"),
            (120, b"\xff\xfe"),
            (128, b"go"),
            (136, b"execute_go"),
            (150, b"action:kv.put"),
        ];
        for (at, text) in texts {
            data.active(0, &ConstExpr::i32_const(at), text.iter().copied());
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&memories);
        module.section(&globals).section(&exports).section(&code).section(&data);
        module.finish()
    }

    fn alloc(&self) -> Function {
        let mut code = Code::new(1, false);
        match &self.alloc {
            Alloc::Bump | Alloc::BumpToo => {}
            Alloc::Never => return code.end(0),
            Alloc::At(pointer) => return code.end(pointer.address()),
            Alloc::Trap => code.push(Instruction::Unreachable),
            Alloc::ForEver => code.repeat(0, &[], 0),
            Alloc::Busy(ops) => code.ops(ops, 0),
        }
        code.push(Instruction::GlobalGet(0));
        code.push(Instruction::GlobalGet(0));
        code.push(Instruction::LocalGet(0));
        code.push(Instruction::I32Add);
        code.push(Instruction::GlobalSet(0));
        code.push(Instruction::End);
        code.function
    }
}

fn signature(function: HostFunction) -> (Vec<ValType>, Vec<ValType>) {
    use HostFunction as F;
    use ValType::{F32, I32, I64};
    match function {
        F::Call | F::RegisterJob => (vec![I32; 5], vec![I32]),
        F::Log => (vec![I32; 3], vec![]),
        F::ReportProgress => (vec![I32, F32, I32, I32], vec![]),
        F::Checkpoint => (vec![I32; 3], vec![I32]),
        F::CheckInterrupt => (vec![I32], vec![I32]),
        F::AddWarning => (vec![I32; 3], vec![]),
        F::IncrementBytes | F::IncrementItems => (vec![I32, I64], vec![]),
    }
}
