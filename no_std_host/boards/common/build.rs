//! Makes the module that `core_alone` runs, and sees that the keys are keys.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=TOEHOLD_TRUST");
    for key in env::var("TOEHOLD_TRUST").iter().flat_map(|keys| keys.split(',')) {
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_key, "TOEHOLD_TRUST has {key:?}, which is no public key: they have 64 hexadecimal digits");
    }
    println!("cargo:rerun-if-changed=src/core_alone.wat");
    let module = wat::parse_file("src/core_alone.wat").expect("src/core_alone.wat is a module");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("core_alone.wasm"), module).expect("OUT_DIR can be written to");
}
