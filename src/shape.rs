//! What a module is made of, as far as its bytes tell too little of what it costs.
//!
//! wasmi 2.0.0 sets all locals of a function to zero at each call, and charges the call alone: one of 20,000 locals takes a
//! thousand times as long as its fuel says. So whoever has to be back soon gets less fuel at a time (`meter.rs`). And it
//! takes memory for each thing that a module declares, of which a few bytes of it can have thousands.

/// Ids of sections.
const TYPES: u8 = 1;
const IMPORTS: u8 = 2;
const FUNCTIONS: u8 = 3;
const TABLES: u8 = 4;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const ELEMENTS: u8 = 9;
const CODE: u8 = 10;
const DATA: u8 = 11;

/// Bytes of a module before its first section: its magic number and version.
const HEADER_BYTES: usize = 8;

/// How much of everything a module has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleShape {
    /// Functions with a body.
    pub functions: u32,
    /// Bytes of the longest body.
    pub longest_body: u32,
    /// The most locals that one of them has, without its parameters.
    pub most_locals: u32,
    /// Types, imports, functions, tables, globals, exports, and segments of elements and data, as far as their sections say
    /// how many there are.
    pub items: u32,
    /// Bytes of the exports, which are mostly names.
    pub export_bytes: u32,
    /// Bytes of the segments of data.
    pub data_bytes: u32,
    /// Bytes of the segments of elements: as many elements there are at most.
    pub element_bytes: u32,
    /// Elements that its tables start with.
    pub table_elements: u32,
}

impl ModuleShape {
    /// Looks at the bytes of a module, which need not be valid: what can't be read counts for as much as there can be.
    #[must_use]
    #[inline(never)]
    pub fn of(module: &[u8]) -> Self {
        let mut shape = Self::default();
        let mut sections = Reader(module.get(HEADER_BYTES..).unwrap_or(&[]));
        while let Some((id, mut content)) = sections.section() {
            let bytes = u32::try_from(content.0.len()).unwrap_or(u32::MAX);
            let counts =
                matches!(id, TYPES | IMPORTS | FUNCTIONS | TABLES | GLOBALS | EXPORTS | ELEMENTS | DATA);
            let count = if counts || id == CODE { content.number().unwrap_or(u32::MAX) } else { 0 };
            if counts {
                shape.items = shape.items.saturating_add(count);
            }
            match id {
                ELEMENTS => shape.element_bytes = shape.element_bytes.saturating_add(bytes),
                EXPORTS => shape.export_bytes = shape.export_bytes.saturating_add(bytes),
                DATA => shape.data_bytes = shape.data_bytes.saturating_add(bytes),
                TABLES => shape.table_elements = elements_of_tables(count, content).unwrap_or(u32::MAX),
                CODE => {
                    shape.functions = count;
                    (shape.longest_body, shape.most_locals) =
                        most_of_bodies(count, content).unwrap_or((u32::MAX, u32::MAX));
                }
                _ => {}
            }
        }
        shape
    }
}

/// `None` where it can't be read, or where a table starts with elements that are not null.
fn elements_of_tables(tables: u32, mut types: Reader<'_>) -> Option<u32> {
    let mut elements = 0_u32;
    for _ in 0..tables {
        types.value_type()?;
        let has_maximum = types.byte()? & 1 == 1;
        elements = elements.saturating_add(types.number()?);
        if has_maximum {
            types.number()?;
        }
    }
    Some(elements)
}

/// `None` where it can't be read, which no interpreter compiles.
fn most_of_bodies(functions: u32, mut bodies: Reader<'_>) -> Option<(u32, u32)> {
    let (mut longest, mut most) = (0, 0);
    for _ in 0..functions {
        let mut body = bodies.block()?;
        longest = longest.max(u32::try_from(body.0.len()).unwrap_or(u32::MAX));
        let mut locals = 0_u32;
        for _ in 0..body.number()? {
            locals = locals.saturating_add(body.number()?);
            body.value_type()?;
        }
        most = most.max(locals);
    }
    Some((longest, most))
}

/// Reads what is left of the bytes of a module.
struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// An unsigned number of up to 32 bits, in LEB128.
    fn number(&mut self) -> Option<u32> {
        let mut number = 0_u32;
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// Bytes that say first how many they are.
    fn block(&mut self) -> Option<Self> {
        let bytes = usize::try_from(self.number()?).ok()?;
        let (block, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(Self(block))
    }

    fn section(&mut self) -> Option<(u8, Self)> {
        Some((self.byte()?, self.block()?))
    }

    /// A type is a byte; that of typed references, which no engine here takes, has a heap type behind it.
    fn value_type(&mut self) -> Option<()> {
        if matches!(self.byte()?, 0x63 | 0x64) {
            self.number()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::ModuleShape;

    fn most(module: &[u8]) -> u32 {
        ModuleShape::of(module).most_locals
    }

    fn most_in(functions: &str) -> u32 {
        most(&wat::parse_str(format!("(module {functions})")).expect("a module"))
    }

    #[test]
    fn the_function_with_the_most_locals_counts() {
        assert_eq!(most_in(""), 0);
        assert_eq!(most_in("(func (param i32 i64))"), 0);
        assert_eq!(most_in("(func (local i32)) (func (local i32 f64 f64 i32 funcref)) (func)"), 5);
        let many = "i64 ".repeat(20_000);
        assert_eq!(
            most_in(&format!("(memory 1) (func (local {many} i32)) (data (i32.const 0) \"x\")")),
            20_001
        );
    }

    #[test]
    fn everything_that_is_declared_counts() {
        let module = wat::parse_str(
            r#"(module
                (type (func)) (type (func (param i32)))
                (import "a" "b" (func (type 0)))
                (func (type 0)) (func (type 1))
                (table 10 20 funcref) (table 300 funcref)
                (memory (export "memory") 1)
                (global i32 (i32.const 1))
                (elem (table 0) (i32.const 0) func 0 1 2)
                (data (i32.const 0) "x") (data (i32.const 1) "y"))"#,
        );
        let shape = ModuleShape::of(&module.expect("a module"));
        assert_eq!(shape.items, 2 + 1 + 2 + 2 + 1 + 1 + 1 + 2);
        assert_eq!((shape.functions, shape.longest_body, shape.table_elements), (2, 2, 310));
        assert!((4..12).contains(&shape.element_bytes) && (2..16).contains(&shape.data_bytes), "{shape:?}");
        assert!(("memory".len() as u32..14).contains(&shape.export_bytes), "{shape:?}");
        assert_eq!(ModuleShape::of(b""), ModuleShape::default());
    }

    /// What can't be read counts for as much as there can be: nobody gains by it.
    #[test]
    fn what_is_cut_off_counts_for_the_most() {
        let module = wat::parse_str("(module (func (local i32 i64)))").expect("a module");
        // Its last section is the code: the header of eight bytes, a type, a function, and 10, 7, 1, 5, ...
        let code = module.iter().rposition(|byte| *byte == 10).expect("a code section");
        let mut cut = module[..code].to_vec();
        cut.extend([10, 2, 1, 9]);
        assert_eq!(most(&cut), u32::MAX);
        for end in 0..module.len() {
            most(&module[..end]);
        }
    }
}
