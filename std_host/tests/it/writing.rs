//! Files that jobs write: where the manifest and the operator agree, and nowhere else.

use std::{fs, path::Path};

use serde_json::{Value, json};
use std_host::{
    GrantOptions,
    manager::{Dispatch, Manager, ManagerConfig},
};
use toehold::JobState;

use crate::{
    cli::text,
    command::Place,
    jobs::block_on,
    support::{Folder, caller, permitted},
};

/// What a job of an extension is told that writes to this path, where the operator allows this.
fn write(folder: &Folder, path: &Path, asked: &Path, grants: GrantOptions) -> String {
    let payload = json!({ "path": path, "data": "bmV3" }).to_string();
    let wasm = wat::parse_str(caller("action:fs.write", &payload)).unwrap();
    let source = folder.add_files("a", &permitted(&json!({ "file_access": [asked] })), &wasm);
    let config = ManagerConfig { grants, workers: 1, ..ManagerConfig::new(folder.path().join("data")) };
    let manager = Manager::open(config).unwrap();
    manager.add_extension(&source).unwrap();
    let job = block_on(manager.dispatch("a:go", Dispatch::default())).unwrap();
    assert_eq!(block_on(job.wait()).state, JobState::Completed);
    block_on(manager.flush()).unwrap();
    let lines = manager.reader().logs(job.id(), 0, 10).unwrap();
    format!("{lines:?}")
}

#[test]
fn a_job_writes_where_manifest_and_operator_agree() {
    let folder = Folder::new();
    let root = fs::canonicalize(folder.path()).unwrap();
    let out = root.join("out");
    fs::create_dir(&out).unwrap();
    let allowed = GrantOptions { write_folders: vec![out.clone()], ..GrantOptions::default() };
    let told = write(&folder, &out.join("a.txt"), &out, allowed.clone());
    assert!(told.contains("size"), "{told}");
    assert_eq!(fs::read_to_string(out.join("a.txt")).unwrap(), "new");

    let only_read = GrantOptions { folders: vec![out.clone()], ..GrantOptions::default() };
    let told = write(&folder, &out.join("b.txt"), &out, only_read);
    assert!(told.contains("it may be read, but not written"), "{told}");
    let told = write(&folder, &out.join("b.txt"), Path::new("."), allowed);
    assert!(told.contains("outside of the folders"), "{told}");
    assert!(!out.join("b.txt").exists());
}

#[test]
fn a_job_never_writes_into_the_host_s_own_folders() {
    let folder = Folder::new();
    let root = fs::canonicalize(folder.path()).unwrap();
    let all = GrantOptions { write_folders: vec![root.clone()], ..GrantOptions::default() };
    for path in ["data/toehold.db", "data/new", "data/extensions/a/manifest.json", "data/extensions/b"] {
        let told = write(&folder, &root.join(path), &root, all.clone());
        assert!(told.contains("where none may write"), "{path}: {told}");
    }
}

#[test]
fn the_command_allows_writing_and_refuses_its_own_folder() {
    let place = Place::empty();
    let data = place.data();
    fs::create_dir_all(&data).unwrap();
    for (folder, expected) in
        [("none", "none: No such file"), (data.to_str().unwrap(), "lies in the data folder")]
    {
        place.fails(&["serve", "--allow-write-dir", folder], 7, expected);
    }
    let out = place.folder().join("out");
    fs::create_dir(&out).unwrap();
    let folder = Folder::new();
    let payload = json!({ "path": out.join("a"), "data": "bmV3" }).to_string();
    let wasm = wat::parse_str(caller("action:fs.write", &payload)).unwrap();
    let source = folder.add_files("a", &permitted(&json!({ "file_access": [out] })), &wasm);
    let job = format!("{}:go", source.display());
    let ran = place.run(&["run", &job, "--allow-write-dir", out.to_str().unwrap(), "--json"]);
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told["outcome"], "completed", "{}", text(&ran.stderr));
    assert_eq!(fs::read_to_string(out.join("a")).unwrap(), "new");
}
