//! Builds the extensions whose modules are committed, and says whether those are up to date.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::sources;
use crate::toolchain::{self, Toolchain, WASM};
use crate::wasm;
use crate::workspace;

/// The package, which is also its folder.
const PACKAGE: &str = "test-extension";
const MODULE: &str = "test-extension/test_extension.wasm";

/// The custom section that holds the hash over the sources, in hexadecimal.
const SECTION: &str = "toehold:sources";

/// Small, and nothing to unwind. It stands here and not in the root's profiles because those are for hosts.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// The linker's own default is 1 MiB, which no board has.
const STACK: &str = "-Clink-arg=-zstack-size=65536";

/// Fails where the committed module was made from other sources than those that are there.
pub(crate) fn check() -> Result<()> {
    let module = fs::read(workspace::root().join(MODULE)).with_context(|| format!("{MODULE} can't be read"));
    if let Err(error) = module.and_then(|module| compare(&module, &hash()?)) {
        bail!("{error:#}. Run `cargo xtask guests`");
    }
    println!("{MODULE} is up to date");
    Ok(())
}

fn compare(module: &[u8], wanted: &str) -> Result<()> {
    let found = wasm::custom_section(module, SECTION).with_context(|| format!("{MODULE} is damaged"))?;
    let found = found.with_context(|| format!("{MODULE} has no section {SECTION}"))?;
    ensure!(
        found == wanted.as_bytes(),
        "{MODULE} is stale: it was made from sources {}, now they are {wanted}",
        String::from_utf8_lossy(found)
    );
    Ok(())
}

/// Builds the module and puts it where it is committed.
pub(crate) fn build() -> Result<()> {
    let toolchain = toolchain::take(&WASM)?;
    // Before the build: should the sources change meanwhile, the module is stale and not wrongly fresh.
    let hash = hash()?;
    // Before the build, so that the folders which it hides the names of are there.
    process::run(process::cargo().arg("fetch"))?;
    let hidden = hidden_folders(&toolchain)?;
    let mut rustflags = vec![STACK.to_owned()];
    rustflags.extend(
        hidden.iter().map(|(folder, shown)| format!("--remap-path-prefix={}={shown}", folder.display())),
    );
    let mut cargo = toolchain.cargo("build", &[&WASM], &rustflags)?;
    cargo.args(["--release", "--package", PACKAGE, "--lib"]).envs(PROFILE);
    process::run(&mut cargo)?;

    let built = toolchain.target_folder()?.join(WASM.triple).join("release/test_extension.wasm");
    let built = fs::read(&built).with_context(|| format!("{} can't be read", built.display()))?;
    let module = wasm::without_custom_sections(&built, |name| {
        name == b"name" || name == b"producers" || name.starts_with(b".debug")
    })?;
    let module = wasm::with_custom_section(&module, SECTION, hash.as_bytes())?;
    refuse_paths(&module, &hidden)?;
    fs::write(workspace::root().join(MODULE), &module)
        .with_context(|| format!("{MODULE} can't be written"))?;
    println!("{MODULE}: {} bytes", module.len());
    Ok(())
}

fn hash() -> Result<String> {
    let profile = PROFILE.map(|(name, value)| format!("{name}={value}")).join("\n");
    sources::hash(&workspace::root(), PACKAGE, &format!("{profile}\n{STACK}"))
}

/// Folders of this machine, and what a panic's place shows instead of them. The last that fits wins.
fn hidden_folders(toolchain: &Toolchain) -> Result<Vec<(PathBuf, String)>> {
    let mut hidden = Vec::new();
    let registries = workspace::cargo_home().map(|home| home.join("registry/src"));
    for registry in registries.iter().filter_map(|folder| folder.read_dir().ok()).flatten() {
        hidden.push((registry?.path(), "crates".to_owned()));
    }
    if let Toolchain::Debian { source, .. } = toolchain {
        hidden.push((source.clone(), "rust".to_owned()));
    }
    hidden.push((workspace::root(), String::new()));
    hidden.push((toolchain.target_folder()?, "target".to_owned()));
    Ok(hidden)
}

/// A module that tells of the machine that built it is not written.
fn refuse_paths(module: &[u8], hidden: &[(PathBuf, String)]) -> Result<()> {
    let home = std::env::home_dir();
    let folders = hidden.iter().map(|(folder, _)| folder.as_path()).chain(home.as_deref());
    for folder in folders.filter(|folder| folder.components().count() > 1) {
        if let Some(place) = place_of(module, folder) {
            bail!("the module contains a path of this machine: {place}");
        }
    }
    Ok(())
}

/// The text around a folder's name, where the module has it.
fn place_of(module: &[u8], folder: &Path) -> Option<String> {
    let folder = folder.to_str()?.as_bytes();
    let start = module.windows(folder.len()).position(|window| window == folder)?;
    let end = module.len().min(start + folder.len() + 60);
    Some(String::from_utf8_lossy(&module[start..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn the_committed_guest_is_fresh() {
        if let Err(error) = check() {
            panic!("{error:#}");
        }
    }

    #[test]
    fn only_the_same_hash_is_fresh() {
        let module = wasm::with_custom_section(EMPTY, SECTION, b"aa").unwrap();
        compare(&module, "aa").unwrap();
        let stale = compare(&module, "bb").unwrap_err().to_string();
        assert!(stale.ends_with("is stale: it was made from sources aa, now they are bb"), "{stale}");
        let unmarked = compare(EMPTY, "aa").unwrap_err().to_string();
        assert!(unmarked.ends_with("has no section toehold:sources"), "{unmarked}");
        assert!(compare(b"no module", "aa").is_err());
    }

    #[test]
    fn a_path_of_the_machine_is_refused() {
        let hidden = [(PathBuf::from("/some/where"), String::new())];
        refuse_paths(b"src/lib.rs:12:5", &hidden).unwrap();
        let error = refuse_paths(b"..../some/where/src/lib.rs:12:5", &hidden).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the module contains a path of this machine: /some/where/src/lib.rs:12:5"
        );
    }
}
