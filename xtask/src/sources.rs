//! One hash over everything that goes into a guest, so that a built guest can be told from a stale one
//! without a WebAssembly toolchain.
//!
//! In it: `Cargo.toml` and all `src/**/*.rs` of the guest's package and of each local package that it depends on, and
//! name and version of every other crate that it depends on, as `Cargo.lock` has them. Dev-dependencies are absent.
//! Cargo.lock knows one set of features for the whole workspace: a feature that a host enables in a crate which the
//! guest has too may bring it a name that it never builds. Then the guest counts as stale once without need.
//! Nothing in it depends on the machine: neither folder, nor line endings, nor the order of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

/// The hash, in hexadecimal, for `package` of the workspace at `root`. `recipe` says how it is built.
pub(crate) fn hash(root: &Path, package: &str, recipe: &str) -> Result<String> {
    let locals = local_packages(root)?;
    let closure = closure(&read_toml(&root.join("Cargo.lock"))?, &locals, package)?;
    let mut parts = vec![("recipe".to_owned(), recipe.as_bytes().to_vec())];
    for local in &closure.local {
        let folder = &locals[local].folder;
        parts.push(part(root, &format!("{folder}/Cargo.toml"))?);
        collect(root, &format!("{folder}/src"), &mut parts)?;
    }
    parts.extend(
        closure.external.into_iter().map(|(name, version)| (format!("crate {name} {version}"), Vec::new())),
    );
    Ok(digest(parts))
}

/// The hash over named contents, whatever their order and line endings are.
fn digest(mut parts: Vec<(String, Vec<u8>)>) -> String {
    parts.sort();
    let mut hasher = Sha256::new();
    for (name, content) in parts {
        let content = unix_lines(&content);
        // Lengths keep the parts apart: no text can pass for the start of the next.
        hasher.update(format!("{name}\n{}\n", content.len()));
        hasher.update(content);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unix_lines(content: &[u8]) -> Vec<u8> {
    let followed_by = content.iter().skip(1).map(Some).chain([None]);
    let kept =
        content.iter().zip(followed_by).filter(|&(&byte, next)| !(byte == b'\r' && next == Some(&b'\n')));
    kept.map(|(&byte, _)| byte).collect()
}

/// Adds all Rust files below a folder, under names that have `/` on every system.
fn collect(root: &Path, folder: &str, parts: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let entries = fs::read_dir(root.join(folder)).with_context(|| format!("{folder} can't be read"))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("{name:?} in {folder} is not UTF-8"))?;
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            collect(root, &path, parts)?;
        } else if path.ends_with(".rs") {
            parts.push(part(root, &path)?);
        }
    }
    Ok(())
}

fn part(root: &Path, path: &str) -> Result<(String, Vec<u8>)> {
    let content = fs::read(root.join(path)).with_context(|| format!("{path} can't be read"))?;
    Ok((path.to_owned(), content))
}

/// A package of this workspace.
struct Local {
    /// Relative to the root, with `/`.
    folder: String,
    /// Packages that it is built from; dev-dependencies are absent.
    needs: BTreeSet<String>,
}

#[derive(Debug, PartialEq)]
struct Closure {
    local: BTreeSet<String>,
    /// Name and version.
    external: BTreeSet<(String, String)>,
}

fn local_packages(root: &Path) -> Result<BTreeMap<String, Local>> {
    let manifest = read_toml(&root.join("Cargo.toml"))?;
    let workspace = manifest.get("workspace").context("the root Cargo.toml has no [workspace]")?;
    let members = workspace.get("members").and_then(Value::as_array).context("[workspace] has no members")?;
    let shared = workspace.get("dependencies").and_then(Value::as_table).cloned().unwrap_or_default();
    let mut packages = BTreeMap::new();
    for member in members {
        let folder = member.as_str().context("a workspace member is not a path")?.to_owned();
        let manifest = read_toml(&root.join(&folder).join("Cargo.toml"))?;
        let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        let name = name.with_context(|| format!("{folder}/Cargo.toml has no package name"))?.to_owned();
        packages.insert(name, Local { folder, needs: needs(&manifest, &shared) });
    }
    Ok(packages)
}

/// The names of the packages that a manifest's package is built from.
fn needs(manifest: &Table, shared: &Table) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table).chain([manifest]);
    let mut names = BTreeSet::new();
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            for (name, entry) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let renamed = entry.get("package").or_else(|| shared.get(name)?.get("package"));
                names.insert(renamed.and_then(Value::as_str).unwrap_or(name).to_owned());
            }
        }
    }
    names
}

