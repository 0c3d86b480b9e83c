use alloc::string::String;
use core::fmt;

use toehold_abi::HostFunction;
use uuid::Uuid;

/// Why the host ended a guest: it broke the ABI, trapped, or went over a limit that it cannot handle itself.
///
/// The other class of error, what a guest can handle, goes back to it as a code or as `{"error": …}`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A pointer and length that leave the guest's memory.
    Pointer {
        /// The host function that was called.
        function: HostFunction,
        /// Which of its arguments.
        argument: &'static str,
        /// Where it points to.
        pointer: u32,
        /// Bytes that were to lie there.
        length: u32,
        /// Bytes of the guest's memory.
        memory: u64,
    },
    /// A string that is not UTF-8.
    NotUtf8 {
        /// The host function that was called.
        function: HostFunction,
        /// Which of its arguments.
        argument: &'static str,
        /// Bytes of the string up to the mistake.
        valid_up_to: usize,
    },
    /// A job id that is not the running job's.
    ForeignJob {
        /// The host function that was called.
        function: HostFunction,
        /// The id that it was called with.
        found: Uuid,
    },
    /// A host function that was called where the ABI does not allow it, such as a job's function in `plugin_init`.
    OutOfPlace {
        /// The host function that was called.
        function: HostFunction,
        /// The guest's function that called it.
        within: &'static str,
    },
    /// An import that no host has was called.
    Unlinked {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// `wasm_alloc` returned 0 when the job's context and state were to be handed over.
    OutOfMemory {
        /// Bytes that were asked for.
        bytes: u32,
    },
    /// `wasm_alloc` returned a block that leaves the guest's memory.
    BadBlock {
        /// Where the block starts.
        pointer: u32,
        /// Bytes that were asked for.
        bytes: u32,
        /// Bytes of the guest's memory.
        memory: u64,
    },
    /// A migration returned a state that leaves the guest's memory.
    MigratedState {
        /// Where the block with the state starts.
        pointer: u32,
        /// Bytes that were to lie there.
        bytes: u32,
        /// Bytes of the guest's memory.
        memory: u64,
    },
    /// The guest ran into a trap.
    Trap {
        /// The guest's export that the host had called.
        export: String,
        /// What the interpreter says.
        message: String,
    },
    /// Memory was to grow over its limit.
    Memory {
        /// Bytes that were asked for in all.
        asked: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// A table was to grow over its limit.
    Table {
        /// Elements that were asked for in all.
        asked: u64,
        /// Elements that are allowed.
        limit: u64,
    },
    /// Memory was to grow, within its limit, but the host has none left.
    HostMemory {
        /// Bytes that were asked for in all.
        asked: u64,
    },
    /// The host has not enough memory left to translate a function that is called, or for the stack to grow. Beside fewer jobs
    /// the guest would go on.
    HostFull {
        /// What there was no memory for.
        of: &'static str,
    },
    /// An instance needs more tables than it may have.
    Tables {
        /// Tables that are allowed.
        limit: usize,
    },
    /// Calls on top of each other went over one of their two limits.
    CallDepth {
        /// Calls that are allowed.
        limit: usize,
        /// Bytes that are allowed for the parameters and locals of all of them.
        stack_bytes: usize,
    },
    /// Instructions without a branch between them need more fuel at once than a slice may have.
    Block {
        /// Fuel that they need.
        required: u64,
        /// Fuel that is allowed at once.
        limit: u64,
    },
    /// The fuel is used up.
    Fuel {
        /// What was running: the job, or one function with fuel of its own.
        of: String,
        /// Units that are allowed.
        limit: u64,
    },
    /// A replay went another way than the run whose journal it follows: the host has another module, other limits, or
    /// a mistake.
    Diverged {
        /// What the journal has.
        journal: String,
        /// What the guest did.
        guest: String,
    },
    /// The journal of a run grew over its limit: the job had effects and did not checkpoint and return when it was asked.
    Journal {
        /// Bytes that it has.
        bytes: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// A function returned a code that the ABI does not have, or `plugin_init` or `plugin_cleanup` failed.
    Code {
        /// The guest's export.
        export: String,
        /// What it returned.
        code: i32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer { function, argument, pointer, length, memory } => write!(
                f,
                "{function}: `{argument}` points to {length} bytes at {pointer:#x}, outside of the guest's memory of \
                 {memory} bytes"
            ),
            Self::NotUtf8 { function, argument, valid_up_to } => {
                write!(f, "{function}: `{argument}` is not UTF-8 after {valid_up_to} bytes")
            }
            Self::ForeignJob { function, found } => {
                write!(f, "{function}: called with job id {found}, which is not the running job's")
            }
            Self::OutOfPlace { function, within } => write!(f, "{function}: must not be called in {within}"),
            Self::Unlinked { module, name } => {
                write!(f, "{module}.{name}: called, but this host has no such function")
            }
            Self::OutOfMemory { bytes } => {
                write!(f, "wasm_alloc: returned 0 (out of memory) for the {bytes} bytes of the job's input")
            }
            Self::BadBlock { pointer, bytes, memory } => write!(
                f,
                "wasm_alloc: returned {pointer:#x} for {bytes} bytes, outside of the guest's memory of {memory} bytes"
            ),
            Self::MigratedState { pointer, bytes, memory } => write!(
                f,
                "the migrated state at {pointer:#x} with {bytes} bytes lies outside of the guest's memory of {memory} \
                 bytes"
            ),
            Self::Trap { export, message } => write!(f, "{export}: trap: {message}"),
            Self::Memory { asked, limit } => write!(
                f,
                "memory: asked for {asked} bytes in all, the limit is {limit}, the lower of the host's and the \
                 manifest's max_memory_mb"
            ),
            Self::Table { asked, limit } => {
                write!(f, "table: asked for {asked} elements in all, the limit is {limit}")
            }
            Self::HostMemory { asked } => {
                write!(f, "memory: asked for {asked} bytes in all, and the host has not as much left")
            }
            Self::HostFull { of } => write!(f, "memory: the host has not enough left for {of}"),
            Self::Tables { limit } => write!(f, "the module has more tables than the limit of {limit}"),
            Self::CallDepth { limit, stack_bytes } => write!(
                f,
                "calls nest too deeply: the limit is {limit} calls with {stack_bytes} bytes of parameters and locals; \
                 is there an endless recursion?"
            ),
            Self::Block { required, limit } => write!(
                f,
                "instructions without a branch, or one bulk operation, need {required} fuel at once; the limit is {limit}"
            ),
            Self::Fuel { of, limit } => write!(f, "{of}: used up its fuel of {limit}"),
            Self::Diverged { journal, guest } => write!(
                f,
                "the replay differs from the journal: the journal has {journal}, the guest came to {guest}"
            ),
            Self::Journal { bytes, limit } => write!(
                f,
                "the job got {bytes} bytes of replies since it was entered, the limit is {limit}: it must call \
                 job_check_interrupt, and checkpoint and return 1 when it is told to pause"
            ),
            Self::Code { export, code } => write!(f, "{export}: returned {code}"),
        }
    }
}

impl core::error::Error for Fault {}
impl wasmi::errors::HostError for Fault {}
