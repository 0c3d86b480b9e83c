use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use std_host::{Dispatch, Host, HostConfig, JobHandle};
use tempfile::TempDir;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Each line that was logged by any test so far.
static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Shows what is logged under `--nocapture`, progress included, and keeps it.
pub(crate) fn log_to_stdout() {
    struct Keeper;
    impl log::Log for Keeper {
        fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            println!("[{} {}] {}", record.level(), record.target(), record.args());
            LOGGED.lock().unwrap().insert(record.args().to_string());
        }
        fn flush(&self) {}
    }
    if log::set_logger(&Keeper).is_ok() {
        log::set_max_level(log::LevelFilter::Debug);
    }
}

/// Whether any test logged a line that starts so.
pub(crate) fn was_logged(start: &str) -> bool {
    LOGGED.lock().unwrap().iter().any(|line| line.starts_with(start))
}

/// A host with the canonical extension, and with a data folder of its own.
pub(crate) struct TestHost {
    pub(crate) host: Host,
    _data: TempDir,
}

impl TestHost {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut HostConfig)) -> Self {
        log_to_stdout();
        let data = tempfile::tempdir().unwrap();
        let mut config = HostConfig::new(root(), data.path());
        change(&mut config);
        Self { host: Host::new(config), _data: data }
    }

    /// One that has loaded the test extension.
    pub(crate) fn loaded(self) -> Self {
        self.host.extensions().load(&root().join("test-extension")).unwrap();
        self
    }

    /// One that has loaded a test extension which takes any state, to see what its jobs make of those.
    pub(crate) fn loaded_without_schemas(self) -> Self {
        let (from, to) = (root().join("test-extension"), self._data.path().join("test-extension"));
        fs::create_dir_all(to.join("samples")).unwrap();
        for file in fs::read_dir(from.join("samples")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join("samples").join(file.file_name())).unwrap();
        }
        fs::copy(from.join("test_extension.wasm"), to.join("test_extension.wasm")).unwrap();
        let manifest = fs::read(from.join("manifest.json")).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["state_schemas"] = serde_json::json!({});
        fs::write(to.join("manifest.json"), manifest.to_string()).unwrap();
        self.host.extensions().load(&to).unwrap();
        self
    }

    pub(crate) fn dispatch(&self, job: &str, state: &str) -> JobHandle {
        let dispatch = Dispatch { state: state.as_bytes().to_vec(), ..Dispatch::default() };
        self.host.dispatch(job, dispatch).unwrap()
    }
}

/// A folder of extensions made for a test.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// An extension with this id, whose module is this WebAssembly text.
    pub(crate) fn add(&self, id: &str, wat: &str) -> PathBuf {
        self.add_files(id, &manifest(id), &wat::parse_str(wat).unwrap())
    }

    pub(crate) fn add_files(&self, id: &str, manifest: &str, module: &[u8]) -> PathBuf {
        let folder = self.path().join(id);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("manifest.json"), manifest).unwrap();
        fs::write(folder.join("module.wasm"), module).unwrap();
        folder
    }
}

pub(crate) fn manifest(id: &str) -> String {
    format!(
        r#"{{"id": "{id}", "name": "A guest", "version": "1", "description": "", "author": "",
            "wasm_file": "module.wasm", "permissions": {{"methods": ["query:", "action:"], "max_memory_mb": 1}}}}"#
    )
}

/// A module whose job `go` has this body; all imports that a test needs are there. Text is at 0: "hello".
pub(crate) fn module(body: &str) -> String {
    format!(
        r#"(module
            (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
            (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
            (import "spacedrive" "job_check_interrupt" (func $interrupt (param i32) (result i32)))
            (import "spacedrive" "register_job" (func $register (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "hello")
            (data (i32.const 16) "action:wait")
            (data (i32.const 40) "\ff\fe")
            (data (i32.const 48) "go")
            (data (i32.const 56) "execute_go")
            (func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 4096))
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) {body}))"#
    )
}

/// A module whose job `go` calls one operation, logs the reply, and completes. Neither text may have a `"` or `\` unless it
/// is for JSON; replies may have 60,000 bytes.
pub(crate) fn caller(method: &str, payload: &str) -> String {
    let escaped = payload.replace('\\', "\\\\").replace('"', "\\\"");
    let (method_bytes, payload_bytes) = (method.len(), payload.len());
    format!(
        r#"(module
            (import "spacedrive" "spacedrive_call" (func $call (param i32 i32 i32 i32 i32) (result i32)))
            (import "spacedrive" "spacedrive_log" (func $log (param i32 i32 i32)))
            (memory (export "memory") 2)
            (data (i32.const 0) "{method}")
            (data (i32.const 256) "{escaped}")
            (func (export "wasm_alloc") (param i32) (result i32) (i32.const 65536))
            (func (export "execute_go") (param i32 i32 i32 i32) (result i32) (local $reply i32)
                (local.set $reply (call $call (i32.const 0) (i32.const {method_bytes}) (i32.const 0)
                    (i32.const 256) (i32.const {payload_bytes})))
                (call $log (i32.const 1) (i32.add (local.get $reply) (i32.const 4)) (i32.load (local.get $reply)))
                (i32.const 0)))"#
    )
}

/// The manifest of an extension `a` that may call everything, with these permissions besides.
pub(crate) fn permitted(more: &serde_json::Value) -> String {
    let mut permissions = serde_json::json!({ "methods": ["query:", "action:"], "max_memory_mb": 1 });
    permissions.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::json!({
        "id": "a", "name": "A", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
        "permissions": permissions,
    })
    .to_string()
}
