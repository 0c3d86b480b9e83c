use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use std_host::{Change, ExtensionManager, GrantOptions, Installed};
use toehold::Limits;

use super::{ExtensionsArg, exit::Exit, logging, logging::printable, output};

#[derive(Debug, Subcommand)]
pub(crate) enum ExtensionCommand {
    /// List the extensions of a folder, and their jobs
    List {
        #[command(flatten)]
        extensions: ExtensionsArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show all about an extension: imports, exports, jobs, permissions, limits, warnings, size, hash
    Inspect {
        /// The extension's folder, its manifest, or its id in --extensions
        #[arg(value_name = "PATH|ID")]
        path: PathBuf,
        #[command(flatten)]
        extensions: ExtensionsArg,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn extension(command: &ExtensionCommand) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    let (result, json) = match command {
        ExtensionCommand::List { extensions, json } => (list(&extensions.extensions, *json), *json),
        ExtensionCommand::Inspect { path, extensions, json } => {
            (inspect(path, &extensions.extensions, *json), *json)
        }
    };
    result.unwrap_or_else(|message| output::not_started(&message, json))
}

fn manager(folder: &Path) -> ExtensionManager {
    ExtensionManager::new(folder, Limits::default(), GrantOptions::default())
}

fn list(folder: &Path, json: bool) -> Result<Exit, String> {
    let manager = manager(folder);
    let changes = manager.refresh().map_err(|error| error.to_string())?;
    let installed = manager.list();
    if json {
        let list: Vec<Value> = installed.iter().map(|one| describe(one)).collect();
        output::print(&Value::from(list).to_string());
    } else if installed.is_empty() {
        output::print(&format!("no extension in {}", folder.display()));
    } else {
        let width = |of: fn(&Installed) -> &str| installed.iter().map(|one| of(one).len()).max().unwrap_or(0);
        let id_width = width(|one| one.extension().id());
        let version_width = width(|one| one.extension().manifest().version());
        for one in &installed {
            let extension = one.extension();
            let jobs: Vec<&str> = extension.jobs().iter().map(|job| job.name.as_str()).collect();
            output::print(&format!(
                "{:id_width$}  {:version_width$}  {}",
                extension.id(),
                extension.manifest().version(),
                jobs.join(", ")
            ));
        }
    }
    let mut exit = Exit::Completed;
    for change in changes {
        if let Change::Failed(error) = change {
            output::eprint(&format!("error: {}", output::one_line(&error.to_string())));
            exit = Exit::NotStarted;
        }
    }
    Ok(exit)
}

fn inspect(path: &Path, folder: &Path, json: bool) -> Result<Exit, String> {
    let manager = manager(folder);
    let installed = match path.to_str() {
        Some(id) if !path.exists() && !id.contains(['/', '\\']) => manager.load_id(id),
        _ => manager.load(path),
    };
    let installed = installed.map_err(|error| error.to_string())?;
    let value = describe(&installed);
    output::print(&if json { value.to_string() } else { for_people(&value) });
    Ok(Exit::Completed)
}

/// All that there is to know, in the order in which people want it.
fn describe(installed: &Installed) -> Value {
    let extension = installed.extension();
    let (manifest, module, limits) = (extension.manifest(), extension.module(), extension.limits());
    let hash: String = module.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let refused = installed.grants().files.refused().iter().map(ToString::to_string);
    let warnings: Vec<String> = extension.warnings().iter().cloned().chain(refused).collect();
    let imports: Vec<String> = module
        .imports
        .iter()
        .map(|import| format!("{}.{} {}", import.module, import.name, import.ty))
        .collect();
    let exports: Vec<String> =
        module.exports.iter().map(|export| format!("{} {}", export.name, export.ty)).collect();
    let jobs: Vec<Value> = extension
        .jobs()
        .iter()
        .map(|job| {
            json!({
                "name": format!("{}:{}", extension.id(), job.name),
                "export": job.export,
                "resumable": job.resumable,
                "registered": job.registered,
            })
        })
        .collect();
    json!({
        "id": manifest.id(),
        "name": manifest.name(),
        "version": manifest.version(),
        "description": manifest.description(),
        "author": manifest.author(),
        "homepage": manifest.homepage(),
        "folder": installed.folder().display().to_string(),
        "module": { "file": manifest.wasm_file(), "bytes": module.bytes, "sha256": hash },
        "jobs": jobs,
        "permissions": serde_json::to_value(manifest.permissions()).unwrap_or_default(),
        "limits": {
            "module_bytes": limits.module_bytes,
            "memory_bytes": limits.memory_bytes,
            "tables": limits.tables,
            "table_elements": limits.table_elements,
            // The largest number there is stands for no limit.
            "fuel_per_job": (limits.fuel_per_job != u64::MAX).then_some(limits.fuel_per_job),
            "requests_per_minute": limits.requests_per_minute,
            "concurrent_jobs": limits.concurrent_jobs,
            "grace_fuel": limits.grace_fuel,
            "call_depth": limits.call_depth,
            "stack_bytes": limits.stack_bytes,
            "state_bytes": limits.state_bytes,
            "payload_bytes": limits.payload_bytes,
            "reply_bytes": limits.reply_bytes,
            "line_bytes": limits.line_bytes,
            "log_lines": limits.log_lines,
            "warnings": limits.warnings,
        },
        "memory_at_start_bytes": module.memory_bytes,
        "imports": imports,
        "exports": exports,
        "warnings": warnings,
    })
}

/// The same as an indented list.
fn for_people(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value, 0);
    text.trim_end().to_owned()
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        text.push_str(&format!("{indent}{name}\n"));
                        write_value(text, value, depth + 1);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        text.push_str(&format!("{indent}{name}\n"));
                        write_value(text, value, depth + 1);
                    }
                    _ => text.push_str(&format!("{indent}{name:<22} {}\n", plain(value))),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&format!("{indent}{}\n", plain(item)));
            }
        }
        other => text.push_str(&format!("{indent}{}\n", plain(other))),
    }
}

/// A value on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Object(fields) => {
            let parts: Vec<String> = fields
                .iter()
                .map(|(name, value)| match value {
                    Value::Bool(true) => name.clone(),
                    Value::Bool(false) => format!("not {name}"),
                    value => format!("{name} {}", plain(value)),
                })
                .collect();
            parts.join(", ")
        }
        other => other.to_string(),
    }
}