/// Everything that `package` is built from, itself included, by what `lock` (the content of Cargo.lock) says.
fn closure(lock: &Table, locals: &BTreeMap<String, Local>, package: &str) -> Result<Closure> {
    let locked: Vec<Locked> = lock
        .get("package")
        .and_then(Value::as_array)
        .context("Cargo.lock has no packages")?
        .iter()
        .map(Locked::parse)
        .collect::<Result<_>>()?;
    let mut found = Closure { local: BTreeSet::new(), external: BTreeSet::new() };
    let mut open = vec![package.to_owned()];
    while let Some(wanted) = open.pop() {
        // `name`, `name version` or `name version (source)`: as short as it can be without being ambiguous.
        let mut words = wanted.split(' ');
        let (name, version) = (words.next(), words.next());
        let mut fitting = locked.iter().filter(|locked| {
            Some(locked.name) == name && version.is_none_or(|version| locked.version == version)
        });
        let entry = fitting
            .next()
            .with_context(|| format!("Cargo.lock does not know {wanted}: run `cargo check`"))?;
        ensure!(fitting.next().is_none(), "Cargo.lock has more than one {wanted}");
        let local = if entry.is_local { locals.get(entry.name) } else { None };
        let is_new = match local {
            Some(_) => found.local.insert(entry.name.to_owned()),
            None => found.external.insert((entry.name.to_owned(), entry.version.to_owned())),
        };
        if is_new {
            // Cargo.lock lists dev-dependencies too, but only those of local packages.
            let needed = |dependency: &&str| {
                let name = dependency.split(' ').next().unwrap_or_default();
                local.is_none_or(|local| local.needs.contains(name))
            };
            open.extend(entry.dependencies.iter().copied().filter(needed).map(str::to_owned));
        }
    }
    Ok(found)
}

/// An entry of Cargo.lock.
struct Locked<'l> {
    name: &'l str,
    version: &'l str,
    is_local: bool,
    dependencies: Vec<&'l str>,
}

impl<'l> Locked<'l> {
    fn parse(entry: &'l Value) -> Result<Self> {
        let text = |key| entry.get(key).and_then(Value::as_str);
        let dependencies = entry.get("dependencies").and_then(Value::as_array);
        Ok(Self {
            name: text("name").context("a package in Cargo.lock has no name")?,
            version: text("version").context("a package in Cargo.lock has no version")?,
            is_local: text("source").is_none(),
            dependencies: dependencies.into_iter().flatten().filter_map(Value::as_str).collect(),
        })
    }
}

fn read_toml(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
    text.parse().with_context(|| format!("{} is not TOML", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        parts.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
    }

    #[test]
    fn order_and_line_endings_do_not_matter() {
        let hash = digest(parts(&[("a.rs", "x\ny\n"), ("b.rs", "z")]));
        assert_eq!(digest(parts(&[("b.rs", "z"), ("a.rs", "x\r\ny\r\n")])), hash);
        assert_eq!(hash.len(), 64);
    }

    #[test]
    fn any_other_change_matters() {
        let hash = digest(parts(&[("a.rs", "xy"), ("b.rs", "z")]));
        let others: [&[(&str, &str)]; 7] = [
            &[("a.rs", "xY"), ("b.rs", "z")],
            &[("a.rs", "xy"), ("c.rs", "z")],
            &[("a.rs", "x"), ("b.rs", "yz")],
            &[("a.rs", "xy\r"), ("b.rs", "z")],
            &[("a.rs", "xy"), ("b.rs", "z"), ("c.rs", "")],
            &[("a.rs", "xyb.rs\n1\nz")],
            &[("a.rs", "xyb.rsz")],
        ];
        for other in others {
            assert_ne!(digest(parts(other)), hash, "{other:?}");
        }
    }

    #[test]
    fn the_closure_follows_locals_without_their_dev_dependencies() {
        let shared = r#"renamed = { version = "1", package = "real" }"#.parse().unwrap();
        let manifest = r#"
            [dependencies]
            helper = { path = "helper" }
            renamed.workspace = true
            [target.'cfg(windows)'.dependencies]
            win = "1"
            [build-dependencies]
            build = "1"
            [dev-dependencies]
            tester = "1"
        "#;
        let guest = Local { folder: "guest".into(), needs: needs(&manifest.parse().unwrap(), &shared) };
        let helper = Local { folder: "helper".into(), needs: BTreeSet::new() };
        let locals = BTreeMap::from([("guest".to_owned(), guest), ("helper".to_owned(), helper)]);
        let lock = r#"
            package = [
              { name = "guest", version = "0.1.0", dependencies = ["helper", "real 2.0.0", "win", "build", "tester"] },
              { name = "helper", version = "0.1.0", dependencies = ["tester"] },
              { name = "real", version = "1.0.0", source = "registry" },
              { name = "real", version = "2.0.0", source = "registry", dependencies = ["deep"] },
              { name = "deep", version = "3.0.0", source = "registry", dependencies = ["real 2.0.0 (registry)"] },
              { name = "win", version = "1.0.0", source = "registry" },
              { name = "build", version = "1.0.0", source = "registry" },
              { name = "tester", version = "1.0.0", source = "registry" },
            ]
        "#;
        let found = closure(&lock.replace('\n', " ").parse().unwrap(), &locals, "guest").unwrap();
        assert_eq!(found.local, BTreeSet::from(["guest".to_owned(), "helper".to_owned()]));
        let external: Vec<String> =
            found.external.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(external, ["build 1.0.0", "deep 3.0.0", "real 2.0.0", "win 1.0.0"]);
    }

    #[test]
    fn a_lock_file_that_is_behind_is_an_error() {
        let lock: Table =
            r#"package = [{ name = "a", version = "1.0.0", dependencies = ["b"] }]"#.parse().unwrap();
        let error = closure(&lock, &BTreeMap::new(), "a").unwrap_err();
        assert_eq!(error.to_string(), "Cargo.lock does not know b: run `cargo check`");
        assert!(closure(&Table::new(), &BTreeMap::new(), "a").is_err());
    }
}
