//! What firmware takes of flash and RAM, by the features that it is built with, and which crate has it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::elf::SHF_ALLOC;
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind};

use crate::board::{BOARDS, Board};
use crate::firmware::{Features, Firmware, Program};

/// What is measured: what it is, and how it is built.
const VARIANTS: [(&str, Program, Features); 6] = [
    ("firmware", Program::Firmware, Features::Default),
    ("firmware, signatures", Program::Firmware, Features::Only("validate,error-text,signatures")),
    ("firmware, no error-text", Program::Firmware, Features::Only("validate")),
    ("firmware, no validate, signatures", Program::Firmware, Features::Only("signatures")),
    ("core alone", Program::CoreAlone, Features::Only("validate")),
    ("core alone, no validate", Program::CoreAlone, Features::Only("")),
];

/// Prints a table for each board, or for the whole firmware which crate has the bytes.
pub(crate) fn print(by_crate: bool) -> Result<()> {
    let mut tables = String::new();
    for board in BOARDS {
        tables += &if by_crate { crates(board)? } else { features(board)? };
    }
    println!("\n{tables}");
    Ok(())
}

fn features(board: &'static Board) -> Result<String> {
    let firmware = Firmware::of(board)?;
    let mut table = format!(
        "{} ({}, {}): bytes\n\n| | flash | static RAM | stack |\n| --- | ---: | ---: | ---: |\n",
        board.name,
        board.target.triple,
        firmware.describe()
    );
    for (name, program, features) in VARIANTS {
        let elf = firmware.with(features).build(program)?;
        let Size { flash, ram, stack } = Size::of(&elf)?;
        table += &format!("| {name} | {flash} | {ram} | {stack} |\n");
    }
    Ok(table + "\n")
}

struct Size {
    flash: u64,
    ram: u64,
    stack: u64,
}

impl Size {
    fn of(elf: &Path) -> Result<Self> {
        let bytes = fs::read(elf).with_context(|| format!("{} can't be read", elf.display()))?;
        let elf = object::File::parse(&*bytes)?;
        let mut size = Self { flash: 0, ram: 0, stack: 0 };
        for section in elf.sections().filter(is_loaded) {
            let is_stack = section.name() == Ok(".stack");
            match section.kind() {
                SectionKind::UninitializedData if !is_stack => size.ram += section.size(),
                SectionKind::UninitializedData => {}
                // Its first content is in flash.
                SectionKind::Data => {
                    size.ram += section.size();
                    size.flash += section.size();
                }
                _ => size.flash += section.size(),
            }
        }
        let symbol = |name| elf.symbol_by_name(name).map(|symbol| symbol.address());
        if let (Some(start), Some(end)) = (symbol("_program_stack_start"), symbol("_program_stack_end")) {
            size.stack = start.saturating_sub(end);
        }
        Ok(size)
    }
}

/// Whether the board has it, and not only the file.
fn is_loaded(section: &object::Section<'_, '_>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(SHF_ALLOC) != 0)
}

fn crates(board: &'static Board) -> Result<String> {
    let elf = Firmware::of(board)?.build(Program::Firmware)?;
    let total = Size::of(&elf)?.flash;
    let bytes = fs::read(&elf)?;
    let elf = object::File::parse(&*bytes)?;
    let mut crates: BTreeMap<String, u64> = BTreeMap::new();
    for symbol in elf.symbols() {
        let section = symbol.section_index().and_then(|index| elf.section_by_index(index).ok());
        let is_flash = section
            .is_some_and(|section| is_loaded(&section) && section.kind() != SectionKind::UninitializedData);
        if let (true, Ok(name)) = (is_flash, symbol.name()) {
            *crates.entry(owner(&format!("{:#}", rustc_demangle::demangle(name)))).or_default() +=
                symbol.size();
        }
    }
    let named: u64 = crates.values().sum();
    crates.insert("constants without a name".into(), total.saturating_sub(named));
    let mut crates: Vec<_> = crates.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    crates.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mut table = format!("{}: flash\n\n| crate | bytes |\n| --- | ---: |\n", board.name);
    for (name, bytes) in crates {
        table += &format!("| {name} | {bytes} |\n");
    }
    Ok(table + &format!("| all | {total} |\n\n"))
}

/// The crate that a function or constant is there for. What `core` and `alloc` have for a type of another crate is that one's.
fn owner(name: &str) -> String {
    let words = name.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let mut crates = words.filter_map(|word| word.split_once("::")).map(|(first, _)| first);
    let library = ["core", "alloc"];
    let mut first = None;
    let other = crates.find(|name| {
        first.get_or_insert(*name);
        !name.is_empty() && !library.contains(name)
    });
    match other.or(first.filter(|name| !name.is_empty())) {
        Some(name) => name.to_owned(),
        None if name.starts_with("lfs_") => "littlefs (C)".into(),
        None if name.starts_with("OUTLINED_FUNCTION") => "shared by functions of all crates".into(),
        None if name.starts_with("__") || name.starts_with("mem") => "compiler_builtins".into(),
        None => "other".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_the_crate_that_needs_it() {
        for (name, expected) in [
            ("wasmi::engine::Engine::new", "wasmi"),
            ("<wasmi::module::Module>::parse", "wasmi"),
            ("<alloc::vec::Vec<toehold::job::Job> as core::ops::drop::Drop>::drop", "toehold"),
            ("core::fmt::write", "core"),
            ("<&mut core::str::Chars as core::iter::Iterator>::next", "core"),
            ("lfs_dir_fetch", "littlefs (C)"),
            ("__aeabi_memcpy", "compiler_builtins"),
            ("OUTLINED_FUNCTION_7", "shared by functions of all crates"),
            ("Reset", "other"),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }
}
