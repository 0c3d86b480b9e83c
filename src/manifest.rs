use alloc::{borrow::ToOwned, format, string::String, vec, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bounded::at_most;

/// What an extension says of itself, in the `manifest.json` beside its module.
///
/// A value of this type was checked when it was read, whichever format it was read from, so nobody needs to check
/// its id or paths again. Unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Manifest {
    id: String,
    name: String,
    version: String,
    description: String,
    author: String,
    homepage: Option<String>,
    wasm_file: String,
    permissions: Permissions,
    state_version: u32,
}

/// Entries of each list in a manifest.
const MOST: usize = 256;

/// What an extension asks for. What it does not ask for, it does not get. Each list has at most 256 entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Prefixes of the methods that it may call, such as `query:`. None allows no call.
    #[serde(deserialize_with = "at_most::<MOST, _, _>")]
    pub methods: Vec<String>,
    /// Libraries that its calls may name.
    #[serde(deserialize_with = "at_most::<MOST, _, _>")]
    pub libraries: Vec<Library>,
    /// How often and how many at a time.
    pub rate_limits: RateLimits,
    /// Patterns of the hosts that it may reach.
    #[serde(deserialize_with = "at_most::<MOST, _, _>")]
    pub network_access: Vec<String>,
    /// Mebibytes of linear memory for each job.
    pub max_memory_mb: u32,
    /// Fuel for each job's whole life.
    pub fuel_per_job: Option<u64>,
    /// Folders whose files it may read; a relative one starts at the extension's own folder.
    #[serde(deserialize_with = "at_most::<MOST, _, _>")]
    pub file_access: Vec<String>,
}

/// How often an extension may call, and how many of its jobs may run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Calls of operations in a minute, by all of its jobs together.
    pub requests_per_minute: u32,
    /// Jobs that run at a time.
    pub concurrent_jobs: u32,
}

/// A library that an extension may name in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Library {
    /// Every library; written `*`.
    Any,
    /// One library.
    One(Uuid),
}

/// Why a manifest was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManifestError {
    /// The id is not 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`, or starts with a dot.
    Id(String),
    /// This field may not be empty.
    Empty(&'static str),
    /// This field has control characters, which could steer the terminal that shows it.
    Control(&'static str),
    /// The module's path leaves the extension's folder.
    WasmFile(String),
    /// A library is neither `*` nor a UUID.
    Library(String),
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            libraries: vec![Library::Any],
            rate_limits: RateLimits::default(),
            network_access: Vec::new(),
            max_memory_mb: 512,
            fuel_per_job: None,
            file_access: Vec::new(),
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { requests_per_minute: 1_000, concurrent_jobs: 10 }
    }
}

impl Permissions {
    /// Whether a call of `method` is covered by one of the prefixes.
    #[must_use]
    pub fn allow_method(&self, method: &str) -> bool {
        self.methods.iter().any(|prefix| method.starts_with(prefix.as_str()))
    }

    /// Whether a call may name `library`. A call that names none is always allowed.
    #[must_use]
    pub fn allow_library(&self, library: Option<Uuid>) -> bool {
        let Some(library) = library else { return true };
        self.libraries.iter().any(|allowed| match allowed {
            Library::Any => true,
            Library::One(one) => *one == library,
        })
    }
}

impl Manifest {
    /// A manifest of only what is needed: this id, and `ID.wasm` as its module. It allows no call.
    ///
    /// # Errors
    /// [`ManifestError::Id`] for an id that no manifest may have.
    pub fn new(id: &str) -> Result<Self, ManifestError> {
        Unchecked {
            id: id.to_owned(),
            name: id.to_owned(),
            version: "0.0.0".to_owned(),
            description: String::new(),
            author: String::new(),
            homepage: None,
            wasm_file: format!("{id}.wasm"),
            permissions: Permissions::default(),
            state_version: 0,
        }
        .try_into()
    }

    /// This manifest with other permissions.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// The id, which names the extension everywhere: 1 to 64 of `a-z`, `0-9`, `-`, `_` and `.`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name that people read.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the extension does.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Who wrote it.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// Where to read more.
    #[must_use]
    pub fn homepage(&self) -> Option<&str> {
        self.homepage.as_deref()
    }

    /// The module's path relative to the manifest's folder, which it never leaves; separated by `/`.
    #[must_use]
    pub fn wasm_file(&self) -> &str {
        &self.wasm_file
    }

