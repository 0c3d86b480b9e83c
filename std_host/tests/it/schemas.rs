//! Schemas of a manifest: an extension whose configuration does not fit is not loaded, a job whose state does not is not
//! dispatched.

use std::{fs, path::Path};

use serde_json::{Value, json};
use std_host::{
    DispatchError, ExtensionError, ExtensionManager, GrantOptions, Installed,
    api::describe,
    manager::{self, Manager},
    store::{JobFilter, ListOrder},
};
use toehold::{JobState, Limits};

use crate::{
    jobs::{Data, block_on, run},
    support::{Folder, TestHost, module},
};

fn manifest(more: &Value) -> String {
    let mut manifest = json!({
        "id": "a", "name": "A", "version": "1", "description": "", "author": "", "wasm_file": "module.wasm",
    });
    manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    manifest.to_string()
}

/// An extension with a job `go` that completes, and with this in its manifest.
fn extension(folder: &Folder, more: &Value) -> std::path::PathBuf {
    let wasm = wat::parse_str(module("(i32.const 0)")).unwrap();
    folder.add_files("a", &manifest(more), &wasm)
}

fn port() -> Value {
    json!({ "config_schema": {
        "type": "object",
        "required": ["host"],
        "properties": { "host": { "type": "string" }, "port": { "type": "integer", "default": 80 } },
    } })
}

fn manager(folder: &Path, config: Option<Value>) -> ExtensionManager {
    let options = GrantOptions { config, ..GrantOptions::default() };
    ExtensionManager::new(folder, Limits::default(), options)
}

fn problems(result: Result<impl std::fmt::Debug, ExtensionError>) -> Vec<String> {
    match result.unwrap_err() {
        ExtensionError::Config { problems, .. } => problems,
        error => panic!("{error}"),
    }
}

