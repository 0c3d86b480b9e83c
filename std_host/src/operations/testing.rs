//! What the tests of the operations share.

#[cfg(unix)]
use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use serde_json::Value;
use toehold::{Call, CallKey, Uuid};

use super::{CallContext, Grants, Operations};
#[cfg(unix)]
use super::{FileAccess, FileGrants};

/// Calls an operation that is built in.
pub(super) fn call(grants: &Grants, method: &str, input: Value) -> Result<Value, String> {
    let call = Call {
        key: CallKey { job: Uuid::from_u128(1), number: 1 },
        extension: "example".to_owned(),
        method: method.to_owned(),
        library: None,
        payload: serde_json::to_vec(&input).map_err(|error| error.to_string())?,
    };
    let reply = Operations::built_in().carry_out(&CallContext::new(&call, grants))?;
    serde_json::from_slice(&reply).map_err(|error| error.to_string())
}

/// A folder on the disk that holds an extension, `ext`, and beside it what must stay `outside` of its reach.
#[cfg(unix)]
pub(super) struct Disk {
    root: PathBuf,
    _folder: tempfile::TempDir,
}

#[cfg(unix)]
impl Disk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Self { root: fs::canonicalize(folder.path()).unwrap(), _folder: folder };
        for (path, content) in [
            ("ext/samples/a.txt", "alpha"),
            ("ext/samples/inner/b.txt", "beta"),
            ("ext/samples2/a.txt", "secret"),
            ("ext/private.txt", "secret"),
            ("outside/secret.txt", "secret"),
        ] {
            let path = disk.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        disk
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// What the extension may read whose manifest asks for these folders.
    pub(super) fn access(&self, asked: &[&str]) -> FileAccess {
        let asked: Vec<String> = asked.iter().map(|&entry| entry.to_owned()).collect();
        FileAccess::new(&self.path("ext"), &asked, FileGrants::default()).unwrap()
    }

    /// Grants of this extension's `samples`.
    pub(super) fn grants(&self) -> Grants {
        Grants { files: self.access(&["samples"]), ..Grants::default() }
    }

    pub(super) fn link(&self, target: &str, at: &str) {
        symlink(target, self.path(at)).unwrap();
    }

    pub(super) fn pipe(&self, at: &str) {
        assert!(Command::new("mkfifo").arg(self.path(at)).status().unwrap().success());
    }
}