    /// What the extension asks for.
    #[must_use]
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// The version of the state that its jobs checkpoint.
    #[must_use]
    pub fn state_version(&self) -> u32 {
        self.state_version
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(
                f,
                "`id` is {id:?}; it must be 1 to 64 of a-z, 0-9, '-', '_' and '.', and not start with a dot"
            ),
            Self::Empty(field) => write!(f, "`{field}` is empty"),
            Self::Control(field) => write!(f, "`{field}` has control characters"),
            Self::WasmFile(path) => write!(
                f,
                "`wasm_file` is {path:?}; it must be a relative path inside the manifest's folder, without `..`"
            ),
            Self::Library(text) => {
                write!(f, "`permissions.libraries` has {text:?}; it takes \"*\" or a UUID")
            }
        }
    }
}

impl core::error::Error for ManifestError {}

/// The fields as they are read, before anybody looked at what they say.
#[derive(Deserialize)]
struct Unchecked {
    id: String,
    name: String,
    version: String,
    description: String,
    author: String,
    #[serde(default)]
    homepage: Option<String>,
    wasm_file: String,
    #[serde(default)]
    permissions: Permissions,
    #[serde(default)]
    state_version: u32,
}

impl TryFrom<Unchecked> for Manifest {
    type Error = ManifestError;

    fn try_from(raw: Unchecked) -> Result<Self, ManifestError> {
        if !is_id(&raw.id) {
            return Err(ManifestError::Id(raw.id));
        }
        if raw.name.is_empty() {
            return Err(ManifestError::Empty("name"));
        }
        if raw.version.is_empty() {
            return Err(ManifestError::Empty("version"));
        }
        let texts = [
            ("name", &raw.name),
            ("version", &raw.version),
            ("description", &raw.description),
            ("author", &raw.author),
            ("wasm_file", &raw.wasm_file),
        ];
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.contains(char::is_control)) {
            return Err(ManifestError::Control(field));
        }
        if !stays_inside(&raw.wasm_file) {
            return Err(ManifestError::WasmFile(raw.wasm_file));
        }
        let Unchecked {
            id,
            name,
            version,
            description,
            author,
            homepage,
            wasm_file,
            permissions,
            state_version,
        } = raw;
        Ok(Self { id, name, version, description, author, homepage, wasm_file, permissions, state_version })
    }
}

impl TryFrom<String> for Library {
    type Error = ManifestError;

    fn try_from(text: String) -> Result<Self, ManifestError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        Uuid::parse_str(&text).map(Self::One).map_err(|_| ManifestError::Library(text))
    }
}

impl From<Library> for String {
    fn from(library: Library) -> Self {
        match library {
            Library::Any => "*".to_owned(),
            Library::One(id) => format!("{id}"),
        }
    }
}

/// Ids end up in paths, log targets and method calls, hence the narrow alphabet.
fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(allowed)
}

/// Backslashes and colons are refused too: on Windows they separate folders and name drives.
fn stays_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_what_a_path_can_hold() {
        for id in ["test-extension", "a", "org.example_2"] {
            assert!(Manifest::new(id).is_ok(), "{id}");
        }
        for id in ["", ".hidden", "Upper", "a/b", "a:b", "é", &"x".repeat(65)] {
            assert_eq!(Manifest::new(id), Err(ManifestError::Id(id.to_owned())));
        }
    }

    #[test]
    fn a_module_lies_inside_its_folder() {
        for path in ["a.wasm", "build/a.wasm", "..a/b"] {
            assert!(stays_inside(path), "{path}");
        }
        for path in ["", "/a.wasm", "../a.wasm", "a/../../b", "a//b", "./a", "c:\\a.wasm", "a\\..\\b"] {
            assert!(!stays_inside(path), "{path}");
        }
    }

    #[test]
    fn nothing_asked_is_nothing_allowed() {
        let permissions = Permissions::default();
        assert!(!permissions.allow_method("query:ping"));
        assert!(permissions.allow_library(Some(Uuid::from_u128(1))));
        let one = Permissions { libraries: vec![Library::One(Uuid::from_u128(1))], ..permissions };
        assert!(!one.allow_library(Some(Uuid::from_u128(2))));
        assert!(one.allow_library(None));
    }
}
