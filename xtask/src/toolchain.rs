//! Which cargo can build for a target: the one that xtask runs under, where its target is installed, or else Debian's,
//! which builds the standard library from source.
//!
//! [`look`] gathers facts, [`choose`] decides, and [`Toolchain::cargo`] hides the difference from there on.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace;

/// A target and what building for it takes.
pub(crate) struct Target {
    pub(crate) triple: &'static str,
    /// The part of the standard library that exists there.
    std_crates: &'static str,
    std_features: &'static str,
    /// The linker that Debian's cargo needs in addition; rustup's targets come with theirs.
    pub(crate) linker: Option<&'static str>,
}

pub(crate) const CORTEX_M: Target = Target {
    triple: "thumbv7em-none-eabihf",
    std_crates: "core,alloc",
    std_features: "compiler-builtins-mem,optimize_for_size",
    linker: Some("ld.lld"),
};

pub(crate) const RISC_V: Target = Target { triple: "riscv32imac-unknown-none-elf", ..CORTEX_M };

pub(crate) const WASM: Target = Target {
    triple: "wasm32-unknown-unknown",
    std_crates: "std,panic_abort",
    std_features: "",
    linker: Some("wasm-ld"),
};

/// For guests that do without std.
pub(crate) const SMALL_WASM: Target =
    Target { std_crates: "core,alloc", std_features: "optimize_for_size", ..WASM };

pub(crate) const ALL: [&Target; 3] = [&CORTEX_M, &RISC_V, &WASM];

/// The oldest rustc that builds the workspace: `rust-version` in Cargo.toml.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// What there is on this machine for one target.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    /// The cargo that xtask runs under has the target's standard library.
    pub(crate) target_is_installed: bool,
    pub(crate) debian: Debian,
}

/// The parts of Debian's toolchain that are there.
#[derive(Clone, Default)]
pub(crate) struct Debian {
    pub(crate) has_cargo: bool,
    /// As `1.96.0`.
    pub(crate) rustc: Option<String>,
    /// The standard library's source.
    pub(crate) source: Option<PathBuf>,
    /// The linker for the target.
    pub(crate) linker: Option<PathBuf>,
}

/// What can build for a target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Toolchain {
    /// The cargo that xtask runs under, with the target's own standard library.
    Installed,
    /// Debian's cargo and rustc, which build the standard library first.
    Debian { rustc: String, source: PathBuf, linker: Option<PathBuf> },
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// The toolchain for a target, or a message that says how to get one. Prints which it took.
pub(crate) fn take(target: &Target) -> Result<Toolchain> {
    take_of(target, look(target))
}

/// As [`take`], but Debian's toolchain comes first: it builds the standard library as small as what uses it.
pub(crate) fn take_smallest(target: &Target) -> Result<Toolchain> {
    let facts = look(target);
    let debian = Facts { target_is_installed: false, ..facts.clone() };
    take_of(target, if choose(target, &debian).is_some() { debian } else { facts })
}

fn take_of(target: &Target, facts: Facts) -> Result<Toolchain> {
    let Some(toolchain) = choose(target, &facts) else {
        bail!("{}", how_to_get(target, &facts.debian));
    };
    let triple = target.triple;
    match &toolchain {
        Toolchain::Installed => println!("{triple}: cargo with the installed target"),
        Toolchain::Debian { rustc, .. } => {
            println!("{triple}: Debian's {DEBIAN_CARGO}, rustc {rustc}, std from source");
        }
    }
    Ok(toolchain)
}

/// Decides by the facts alone.
pub(crate) fn choose(target: &Target, facts: &Facts) -> Option<Toolchain> {
    if facts.target_is_installed {
        return Some(Toolchain::Installed);
    }
    let Debian { rustc, source, linker, .. } = &facts.debian;
    if !missing_parts(target, &facts.debian).is_empty() {
        return None;
    }
    Some(Toolchain::Debian { rustc: rustc.clone()?, source: source.clone()?, linker: linker.clone() })
}

/// The packages that Debian's way still needs for a target.
pub(crate) fn missing_parts(target: &Target, debian: &Debian) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !debian.has_cargo {
        missing.push("cargo-web");
    }
    if !debian.rustc.as_deref().is_some_and(is_new_enough) {
        missing.push("rustc-web");
    }
    if debian.source.is_none() {
        missing.push("rust-web-src");
    }
    if target.linker.is_some() && debian.linker.is_none() {
        missing.push("lld-22");
    }
    missing
}

fn how_to_get(target: &Target, debian: &Debian) -> String {
    let triple = target.triple;
    let packages = missing_parts(target, debian).join(" ");
    format!(
        "nothing here can build for {triple}. One of these gets it:\n  \
           rustup target add {triple}\n  \
           apt-get install --no-install-recommends {packages}      (Debian, as root)\n  \
           cargo xtask test --install      (tries both)"
    )
}

fn is_new_enough(version: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split('.').map_while(|number| number.parse().ok()).collect() };
    numbers(version) >= numbers(OLDEST)
}

/// Asks the machine.
pub(crate) fn look(target: &Target) -> Facts {
    Facts { target_is_installed: is_installed(target), debian: look_for_debian(target) }
}

fn is_installed(target: &Target) -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder = process::ask(rustc.args(["--print", "target-libdir", "--target", target.triple]));
    // The folder's name is known for every target, so only a library in it says that it is installed.
    let Some(Ok(entries)) = folder.map(|folder| Path::new(&folder).read_dir()) else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn look_for_debian(target: &Target) -> Debian {
    let version = process::ask(Command::new(DEBIAN_RUSTC).arg("--version"));
    let sysroot = process::ask(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]));
    let source = sysroot.map(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust"));
    Debian {
        has_cargo: Path::new(DEBIAN_CARGO).is_file(),
        rustc: version.and_then(|version| Some(version.split(' ').nth(1)?.to_owned())),
        source: source.filter(|source| source.join("library/Cargo.toml").is_file()),
        linker: target.linker.and_then(find_linker),
    }
}

