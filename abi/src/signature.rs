use core::fmt;

/// A WebAssembly value type that occurs in the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 32-bit integer: a pointer, a length or a code.
    I32,
    /// 64-bit integer: a count.
    I64,
    /// 32-bit float: a progress.
    F32,
}

/// The type of a function of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Types of the parameters.
    pub params: &'static [ValueType],
    /// Types of the results, none or one.
    pub results: &'static [ValueType],
}

/// `(ctx_ptr, ctx_len, state_ptr, state_len: i32) -> i32`: the signature of every job's export.
pub const EXECUTE_SIGNATURE: Signature = Signature {
    params: &[ValueType::I32, ValueType::I32, ValueType::I32, ValueType::I32],
    results: &[ValueType::I32],
};

/// `(from_version, state_ptr, state_len: i32) -> i32`: the signature of an export that migrates states.
pub const MIGRATE_SIGNATURE: Signature =
    Signature { params: &[ValueType::I32, ValueType::I32, ValueType::I32], results: &[ValueType::I32] };

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.params)?;
        f.write_str(" -> ")?;
        write_list(f, self.results)
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, types: &[ValueType]) -> fmt::Result {
    f.write_str("(")?;
    for (index, value_type) in types.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{value_type}")?;
    }
    f.write_str(")")
}
