use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use std_host::{CONFIG_FILE, ExtensionManager, GrantOptions, Installed, MANIFEST_FILE};
use toehold::{Limits, Manifest, Package};

use super::{exit::Exit, file, key, output, problem::Problem};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  toehold extension pack ./test-extension
  toehold extension pack ./test-extension --sign my.key -o counter.toehold

The package has the manifest with its schemas and the module, and no other file of the folder. Prints its name.")]
pub(crate) struct PackArgs {
    /// The extension's folder, or its manifest
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// The package; without it ID-VERSION.toehold in the current folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign it with the key of this file, which `toehold key generate` makes
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// How packages' names end.
const ENDING: &str = "toehold";

pub(super) fn pack(args: &PackArgs) -> Result<Exit, Problem> {
    // Your own folder: no signature is asked for, since this is where they are made.
    let extensions = ExtensionManager::new(".", Limits::default(), GrantOptions::default());
    // Its configuration is the business of those who install it.
    let is_folder = args.path.is_dir() || args.path.file_name().is_some_and(|name| name == MANIFEST_FILE);
    let installed = if is_folder { extensions.look_into(&args.path) } else { extensions.load(&args.path) };
    let installed = installed.map_err(|error| Problem::new("bad_extension", error))?;
    let key = args.sign.as_deref().map(key::read).transpose()?;
    let schemas = installed.packed_schemas();
    if schemas.len() > Package::SCHEMA_BYTES {
        let message = format!(
            "{}: its schemas (config_schema, state_schemas) have {} bytes; a package may have {}",
            args.path.display(),
            schemas.len(),
            Package::SCHEMA_BYTES
        );
        return Err(Problem::new("bad_extension", message));
    }
    let (bytes, signer) = packed(&installed, &schemas, key.as_ref());
    for reason in doubts(&installed) {
        log::warn!("{}: {reason}", installed.extension().id());
    }
    let path = args.output.clone().unwrap_or_else(|| name(installed.extension().manifest()));
    file::write(&path, &bytes, args.force)?;
    let manifest = installed.extension().manifest();
    output::print(&if args.json {
        let (id, version) = (manifest.id(), manifest.version());
        json!({ "id": id, "version": version, "file": path, "bytes": bytes.len(), "signer": signer })
            .to_string()
    } else {
        path.display().to_string()
    });
    Ok(Exit::Completed)
}

/// A package of an extension with these schemas, and who has signed it.
pub(super) fn packed(
    installed: &Installed,
    schemas: &[u8],
    key: Option<&toehold::SigningKey>,
) -> (Vec<u8>, Option<String>) {
    let (manifest, module) = (installed.extension().manifest(), installed.module());
    match key {
        Some(key) => {
            (Package::pack_signed(manifest, schemas, module, key), Some(key.public_key().to_string()))
        }
        None => (Package::pack(manifest, schemas, module), None),
    }
}

/// `ID-VERSION.toehold`. A version may have characters that a file's name can't.
fn name(manifest: &Manifest) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+".contains(c) { c } else { '_' };
    let version: String = manifest.version().chars().map(plain).collect();
    format!("{}-{version}.{ENDING}", manifest.id()).into()
}

/// Bytes of a page of linear memory, unless the module has it otherwise.
const PAGE_BYTES: u64 = 1 << 16;

/// What may keep the extension from doing elsewhere what it does here.
pub(super) fn doubts(installed: &Installed) -> Vec<String> {
    let extension = installed.extension();
    let mut doubts = Vec::new();
    let memory = extension.module().memory_bytes;
    if memory > 0 && memory.is_multiple_of(PAGE_BYTES) {
        doubts.push(format!(
            "its memory is {} whole pages of 64 KiB ({memory} bytes), more than most boards have to spare; for boards, build \
             it with a page size of 1 byte",
            memory / PAGE_BYTES
        ));
    }
    let folders = &extension.manifest().permissions().file_access;
    if !folders.is_empty() {
        doubts.push(format!("it reads files in {}, which a package does not bring", folders.join(", ")));
    }
    if has_config(installed.folder()) {
        doubts.push(format!("its {CONFIG_FILE} is the operator's, and stays out of the package"));
    }
    doubts
}

fn has_config(folder: &Path) -> bool {
    folder.join(CONFIG_FILE).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        let json = |version: &str| {
            format!(
                r#"{{"id": "a", "name": "A", "version": "{version}", "description": "", "author": "", "wasm_file": "a.wasm"}}"#
            )
        };
        for (version, expected) in
            [("1.2.0-rc.1+x", "a-1.2.0-rc.1+x.toehold"), ("../1 ü", "a-.._1__.toehold")]
        {
            let manifest: Manifest = serde_json::from_str(&json(version)).unwrap();
            assert_eq!(name(&manifest), Path::new(expected));
        }
    }
}
