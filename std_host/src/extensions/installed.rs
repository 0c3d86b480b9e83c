//! An extension that is loaded: what it is, where it came from, and what it may be given.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use toehold::{Extension, PublicKey};

use super::{
    schema::{Schema, Schemas},
    signed::SignedPackage,
};
use crate::operations::Grants;

/// Bytes of a state that is checked in a moment by a schema without patterns.
const QUICKLY_CHECKED: usize = 4 << 10;

/// An extension that is loaded, and where it came from.
#[derive(Debug)]
pub struct Installed {
    pub(super) extension: Extension,
    pub(super) folder: PathBuf,
    pub(super) fingerprint: [u8; 32],
    pub(super) grants: Arc<Grants>,
    pub(super) module: Arc<[u8]>,
    pub(super) schemas: Schemas,
    /// What one that was only looked at would not get.
    pub(super) doubts: Vec<String>,
    pub(super) package: Option<SignedPackage>,
}

impl Installed {
    /// The extension.
    #[must_use]
    pub fn extension(&self) -> &Extension {
        &self.extension
    }

    /// The folder that it was loaded from; or the package that it was only looked at in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The module's bytes.
    #[must_use]
    pub fn module(&self) -> &Arc<[u8]> {
        &self.module
    }

    /// Who signed the package that it came in, if somebody did and its files are still what that holds.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.package.as_ref().map(SignedPackage::signer)
    }

    /// That package.
    pub(crate) fn package(&self) -> Option<&SignedPackage> {
        self.package.as_ref()
    }

    /// The JSON Schema that its configuration fits, if its manifest has one (`config_schema`).
    #[must_use]
    pub fn config_schema(&self) -> Option<&Value> {
        self.schemas.config.as_ref().map(Schema::value)
    }

    /// The JSON Schema of the state that a job may be dispatched with, if the manifest has one (`state_schemas`). The job is
    /// named without the extension's id.
    #[must_use]
    pub fn state_schema(&self, job: &str) -> Option<&Value> {
        self.schemas.states.get(job).map(Schema::value)
    }

    /// All schemas as one JSON object, as a [`Package`](toehold::Package) takes them; nothing where there are none.
    #[must_use]
    pub fn packed_schemas(&self) -> Vec<u8> {
        self.schemas.to_json()
    }

    /// Checks a state that a job is to be dispatched with. Where the manifest has no schema for it any state fits, and an
    /// empty one, which stands for the guest's default, always does.
    ///
    /// # Errors
    /// Each place of the state that does not fit, and what was expected there.
    pub fn check_state(&self, job: &str, state: &[u8]) -> Result<(), Vec<String>> {
        let Some(schema) = self.schemas.states.get(job).filter(|_| !state.is_empty()) else { return Ok(()) };
        if let Some(most) = schema.most_bytes().filter(|most| state.len() > *most) {
            return Err(vec![format!(
                "it has {} bytes; a state whose schema has patterns may have {most}",
                state.len()
            )]);
        }
        let state = serde_json::from_slice(state).map_err(|error| vec![format!("it is no JSON: {error}")])?;
        schema.admit(&state).map_err(|reason| vec![reason])?;
        let problems = schema.problems(&state, false);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Whether [`Installed::check_state`] may take more than a moment.
    pub(crate) fn checks_slowly(&self, job: &str, state: &[u8]) -> bool {
        let schema = self.schemas.states.get(job);
        schema.is_some_and(|schema| schema.most_bytes().is_some() || state.len() > QUICKLY_CHECKED)
    }

    /// What one in a package, which is only looked at, would not get of the folders that its manifest asks for.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// What the operator grants it.
    #[must_use]
    pub fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }
}
