//! Builds the extensions whose modules are committed, and says whether those are up to date.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::process;
use crate::shrink::{self, Pages};
use crate::sources;
use crate::toolchain::{self, SMALL_WASM, Target, Toolchain, WASM};
use crate::wasm;
use crate::workspace;

/// The package, which is also its folder.
const PACKAGE: &str = "test-extension";

/// The custom section that holds the hash over the sources, in hexadecimal.
const SECTION: &str = "toehold:sources";

/// How a guest is built from the package.
struct Guest {
    /// Where its module is committed.
    module: &'static str,
    target: Target,
    /// Arguments that choose the features.
    features: &'static [&'static str],
    /// Bytes of the guest's stack. The linker's own default is 1 MiB, which no board has.
    stack: u32,
    opt_level: &'static str,
    /// For boards: its code is optimized further, its memory is counted in bytes, and a panic is a trap without words
    /// where Debian's toolchain can leave them out.
    is_small: bool,
}

const LARGE: Guest = Guest {
    module: "test-extension/test_extension.wasm",
    target: WASM,
    features: &[],
    stack: 65_536,
    opt_level: "s",
    is_small: false,
};

const SMALL: Guest = Guest {
    module: "test-extension/small/test_extension.wasm",
    target: SMALL_WASM,
    features: &["--no-default-features"],
    stack: 1024,
    opt_level: "z",
    is_small: true,
};

const GUESTS: [Guest; 2] = [LARGE, SMALL];

/// A guest by hand, and its module.
const TINY: [&str; 2] = ["test-extension/tiny/counter.wat", "test-extension/tiny/counter.wasm"];

/// Small, and nothing to unwind. It stands here and not in the root's profiles because those are for hosts.
const PROFILE: [(&str, &str); 5] = [
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
];

/// A panic traps, and neither its message nor what would write it is in the module.
const WORDLESS: [&str; 2] = ["-Zunstable-options", "-Cpanic=immediate-abort"];

/// Fails where a committed module was made from other sources than those that are there.
pub(crate) fn check() -> Result<()> {
    for guest in &GUESTS {
        let name = guest.module;
        let module = fs::read(workspace::root().join(name)).with_context(|| format!("{name} can't be read"));
        if let Err(error) = module.and_then(|module| compare(name, &module, &guest.hash()?)) {
            bail!("{error:#}. Run `cargo xtask guests`");
        }
        println!("{name} is up to date");
    }
    let [_, name] = TINY;
    let module = fs::read(workspace::root().join(name)).with_context(|| format!("{name} can't be read"))?;
    ensure!(module == assembled()?, "{name} is stale. Run `cargo xtask guests`");
    println!("{name} is up to date");
    Ok(())
}

/// The module of the guest by hand, which is the same wherever it is made.
fn assembled() -> Result<Vec<u8>> {
    let [text, _] = TINY;
    let module = wat::parse_file(workspace::root().join(text));
    // Names of functions are nothing that a board needs.
    wasm::without_custom_sections(&module.with_context(|| format!("{text} can't be assembled"))?, |_| true)
}

fn compare(name: &str, module: &[u8], wanted: &str) -> Result<()> {
    let found = wasm::custom_section(module, SECTION).with_context(|| format!("{name} is damaged"))?;
    let found = found.with_context(|| format!("{name} has no section {SECTION}"))?;
    ensure!(
        found == wanted.as_bytes(),
        "{name} is stale: it was made from sources {}, now they are {wanted}",
        String::from_utf8_lossy(found)
    );
    Ok(())
}

/// Builds the modules and puts them where they are committed. With ordinary pages only the small one is built, and it
/// goes to the target folder: it is not what is committed.
pub(crate) fn build(pages: Pages) -> Result<()> {
    if pages == Pages::Ordinary {
        let folder = workspace::target_folder()?.join("ordinary-pages");
        fs::create_dir_all(&folder).with_context(|| format!("{} can't be made", folder.display()))?;
        return SMALL.build(pages, &folder.join("test_extension.wasm"));
    }
    let [_, tiny] = TINY;
    let module = assembled()?;
    fs::write(workspace::root().join(tiny), &module).with_context(|| format!("{tiny} can't be written"))?;
    println!("{tiny}: {} bytes", module.len());
    GUESTS.iter().try_for_each(|guest| guest.build(pages, &workspace::root().join(guest.module)))
}

impl Guest {
    fn build(&self, pages: Pages, output: &Path) -> Result<()> {
        let toolchain = toolchain::take_smallest(&self.target)?;
        // Before the build: should the sources change meanwhile, the module is stale and not wrongly fresh.
        let hash = self.hash()?;
        // Before the build, so that the folders which it hides the names of are there.
        process::run(process::cargo().arg("fetch"))?;
        let hidden = hidden_folders(&toolchain)?;
        let mut rustflags = vec![self.stack_flag()];
        rustflags.extend(
            hidden.iter().map(|(folder, shown)| format!("--remap-path-prefix={}={shown}", folder.display())),
        );
        if self.is_small && matches!(toolchain, Toolchain::Debian { .. }) {
            rustflags.extend(WORDLESS.map(str::to_owned));
        }
        let mut cargo = toolchain.cargo("build", &[&self.target], &rustflags)?;
        cargo.args(["--release", "--package", PACKAGE, "--lib"]).args(self.features);
        process::run(cargo.envs(self.profile()))?;

        let folder = toolchain.target_folder()?.join(self.target.triple).join("release");
        let built = folder.join("test_extension.wasm");
        let module = if self.is_small { shrink::shrunk(&built, pages)? } else { shrink::read(&built)? };
        let module = wasm::without_custom_sections(&module, |name| {
            name == b"name" || name == b"producers" || name.starts_with(b".debug")
        })?;
        let module = wasm::with_custom_section(&module, SECTION, hash.as_bytes())?;
        refuse_paths(&module, &hidden)?;
        fs::write(output, &module).with_context(|| format!("{} can't be written", output.display()))?;
        println!("{}: {} bytes", output.display(), module.len());
        Ok(())
    }

    fn profile(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        PROFILE.into_iter().chain([("CARGO_PROFILE_RELEASE_OPT_LEVEL", self.opt_level)])
    }

    fn stack_flag(&self) -> String {
        format!("-Clink-arg=-zstack-size={}", self.stack)
    }

    fn hash(&self) -> Result<String> {
        let mut recipe: Vec<String> = self.profile().map(|(name, value)| format!("{name}={value}")).collect();
        recipe.push(self.stack_flag());
        recipe.extend(self.features.iter().map(|argument| (*argument).to_owned()));
        if self.is_small {
            recipe.extend(WORDLESS.map(str::to_owned));
        }
        sources::hash(&workspace::root(), PACKAGE, &recipe.join("\n"))
    }
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
    fn the_committed_guests_are_fresh() {
        if let Err(error) = check() {
            panic!("{error:#}");
        }
    }

    #[test]
    fn only_the_same_hash_is_fresh() {
        let module = wasm::with_custom_section(EMPTY, SECTION, b"aa").unwrap();
        compare("x.wasm", &module, "aa").unwrap();
        let stale = compare("x.wasm", &module, "bb").unwrap_err().to_string();
        assert!(stale.ends_with("is stale: it was made from sources aa, now they are bb"), "{stale}");
        let unmarked = compare("x.wasm", EMPTY, "aa").unwrap_err().to_string();
        assert!(unmarked.ends_with("has no section toehold:sources"), "{unmarked}");
        assert!(compare("x.wasm", b"no module", "aa").is_err());
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
