//! What the API answers about extensions, and of itself, for its description: `describe` writes it.

use serde_json::Value;
use utoipa::ToSchema;

/// What is installed.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Extensions {
    extensions: Vec<Extension>,
    /// What lies in the data folder and could not be loaded.
    not_loaded: Vec<FailedExtension>,
}

/// An extension that could not be loaded.
#[derive(ToSchema)]
#[allow(dead_code)]
struct FailedExtension {
    /// The name of its folder, which is its id.
    id: String,
    folder: String,
    /// Why.
    error: String,
}

/// All about an extension.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Extension {
    id: String,
    name: String,
    version: String,
    description: String,
    author: String,
    homepage: Option<String>,
    /// Where it lies on the host; null for one that is only looked at.
    folder: Option<String>,
    /// The public key that has signed its package, in hexadecimal digits.
    signer: Option<String>,
    module: Module,
    jobs: Vec<Job>,
    /// What its manifest asks for.
    permissions: Value,
    /// What it may use at most.
    limits: Value,
    memory_at_start_bytes: u64,
    imports: Vec<String>,
    exports: Vec<String>,
    /// JSON Schema of its configuration, if its manifest has one.
    config_schema: Option<Value>,
    /// What is odd about it, and what it asks for and does not get.
    warnings: Vec<String>,
    /// Only where it was looked at: the one that is installed in its place.
    installed: Option<Other>,
}

#[derive(ToSchema)]
#[schema(as = ExtensionModule)]
#[allow(dead_code)]
struct Module {
    file: String,
    bytes: u64,
    /// In hexadecimal digits.
    sha256: String,
}

#[derive(ToSchema)]
#[schema(as = ExtensionJob)]
#[allow(dead_code)]
struct Job {
    /// Its full name.
    name: String,
    export: String,
    resumable: bool,
    /// Whether the guest registered it itself.
    registered: bool,
    /// JSON Schema of its state, if its manifest has one.
    state_schema: Option<Value>,
}

#[derive(ToSchema)]
#[schema(as = InstalledExtension)]
#[allow(dead_code)]
struct Other {
    version: String,
    module_sha256: String,
}

/// That somebody is there.
#[derive(ToSchema)]
#[allow(dead_code)]
pub(super) struct Health {
    /// `ok`.
    status: String,
    version: String,
    /// The id of the server's process.
    process: u32,
    /// The data folder.
    data: Option<String>,
    /// The keys whose packages alone are taken; null where everybody's extensions are.
    trusted_keys: Option<Vec<String>>,
    /// How many jobs are in each state; states without jobs are left out.
    jobs: Value,
}
