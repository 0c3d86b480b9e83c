//! Makes a module smaller after it was linked: its code by wasm-opt, and its memory by counting that in bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wasmparser::{ExternalKind, MemoryType, Operator, Parser, Payload};

use crate::process;
use crate::wasm;

/// Binaryen's optimizer. It has no part in what a module does, so a module that was built without it is as good.
const OPTIMIZER: &str = "wasm-opt";

/// For size, but with small functions inlined: the interpreter has tables of functions in RAM, so that fewer of them save
/// more than the code that is there twice takes.
const FEWER: [&str; 2] = ["-Oz", "--always-inline-max-function-size=15"];

/// What rustc lets a module use, by default, in the optimizer's words.
const PROPOSALS: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The global with which linkers tell where the heap begins, which is where everything else ends.
const HEAP_BASE: &str = "__heap_base";

const PAGE_BYTES: u64 = 1 << 16;

/// The pages of a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pages {
    /// One byte each, by the proposal for custom page sizes.
    Bytes,
    /// 64 KiB each, for hosts that know no other.
    Ordinary,
}

/// Makes a module smaller that somebody has linked, and shows what came of it.
pub(crate) fn run(input: &Path, output: &Path, pages: Pages) -> Result<()> {
    let before = read(input)?.len();
    let module = shrunk(input, pages)?;
    fs::write(output, &module).with_context(|| format!("{} can't be written", output.display()))?;
    println!("{}: {} bytes, of {before}", output.display(), module.len());
    Ok(())
}

/// The module of a file, smaller.
pub(crate) fn shrunk(input: &Path, pages: Pages) -> Result<Vec<u8>> {
    let optimized = input.with_extension("optimized.wasm");
    optimize(input, &optimized)?;
    let module = read(&optimized)?;
    match pages {
        Pages::Bytes => count_in_bytes(&module),
        Pages::Ordinary => Ok(module),
    }
}

pub(crate) fn read(module: &Path) -> Result<Vec<u8>> {
    fs::read(module).with_context(|| format!("{} can't be read", module.display()))
}

/// Optimizes the code of `input` for size into `output`; where the optimizer is not installed it copies.
fn optimize(input: &Path, output: &Path) -> Result<()> {
    if process::find(OPTIMIZER).is_some() {
        let mut command = Command::new(OPTIMIZER);
        return process::run(command.args(FEWER).args(PROPOSALS).arg(input).arg("-o").arg(output));
    }
    println!(
        "{OPTIMIZER} is not installed (Debian: binaryen): the module is about a quarter larger than it could be"
    );
    fs::copy(input, output).with_context(|| format!("{} can't be copied", input.display()))?;
    Ok(())
}

/// The module with a memory that is counted in bytes, by the proposal for custom page sizes, and exactly as long as
/// what is in it from the start.
///
/// It can't grow. A module that tries to, or asks how many pages it has, is refused: it would take bytes for pages.
fn count_in_bytes(module: &[u8]) -> Result<Vec<u8>> {
    let found = Found::look(module).context("the module can't be read")?;
    let memory = found.memory.context("the module has no memory of its own, or more than one")?;
    ensure!(memory.page_size_log2.is_none(), "the module's memory has a page size already");
    ensure!(
        !found.counts_pages,
        "the module grows its memory or asks for its pages: give the extension a heap of fixed size, by toehold_sdk::heap!"
    );
    let bytes = found.heap_base.with_context(|| {
        format!("the module does not export {HEAP_BASE}: link it with `-Clink-arg=--export={HEAP_BASE}`")
    })?;
    ensure!(
        bytes > 0 && u64::from(bytes) <= memory.initial * PAGE_BYTES,
        "{HEAP_BASE} is {bytes}, outside of the memory of {} pages",
        memory.initial
    );
    // One memory with a maximum (1) and a page size (8): minimum, maximum, and 2 to the power of 0.
    let limit = wasm::leb128(bytes as usize)?;
    let content = [&[1, 1 | 8][..], &limit, &limit, &[0]].concat();
    wasm::with_section(module, MEMORY_SECTION, &content)
}