fn config(installed: &Installed) -> &Value {
    &installed.grants().config
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_each_place() {
    let folder = Folder::new();
    let path = extension(&folder, &port());
    let extensions = manager(folder.path(), None);
    assert_eq!(problems(extensions.load(&path)), ["at the top: \"host\" is a required property"]);
    fs::write(path.join("config.json"), r#"{"host": 1, "port": "hunter2"}"#).unwrap();
    let error = extensions.load(&path).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("config.json: is not what the `config_schema`"), "{text}");
    assert!(!text.contains("hunter2"), "what may be secret is not told: {text}");
    let expected =
        ["at /host: value is not of type \"string\"", "at /port: value is not of type \"integer\""];
    assert_eq!(problems(Err::<(), _>(error)), expected);
    assert!(extensions.list().is_empty(), "nothing is half loaded");

    // To look at it, it need not fit.
    assert!(extensions.look_into(&path).is_ok());

    fs::write(path.join("config.json"), r#"{"host": "a"}"#).unwrap();
    let loaded = extensions.load(&path).unwrap();
    assert_eq!(config(&loaded), &json!({ "host": "a", "port": 80 }), "with the schema's defaults");
    assert_eq!(loaded.config_schema(), Some(&port()["config_schema"]));
    assert_eq!(describe(&loaded)["config_schema"], port()["config_schema"]);

    // A reload that does not fit leaves what was loaded.
    fs::write(path.join("config.json"), "[]").unwrap();
    assert_eq!(problems(extensions.reload("a")), ["at the top: value is not of type \"object\""]);
    assert_eq!(config(&extensions.get("a").unwrap()), config(&loaded));
}

#[test]
fn a_configuration_that_the_operator_gives_instead_is_checked_too() {
    let folder = Folder::new();
    let path = extension(&folder, &port());
    let error = manager(folder.path(), Some(json!({ "host": 1 }))).load(&path).unwrap_err().to_string();
    assert!(
        error.starts_with("the configuration that was given: is not what"),
        "no file is to blame: {error}"
    );
    let loaded = manager(folder.path(), Some(json!({ "host": "b", "port": 1 }))).load(&path).unwrap();
    assert_eq!(config(&loaded), &json!({ "host": "b", "port": 1 }));
}

#[test]
fn a_schema_that_is_none_is_an_error_of_the_manifest() {
    let folder = Folder::new();
    for (more, key) in [
        (json!({ "config_schema": { "type": "whole" } }), "config_schema"),
        (json!({ "config_schema": { "$ref": "http://127.0.0.1:1/schema" } }), "config_schema"),
        (json!({ "config_schema": { "items": { "$ref": "#" } } }), "config_schema"),
        (json!({ "state_schemas": { "go": [] } }), "state_schemas.go"),
        (json!({ "state_schemas": { "went": {} } }), "state_schemas.went"),
    ] {
        let path = extension(&folder, &more);
        let error = manager(folder.path(), None).load(&path).unwrap_err();
        assert!(matches!(&error, ExtensionError::Schema { key: found, .. } if found == key), "{error}");
        assert!(error.to_string().contains(&format!("manifest.json: `{key}`")), "{error}");
    }
}

#[test]
fn what_does_not_fit_is_not_installed_and_a_configuration_outlives_a_new_version() {
    let data = Data::new();
    let manager = data.open();
    let folder = Folder::new();
    let path = extension(&folder, &port());
    assert!(matches!(manager.add_extension(&path), Err(ExtensionError::Config { .. })));
    let installed = data.path().join("extensions/a");
    assert!(!installed.exists());
    // The operator may prepare it.
    fs::create_dir(&installed).unwrap();
    fs::write(installed.join("config.json"), r#"{"host": "a"}"#).unwrap();
    for _ in 0..2 {
        let added = manager.add_extension(&path).unwrap();
        assert_eq!(config(&added), &json!({ "host": "a", "port": 80 }));
    }
    fs::write(path.join("config.json"), r#"{"host": "b"}"#).unwrap();
    assert_eq!(config(&manager.add_extension(&path).unwrap())["host"], "b");
    fs::write(path.join("config.json"), r#"{"host": null}"#).unwrap();
    assert!(manager.add_extension(&path).is_err());
    assert_eq!(fs::read_to_string(installed.join("config.json")).unwrap(), r#"{"host": "b"}"#);
}

fn refused(manager: &Manager, state: &str) -> Vec<String> {
    let dispatch = manager::Dispatch { state: state.into(), ..manager::Dispatch::default() };
    match block_on(manager.dispatch("test-extension:counter", dispatch)) {
        Err(manager::DispatchError::State { problems, .. }) => problems,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_that_does_not_fit_dispatches_nothing() {
    let data = Data::new();
    let manager = data.open();
    assert_eq!(refused(&manager, r#"{"target": -1}"#), ["at /target: -1 is less than the minimum of 0"]);
    assert_eq!(refused(&manager, r#"{"target": "x", "current": []}"#).len(), 2);
    assert_eq!(refused(&manager, "[]"), ["at the top: [] is not of type \"object\""]);
    assert!(refused(&manager, "{")[0].starts_with("it is no JSON: "));
    let (jobs, _) = manager.list(&JobFilter::default(), ListOrder::default(), None, 10).unwrap();
    assert_eq!(jobs, []);

    let host = TestHost::new().loaded();
    let dispatch = std_host::Dispatch { state: b"[]".to_vec(), ..std_host::Dispatch::default() };
    let error = host.host.dispatch("test-extension:counter", dispatch).unwrap_err();
    assert!(matches!(error, DispatchError::State { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the state is not what test-extension:counter takes: at the top: [] is not of type \"object\"; mend it and \
         dispatch again"
    );
}

#[test]
fn a_child_s_state_is_checked_and_its_parent_told() {
    let data = Data::new();
    let manager = data.open();
    let family = json!({ "children": 1, "job": "counter", "state": { "target": "x" } });
    let status = run(&manager, "family", &family);
    assert_eq!(status.state, JobState::Failed);
    let (jobs, _) = manager.list(&JobFilter::default(), ListOrder::default(), None, 10).unwrap();
    assert_eq!(jobs.len(), 1, "there is no child");
}

#[test]
fn without_a_schema_any_state_goes_to_the_guest() {
    let folder = Folder::new();
    let extensions = manager(folder.path(), None);
    let loaded = extensions.load(&extension(&folder, &json!({}))).unwrap();
    assert_eq!(loaded.state_schema("go"), None);
    assert_eq!(loaded.check_state("go", b"\xff no JSON"), Ok(()));
    let folder = Folder::new();
    let more = json!({ "state_schemas": { "go": { "type": "integer" } } });
    let loaded = manager(folder.path(), None).load(&extension(&folder, &more)).unwrap();
    assert_eq!(loaded.state_schema("go"), Some(&json!({ "type": "integer" })));
    assert_eq!(loaded.check_state("go", b""), Ok(()), "the default state is the guest's business");
    assert_eq!(loaded.check_state("go", b"7"), Ok(()));
    assert!(loaded.check_state("go", b"\"7\"").is_err());
    assert_eq!(describe(&loaded)["jobs"][0]["state_schema"], json!({ "type": "integer" }));
}
