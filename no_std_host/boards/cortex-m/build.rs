//! Gives the linker its scripts.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    fs::copy("memory.x", out.join("memory.x")).expect("memory.x is there");
    // Names of service routines that have a default. There is one routine, and it stands in the vector table itself.
    fs::write(out.join("device.x"), "").expect("OUT_DIR can be written to");
    println!("cargo:rustc-link-search={}", out.display());
    // Functions of the same code become one.
    for argument in ["-Tlink.x", "--nmagic", "--gc-sections", "--icf=all"] {
        println!("cargo:rustc-link-arg-bins={argument}");
        println!("cargo:rustc-link-arg-examples={argument}");
    }
}