/// The linker by its own name, or as Debian names it: with LLVM's version, the newest first.
fn find_linker(name: &str) -> Option<PathBuf> {
    let versioned = (14..=40).rev().map(|version| format!("{name}-{version}"));
    versioned.chain([name.to_owned()]).find_map(|name| process::find(&name))
}

impl Toolchain {
    /// `cargo <subcommand>` for targets that share one part of the standard library. `rustflags` replace those of the
    /// environment, unless there are none.
    pub(crate) fn cargo(
        &self,
        subcommand: &str,
        targets: &[&Target],
        rustflags: &[String],
    ) -> Result<Command> {
        let mut command = match self {
            Toolchain::Installed => process::cargo(),
            Toolchain::Debian { .. } => debian_cargo(),
        };
        command.arg(subcommand).args(targets.iter().flat_map(|target| ["--target", target.triple]));
        // What two compilers made must not meet in one folder: each would throw away what the other made. And the firmwares,
        // a workspace of their own, would have another one otherwise.
        command.arg("--target-dir").arg(self.target_folder()?);
        if let (Toolchain::Debian { linker, .. }, [first, ..]) = (self, targets) {
            command.arg(format!("-Zbuild-std={}", first.std_crates));
            if !first.std_features.is_empty() {
                command.arg(format!("-Zbuild-std-features={}", first.std_features));
            }
            for target in targets {
                let triple = target.triple.to_uppercase().replace('-', "_");
                command.envs(linker.as_ref().map(|linker| (format!("CARGO_TARGET_{triple}_LINKER"), linker)));
            }
        }
        if !rustflags.is_empty() {
            // The encoded form leaves spaces inside a path alone.
            command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rustflags.join("\x1f"));
        }
        Ok(command)
    }

    /// Where it puts what it builds.
    pub(crate) fn target_folder(&self) -> Result<PathBuf> {
        let folder = workspace::target_folder()?;
        Ok(match self {
            Toolchain::Installed => folder,
            Toolchain::Debian { .. } => folder.join("debian"),
        })
    }
}

/// Debian's cargo, free of what rustup's cargo told this process.
fn debian_cargo() -> Command {
    let mut command = Command::new(DEBIAN_CARGO);
    command.current_dir(workspace::root());
    process::forget(&mut command, |name| process::told_about_xtask(name) || speaks_of_a_toolchain(name));
    // Building std from source is for nightly compilers; this makes a stable one take the option.
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
    command
}

fn speaks_of_a_toolchain(name: &str) -> bool {
    ["RUSTUP_", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CARGO_BUILD_", "CARGO_TARGET_"]
        .iter()
        .any(|p| name.starts_with(p))
        || ["CARGO", "CARGO_ENCODED_RUSTFLAGS", "LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"]
            .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Debian {
        Debian {
            has_cargo: true,
            rustc: Some("1.96.0".into()),
            source: Some("/source".into()),
            linker: Some("/usr/bin/wasm-ld-22".into()),
        }
    }

    #[test]
    fn an_installed_target_comes_first() {
        let facts = Facts { target_is_installed: true, debian: complete() };
        assert_eq!(choose(&WASM, &facts), Some(Toolchain::Installed));
    }

    #[test]
    fn debian_is_the_second_choice() {
        let chosen = choose(&WASM, &Facts { target_is_installed: false, debian: complete() });
        assert!(matches!(chosen, Some(Toolchain::Debian { rustc, .. }) if rustc == "1.96.0"));
    }

    #[test]
    fn debian_needs_a_linker_for_every_target() {
        for target in ALL {
            let debian = Debian { linker: None, ..complete() };
            assert_eq!(missing_parts(target, &debian), ["lld-22"]);
            assert_eq!(choose(target, &Facts { target_is_installed: false, debian }), None);
        }
    }

    #[test]
    fn debian_without_any_one_part_is_no_choice() {
        let partial = [
            (Debian { has_cargo: false, ..complete() }, "cargo-web"),
            (Debian { rustc: None, ..complete() }, "rustc-web"),
            (Debian { rustc: Some("1.63.0".into()), ..complete() }, "rustc-web"),
            (Debian { source: None, ..complete() }, "rust-web-src"),
        ];
        for (debian, package) in partial {
            assert_eq!(missing_parts(&RISC_V, &debian), [package]);
            assert_eq!(choose(&RISC_V, &Facts { target_is_installed: false, debian }), None);
        }
    }

    #[test]
    fn the_message_says_how_to_get_it() {
        let message = how_to_get(&WASM, &Debian::default());
        for line in [
            "rustup target add wasm32-unknown-unknown",
            "apt-get install --no-install-recommends cargo-web rustc-web rust-web-src lld-22",
            "cargo xtask test --install",
        ] {
            assert!(message.contains(line), "{message}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_new_enough("1.100.0") && is_new_enough(OLDEST));
        assert!(!is_new_enough("1.9.0") && !is_new_enough("") && !is_new_enough("unknown"));
    }

    #[test]
    fn the_outer_toolchain_stays_outside() {
        for name in
            ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTC_WRAPPER", "CARGO", "CARGO_TARGET_DIR", "LD_LIBRARY_PATH"]
        {
            assert!(speaks_of_a_toolchain(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_TERM_COLOR", "RUST_BACKTRACE", "PATH"] {
            assert!(!speaks_of_a_toolchain(name), "{name}");
        }
    }
}
