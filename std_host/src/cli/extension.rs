use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use std_host::{
    Change, ExtensionError, ExtensionManager, GrantOptions, Installed,
    api::{ApiError, describe, describe_failed},
};
use toehold::Limits;

use super::{
    client::{Client, Need, escaped},
    exit::Exit,
    logging,
    logging::printable,
    output,
    pack::{self, PackArgs},
    problem::Problem,
    serve,
    settings::DataArgs,
    table::table,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ExtensionCommand {
    /// Pack an extension into one file, for boards and other hosts, and sign it
    Pack(PackArgs),
    /// Install an extension, or another version of one: copies its folder, or unpacks its package, into the data folder
    Add {
        /// The extension's folder, its manifest, or its package
        path: PathBuf,
        #[command(flatten)]
        common: Common,
    },
    /// List the extensions that are installed, or those of a folder, and their jobs
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// Show all about an extension: imports, exports, jobs, permissions, limits, warnings, size, hash
    Inspect {
        /// The extension's folder, its manifest, its package, or its id
        #[arg(value_name = "PATH|ID")]
        path: PathBuf,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        common: Common,
    },
    /// Load the files of an installed extension anew, after they were changed in the data folder
    Reload {
        /// The extension's id
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove an installed extension, none of whose jobs is left to run
    Remove {
        /// The extension's id
        id: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    data: DataArgs,
    #[cfg(feature = "nats")]
    #[command(flatten)]
    fleet: super::fleet::FleetArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A folder that holds extensions' folders, instead of what is installed in the data folder
    #[arg(long, value_name = "DIR", env = "TOEHOLD_EXTENSIONS")]
    extensions: Option<PathBuf>,
}

/// Where to look for extensions.
enum Where {
    Folder(PathBuf),
    Server(Client),
}

/// What the API lists.
#[derive(Deserialize)]
struct Listed {
    extensions: Vec<Value>,
    /// Older servers don't tell.
    #[serde(default)]
    not_loaded: Vec<Value>,
}

pub(crate) fn extension(command: &ExtensionCommand) -> Exit {
    logging::start(log::LevelFilter::Warn, None);
    let (result, json) = match command {
        ExtensionCommand::Pack(args) => (pack::pack(args), args.json),
        ExtensionCommand::Add { path, common } => (add(path, common), common.json),
        ExtensionCommand::List { place, common } => (list(place, common), common.json),
        ExtensionCommand::Inspect { path, place, common } => (inspect(path, place, common), common.json),
        ExtensionCommand::Reload { id, common } => (reload(id, common), common.json),
        ExtensionCommand::Remove { id, common } => (remove(id, common), common.json),
    };
    result.unwrap_or_else(|problem| problem.report(json))
}

impl Common {
    fn open(&self) -> Result<Client, Problem> {
        let settings = self.data.settings()?;
        let config = serve::config(&self.data.folder(&settings)?, &settings)?;
        #[cfg(feature = "nats")]
        if let Some(fleet) = self.fleet.config() {
            return Client::of_fleet(&fleet, &config);
        }
        Client::open(&config, Need::Write)
    }

    fn print(&self, value: &Value, for_people: &str) {
        output::print(&if self.json { value.to_string() } else { for_people.to_owned() });
    }
}

impl Place {
    /// The folder that was named; else the server that has the data folder, or its folder of extensions.
    fn find(&self, common: &Common) -> Result<Where, Problem> {
        let settings = common.data.settings()?;
        if let Some(folder) = self.extensions.clone().or_else(|| settings.extensions.clone()) {
            return Ok(Where::Folder(folder));
        }
        let data = common.data.folder(&settings)?;
        #[cfg(feature = "nats")]
        if let Some(fleet) = common.fleet.config() {
            let config = serve::config(&data, &settings)?;
            return Client::of_fleet(&fleet, &config).map(Where::Server);
        }
        let server = Client::of_server(&data)?;
        Ok(server.map_or_else(|| Where::Folder(data.join(INSTALLED)), Where::Server))
    }
}

/// Where a data folder has its extensions.
const INSTALLED: &str = "extensions";

fn add(path: &Path, common: &Common) -> Result<Exit, Problem> {
    let absolute = std::path::absolute(path);
    let absolute =
        absolute.map_err(|error| Problem::new("bad_extension", format!("{}: {error}", path.display())))?;
    let added: Value = common.open()?.post("/extensions", &json!({ "path": absolute }))?;
    common.print(&added, &format!("{}  {}", plain(&added["id"]), plain(&added["version"])));
    Ok(Exit::Completed)
}

fn reload(id: &str, common: &Common) -> Result<Exit, Problem> {
    let client = common.open()?;
    let loaded = client.post(&format!("/extensions/{}/reload", escaped(id)), &Value::Null);
    let loaded: Value = loaded.map_err(|problem| client.about_extension(id, problem))?;
    common.print(&loaded, &format!("{}  {}", plain(&loaded["id"]), plain(&loaded["version"])));
    Ok(Exit::Completed)
}

fn remove(id: &str, common: &Common) -> Result<Exit, Problem> {
    let client = common.open()?;
    let removed = client.delete(&format!("/extensions/{}", escaped(id)));
    removed.map_err(|problem| client.about_extension(id, problem))?;
    common.print(&json!({ "removed": id }), &format!("removed {}", printable(id)));
    Ok(Exit::Completed)
}

fn bad(error: ExtensionError) -> Problem {
    ApiError::from(error).into()
}

fn list(place: &Place, common: &Common) -> Result<Exit, Problem> {
    let (listed, place) = match place.find(common)? {
        Where::Server(client) => {
            let listed: Listed = client.get("/extensions")?;
            (listed, client.data().join(INSTALLED))
        }
        // A data folder without extensions need not have the folder for them.
        Where::Folder(folder) if folder.ends_with(INSTALLED) && !folder.exists() => {
            (Listed { extensions: Vec::new(), not_loaded: Vec::new() }, folder)
        }
        Where::Folder(folder) => {
            let manager = manager(&folder, common)?;
            let changes = manager.refresh().map_err(bad)?;
            let error = |change: &Change| matches!(change, Change::Failed(ExtensionError::Duplicate { .. }));
            // Of these one is loaded, so that they are not among those that are not.
            for change in changes.iter().filter(|change| error(change)) {
                if let Change::Failed(error) = change {
                    output::eprint(&format!("error: {}", output::one_line(&error.to_string())));
                }
            }
            let extensions = manager.list().iter().map(|one| describe(one)).collect();
            (
                Listed { extensions, not_loaded: manager.not_loaded().iter().map(describe_failed).collect() },
                folder,
            )
        }
    };
    let Listed { mut extensions, not_loaded } = listed;
    for failed in &not_loaded {
        output::eprint(&format!("error: {}", output::one_line(&plain(&failed["error"]))));
    }
    let exit = if not_loaded.is_empty() { Exit::Completed } else { Exit::NotStarted };
    if common.json {
        extensions.extend(not_loaded);
        output::print(&Value::from(extensions).to_string());
    } else if extensions.is_empty() && not_loaded.is_empty() {
        let hint = "`toehold extension add PATH` installs one, --extensions DIR lists those of a folder";
        output::print(&format!("no extension in {}; {hint}", place.display()));
    } else {
        let row = |extension: &Value| {
            let names = extension["jobs"].as_array().into_iter().flatten().map(|job| plain(&job["name"]));
            let names =
                names.map(|name| name.split_once(':').map_or(name.clone(), |(_, name)| name.to_owned()));
            vec![plain(&extension["id"]), plain(&extension["version"]), names.collect::<Vec<_>>().join(", ")]
        };
        let failed = |failed: &Value| vec![plain(&failed["id"]), "-".to_owned(), "not loaded".to_owned()];
        let rows = extensions.iter().map(row).chain(not_loaded.iter().map(failed));
        output::print(&table(&rows.collect::<Vec<_>>()));
    }
    Ok(exit)
}

fn inspect(path: &Path, place: &Place, common: &Common) -> Result<Exit, Problem> {
    // A name alone is first of all an id: a folder of that name may hold another version than the one that is installed.
    let id = path.to_str().filter(|id| !id.contains(['/', '\\']));
    let found = id.map(|id| find(id, place, common)).transpose();
    let value = match found {
        Ok(Some(value)) => value,
        Err(problem) if problem.code != "unknown_extension" || !path.exists() => return Err(problem),
        Ok(None) | Err(_) => describe(&*look_into(&manager(Path::new("."), common)?, path)?),
    };
    common.print(&value, &for_people(&value));
    Ok(Exit::Completed)
}

/// What there is of the extension of an id.
fn find(id: &str, place: &Place, common: &Common) -> Result<Value, Problem> {
    match place.find(common)? {
        Where::Server(client) => client.get(&format!("/extensions/{}", escaped(id))),
        Where::Folder(folder) => {
            manager(&folder, common)?.load_id(id).map(|one| describe(&one)).map_err(|error| {
                // Where nothing was ever installed there is no folder either.
                let is_unknown = matches!(error, ExtensionError::Unknown { .. }) || !folder.exists();
                let problem = bad(error);
                if is_unknown { Problem { code: "unknown_extension".into(), ..problem } } else { problem }
            })
        }
    }
}

fn manager(folder: &Path, common: &Common) -> Result<ExtensionManager, Problem> {
    let trust = common.data.settings()?.trust();
    Ok(ExtensionManager::new(folder, Limits::default(), GrantOptions::default()).with_trust(trust))
}

/// The extension of a folder, a manifest or a package, to be looked at.
pub(crate) fn look_into(extensions: &ExtensionManager, path: &Path) -> Result<Arc<Installed>, Problem> {
    extensions.look_into(path).map_err(bad)
}

/// The same as an indented list, without the schemas, which are for programs.
fn for_people(value: &Value) -> String {
    let mut value = value.clone();
    let jobs = value["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let without = |mut job: Value| {
        job.as_object_mut().map(|job| job.shift_remove("state_schema"));
        job
    };
    value["jobs"] = jobs.into_iter().map(without).collect();
    value.as_object_mut().map(|fields| fields.shift_remove("config_schema"));
    let mut text = String::new();
    write_value(&mut text, &value, 0);
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
