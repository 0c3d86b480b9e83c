//! A data folder, and the server that has it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The id of a job that a guest has to know, and its bytes in WebAssembly text.
pub(crate) const ID: &str = "00000000-0000-4000-8000-000000000007";
pub(crate) const ID_BYTES: &str = r"\00\00\00\00\00\00\40\00\80\00\00\00\00\00\00\07";

/// A data folder of its own for a test.
pub(crate) struct Place(TempDir);

impl Place {
    /// With the test extension.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        place.ok(&["extension", "add", &test_extension().display().to_string()]);
        place
    }

    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toehold"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOEHOLD_")) {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.folder()).env("TOEHOLD_DATA", self.data());
        command.stdin(Stdio::null());
        command
    }

    /// What a command printed that went well.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let out = self.command(arguments).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    /// The exit code of a command that may fail, as one that waits for a job that does.
    pub(crate) fn command_status(&self, arguments: &[&str]) -> Option<i32> {
        self.command(arguments).output().unwrap().status.code()
    }

    /// Dispatches a job and gives its id.
    #[track_caller]
    pub(crate) fn dispatch(&self, job: &str, state: &Value) -> String {
        self.ok(&["job", "dispatch", job, "--state", &state.to_string()])
    }

    /// Dispatches [`ID`]: guests in WebAssembly text have its bytes in their memory, where the host expects them.
    #[track_caller]
    pub(crate) fn dispatch_known(&self, job: &str, state: &Value) {
        self.ok(&["job", "dispatch", job, "--state", &state.to_string(), "--id", ID]);
    }

    #[track_caller]
    pub(crate) fn status(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["job", "show", id, "--json"])).unwrap()
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// A server that is ready, on a port that is free.
    pub(crate) fn serve_with(&self, arguments: &[&str]) -> Server {
        self.serve_at("127.0.0.1:0", arguments)
    }

    pub(crate) fn serve_at(&self, address: &str, arguments: &[&str]) -> Server {
        let mut command = self.command(&[&["serve", "--json", "--listen", address], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&lines.next().expect("it is ready").unwrap()).unwrap();
        Server { child, url: ready["url"].as_str().expect("it listens").to_owned() }
    }

    /// A folder with an extension of this manifest and module, in WebAssembly text.
    pub(crate) fn extension(&self, manifest: &Value, module: &str) -> PathBuf {
        let folder = self.folder().join("made").join(manifest["id"].as_str().unwrap());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("module.wasm"), wat::parse_str(module).unwrap()).unwrap();
        folder
    }
}

/// A server that is killed with SIGKILL, without any warning, when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it answers, with a slash at the end.
    pub(crate) url: String,
}

impl Server {
    /// The address, to be served at again.
    pub(crate) fn address(&self) -> String {
        self.url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder of the canonical extension.
pub(crate) fn test_extension() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-extension")).unwrap()
}
