use std::fs;

use std_host::{Change, ExtensionError, ExtensionManager, GrantOptions, toehold::Limits};

use crate::support::*;

const GOOD: &str = "(i32.const 0)";

fn manager(folder: &Folder) -> ExtensionManager {
    ExtensionManager::new(folder.path(), Limits::default(), GrantOptions::default())
}

fn words(changes: Vec<Change>) -> Vec<String> {
    let word = |change| match change {
        Change::Added(id) => format!("added {id}"),
        Change::Reloaded(id) => format!("reloaded {id}"),
        Change::Removed(id) => format!("removed {id}"),
        Change::Failed(error) => format!("failed {error}"),
        other => format!("{other:?}"),
    };
    changes.into_iter().map(word).collect()
}

#[test]
fn a_refresh_notices_what_is_new_changed_or_gone() {
    let folder = Folder::new();
    let manager = manager(&folder);
    assert!(manager.refresh().unwrap().is_empty());
    folder.add("one", &module(GOOD));
    folder.add("two", &module(GOOD));
    fs::create_dir(folder.path().join("no-extension")).unwrap();
    assert_eq!(words(manager.refresh().unwrap()), ["added one", "added two"]);
    assert!(manager.refresh().unwrap().is_empty());

    // As long as before, and as new as before: only the hash can tell.
    folder.add("one", &module("(i32.const 2)"));
    assert_eq!(words(manager.refresh().unwrap()), ["reloaded one"]);
    fs::write(folder.path().join("two/config.json"), "{\"a\": 1}").unwrap();
    assert_eq!(words(manager.refresh().unwrap()), ["reloaded two"]);
    assert_eq!(manager.get("two").unwrap().grants().config["a"], 1);

    fs::remove_dir_all(folder.path().join("two")).unwrap();
    assert_eq!(words(manager.refresh().unwrap()), ["removed two"]);
    assert_eq!(manager.list().len(), 1);
}

#[test]
fn a_failed_reload_leaves_the_old_one_in_place() {
    let folder = Folder::new();
    let manager = manager(&folder);
    let path = folder.add("one", &module(GOOD));
    let old = manager.load(&path).unwrap();
    fs::write(path.join("module.wasm"), b"\0asm").unwrap();
    assert!(matches!(manager.reload("one"), Err(ExtensionError::Load { .. })));
    fs::write(path.join("manifest.json"), "{").unwrap();
    assert!(matches!(manager.reload("one"), Err(ExtensionError::Json { .. })));
    fs::write(path.join("manifest.json"), manifest("another")).unwrap();
    fs::write(path.join("module.wasm"), wat::parse_str(module(GOOD)).unwrap()).unwrap();
    assert!(matches!(manager.reload("one"), Err(ExtensionError::OtherId { .. })));
    assert_eq!(manager.get("one").unwrap().extension().module().hash, old.extension().module().hash);
    let failed = words(manager.refresh().unwrap());
    assert!(failed[0].starts_with("failed "), "{failed:?}");
    assert_eq!(manager.list().len(), 1);
}

#[test]
fn an_id_is_loaded_once() {
    let folder = Folder::new();
    let manager = manager(&folder);
    manager.load(&folder.add("one", &module(GOOD))).unwrap();
    let other = folder.add_files("copy", &manifest("one"), &wat::parse_str(module(GOOD)).unwrap());
    assert!(matches!(manager.load(&other), Err(ExtensionError::Duplicate { .. })));
    assert_eq!(manager.list().len(), 1);
}

#[test]
fn unload_runs_the_clean_up_once_and_forgets_in_any_case() {
    let folder = Folder::new();
    let manager = manager(&folder);
    let wat = r#"(module (memory (export "memory") 1) (func (export "plugin_cleanup") (unreachable)))"#;
    manager.load(&folder.add("one", wat)).unwrap();
    assert!(matches!(manager.unload("one"), Err(ExtensionError::Cleanup { .. })));
    assert!(matches!(manager.unload("one"), Err(ExtensionError::Unknown { .. })));
    assert!(manager.list().is_empty());
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_out_of_the_folder() {
    let folder = Folder::new();
    let path = folder.add("one", &module(GOOD));
    let outside = folder.path().join("outside.wasm");
    fs::rename(path.join("module.wasm"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, path.join("module.wasm")).unwrap();
    assert!(matches!(manager(&folder).load(&path), Err(ExtensionError::OutsideFolder { .. })));
}

#[cfg(unix)]
#[test]
fn a_configuration_that_is_a_link_to_somebody_elses_file_is_refused() {
    let folder = Folder::new();
    let path = folder.add("one", &module(GOOD));
    let secret = folder.path().join("secret.json");
    fs::write(&secret, "{\"token\": 1}").unwrap();
    std::os::unix::fs::symlink(&secret, path.join("config.json")).unwrap();
    assert!(matches!(manager(&folder).load(&path), Err(ExtensionError::OutsideFolder { .. })));
}