const MEMORY_SECTION: u8 = 5;

/// What of a module matters here.
#[derive(Default)]
struct Found {
    /// The only one, where there is one.
    memory: Option<MemoryType>,
    /// It has `memory.grow` or `memory.size`.
    counts_pages: bool,
    heap_base: Option<u32>,
}

impl Found {
    fn look(module: &[u8]) -> Result<Self> {
        let mut found = Self::default();
        let mut globals = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::MemorySection(memories) if memories.count() == 1 => {
                    found.memory = memories.into_iter().next().transpose()?;
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        globals.push(match global?.init_expr.get_operators_reader().read()? {
                            Operator::I32Const { value } => Some(value.cast_unsigned()),
                            _ => None,
                        });
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        if export.name == HEAP_BASE && export.kind == ExternalKind::Global {
                            // No guest of the ABI imports a global, so the numbers are those of the section.
                            found.heap_base = globals.get(export.index as usize).copied().flatten();
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader()? {
                        found.counts_pages |=
                            matches!(operator?, Operator::MemoryGrow { .. } | Operator::MemorySize { .. });
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(module (memory 1) (global i32 (i32.const 1000)) (export "__heap_base" (global 0)) (func BODY))`.
    fn module(body: &[u8]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let code = [&[1, body.len() as u8 + 2, 0][..], body, &[0x0b]].concat();
        for (id, content) in [
            (1, &[1, 0x60, 0, 0][..]),
            (3, &[1, 0]),
            (5, &[1, 0, 1]),
            (6, &[1, 0x7f, 0, 0x41, 0xe8, 0x07, 0x0b]),
            (7, b"\x01\x0b__heap_base\x03\x00"),
            (10, &code),
        ] {
            module.extend([id, content.len() as u8]);
            module.extend(content);
        }
        module
    }

    /// Drops what `memory.size` leaves on the stack.
    const ASKS_FOR_PAGES: [u8; 3] = [0x3f, 0, 0x1a];

    #[test]
    fn the_memory_is_as_long_as_what_is_in_it() {
        let small = count_in_bytes(&module(&[])).unwrap();
        let memory = Found::look(&small).unwrap().memory.unwrap();
        assert_eq!((memory.initial, memory.maximum, memory.page_size_log2), (1_000, Some(1_000), Some(0)));
        // The rest is as it was.
        let ordinary = wasm::with_section(&small, MEMORY_SECTION, &[1, 0, 1]).unwrap();
        assert_eq!(ordinary, module(&[]));
    }

    #[test]
    fn what_would_take_bytes_for_pages_is_refused() {
        let error = count_in_bytes(&module(&ASKS_FOR_PAGES)).unwrap_err().to_string();
        assert!(error.contains("toehold_sdk::heap!"), "{error}");
    }

    #[test]
    fn what_can_not_be_made_smaller_says_why() {
        let small = count_in_bytes(&module(&[])).unwrap();
        assert!(count_in_bytes(&small).unwrap_err().to_string().contains("page size already"));
        let without_memory = wasm::with_section(&module(&[]), MEMORY_SECTION, &[0]).unwrap();
        assert!(count_in_bytes(&without_memory).unwrap_err().to_string().contains("no memory"));
        let without_exports = wasm::with_section(&module(&[]), 7, &[0]).unwrap();
        assert!(count_in_bytes(&without_exports).unwrap_err().to_string().contains("--export=__heap_base"));
        let too_short = wasm::with_section(&module(&[]), MEMORY_SECTION, &[1, 0, 0]).unwrap();
        assert!(count_in_bytes(&too_short).unwrap_err().to_string().contains("outside of the memory"));
        assert!(count_in_bytes(b"no module").is_err());
    }
}
