//! Packages, keys, and hosts that take only what some keys have signed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use toehold::Package;

use crate::{cli::text, command::Place, support::root};

/// The test extension as another version, whose module differs from that of every other version.
fn version(place: &Place, version: u8, state_version: u32) -> PathBuf {
    let folder = place.folder().join(format!("source-{version}"));
    fs::create_dir_all(&folder).unwrap();
    let source = root().join("test-extension");
    let mut manifest: Value =
        serde_json::from_slice(&fs::read(source.join("manifest.json")).unwrap()).unwrap();
    manifest["version"] = format!("{version}.0.0").into();
    manifest["state_version"] = state_version.into();
    fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let module = manifest["wasm_file"].as_str().unwrap();
    let mut bytes = fs::read(source.join(module)).unwrap();
    // A custom section without content: its id, its size, the length of its name and the name.
    bytes.extend([0, 2, 1, version]);
    fs::write(folder.join(module), bytes).unwrap();
    folder
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A key in a file, and its public key.
fn key(place: &Place, name: &str) -> String {
    place.ok(&["key", "generate", name])
}

/// A package of that version of the test extension.
fn pack(place: &Place, of: u8, file: &str, key: Option<&str>) {
    let folder = version(place, of, of.into());
    let mut arguments = vec!["extension", "pack", path(&folder), "-o", file];
    arguments.extend(key.iter().flat_map(|key| ["--sign", key]));
    place.ok(&arguments);
}

#[test]
fn a_folder_becomes_a_package_and_is_installed_from_it() {
    let place = Place::empty();
    let out = place.run(&["extension", "pack", path(&root().join("test-extension"))]);
    let name = text(&out.stdout).trim().to_owned();
    let version = place.json(&["extension", "inspect", &name])["version"].clone();
    assert_eq!(name, format!("test-extension-{}.toehold", version.as_str().unwrap()));
    assert!(text(&out.stderr).contains("whole pages of 64 KiB"), "{out:?}");
    place.fails(&["extension", "pack", path(&root().join("test-extension"))], 7, "--force replaces it");
    place.ok(&["extension", "pack", path(&root().join("test-extension")), "--force"]);

    let inspected = place.json(&["extension", "inspect", &name]);
    let folder = place.json(&["extension", "inspect", path(&root().join("test-extension"))]);
    assert_eq!(inspected["signer"], Value::Null);
    let warned = inspected["warnings"].to_string();
    assert!(warned.contains("has \\\"samples\\\", a folder that a package does not bring"), "{warned}");
    for same in ["module", "permissions", "version"] {
        assert_eq!(inspected[same], folder[same], "{same}");
    }
    let names = |shown: &Value| -> Vec<Value> {
        shown["jobs"].as_array().unwrap().iter().map(|job| job["name"].clone()).collect()
    };
    assert_eq!(names(&inspected), names(&folder));
    assert!(folder["jobs"][0]["state_schema"].is_object());
    assert_eq!(inspected["jobs"], folder["jobs"], "with the schemas of their states");
    let added = place.json(&["extension", "add", &name]);
    assert_eq!(added["module"], folder["module"]);
    let installed = place.data().join("extensions/test-extension");
    let names: Vec<_> = fs::read_dir(&installed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "manifest and module, and no package that nobody signed: {names:?}");
    let _server = place.serve();
    place.ok(&["job", "dispatch", "test-extension:counter", "--state", r#"{"target": 3}"#, "--wait"]);

    // The operator's configuration stays through a new version, also where the server does it.
    fs::write(installed.join("config.json"), r#"{"a": 1}"#).unwrap();
    key(&place, "my.key");
    pack(&place, 2, "two.toehold", Some("my.key"));
    assert_eq!(place.json(&["extension", "add", "two.toehold"])["version"], "2.0.0");
    assert_eq!(fs::read_to_string(installed.join("config.json")).unwrap(), r#"{"a": 1}"#);
    let shown = place.json(&["extension", "inspect", "test-extension"]);
    assert_eq!(shown["signer"], place.ok(&["key", "show", "my.key"]).as_str());
}

/// Schemas are signed with the rest, so that a host which trusts only some keys can go by them.
#[test]
fn schemas_come_with_a_package_and_are_signed() {
    let place = Place::empty();
    let mine = key(&place, "my.key");
    let folder = version(&place, 1, 1);
    let file = folder.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    manifest["config_schema"] = json!({ "required": ["host"], "properties": { "port": { "default": 80 } } });
    fs::write(&file, manifest.to_string()).unwrap();
    place.ok(&["extension", "pack", path(&folder), "-o", "one", "--sign", "my.key"]);
    assert_eq!(fs::read(place.folder().join("one")).unwrap()[3], 2, "the version that has schemas");

    let server = place.serve_with(&["--trust", &mine]);
    // The configuration is checked before anything is installed.
    place.fails(&["extension", "add", "one"], 7, "at the top: \"host\" is a required property");
    let installed = place.data().join("extensions/test-extension");
    assert!(!installed.exists());
    fs::create_dir_all(&installed).unwrap();
    fs::write(installed.join("config.json"), r#"{"host": "a"}"#).unwrap();
    let added = place.json(&["extension", "add", "one"]);
    assert_eq!(added["config_schema"], manifest["config_schema"]);
    assert_eq!(added["signer"], mine.as_str());
    let wrong = ["job", "dispatch", "test-extension:counter", "--state", r#"{"target": -1}"#];
    place.fails(&wrong, 7, "at /target: -1 is less than the minimum of 0");

    // Who changes the file beside the package changes nothing: nobody has signed that.
    let file = installed.join("manifest.json");
    let good = fs::read_to_string(&file).unwrap();
    assert!(good.contains("\"minimum\": 0"), "{good}");
    fs::write(&file, good.replace("\"minimum\": 0", "\"minimum\": -5")).unwrap();
    place.ok(&["extension", "reload", "test-extension"]);
    place.fails(&wrong, 7, "at /target: -1 is less than the minimum of 0");
    drop(server);
    // A host that trusts everybody takes the files, and does not say that they are signed.
    let shown = place.json(&["extension", "inspect", "test-extension"]);
    assert_eq!(shown["signer"], Value::Null);
    fs::write(&file, good).unwrap();
    assert_eq!(place.json(&["extension", "inspect", "test-extension"])["signer"], mine.as_str());
}

#[test]
fn schemas_of_a_package_that_can_not_be_are_refused() {
    let place = Place::empty();
    let source = version(&place, 1, 1);
    let manifest = serde_json::from_slice(&fs::read(source.join("manifest.json")).unwrap()).unwrap();
    let module = fs::read(source.join("test_extension.wasm")).unwrap();
    for (schemas, expected) in [
        (r#"{"config_schema": {"#, "there is no JSON object of these two"),
        (r#"{"config_schema": {}, "id": "other"}"#, "unknown field `id`"),
        (r#"{"config_schema": {"type": "whole"}}"#, "`config_schema` is no schema that can be used"),
        (r#"{"state_schemas": {"gone": {}}}"#, "the module has no such job"),
        (&" ".repeat(Package::SCHEMA_BYTES + 1), "part of the package with the schemas has 1048577 bytes"),
    ] {
        fs::write(place.folder().join("bad"), Package::pack(&manifest, schemas.as_bytes(), &module)).unwrap();
        place.fails(&["extension", "add", "bad"], 7, expected);
        place.fails(&["extension", "inspect", "./bad"], 7, expected);
    }
    assert!(!place.data().join("extensions/test-extension").exists());
    // As large as it may be in a package, it may be too large for the file that is made of it.
    let title = "t".repeat(Package::SCHEMA_BYTES - 100);
    let most = format!(r#"{{"config_schema": {{"title": "{title}"}}}}"#);
    fs::write(place.folder().join("bad"), Package::pack(&manifest, most.as_bytes(), &module)).unwrap();
    place.fails(&["extension", "add", "bad"], 7, "bytes as JSON; the limit is 1048576");
    // What is too large is not packed.
    let folder = version(&place, 2, 2);
    let mut large: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    large["config_schema"] = json!({ "enum": vec![json!(1e15); 60_000] });
    let large = large.to_string().replace("1000000000000000.0", "1e15");
    assert!(large.len() < 1 << 20);
    fs::write(folder.join("manifest.json"), large).unwrap();
    place.fails(&["extension", "pack", path(&folder)], 7, "a package may have 1048576");
}

#[test]
fn keys_are_secret_and_never_replaced() {
    let place = Place::empty();
    let public = place.json(&["key", "generate", "my.key"])["public_key"].clone();
    let file = place.folder().join("my.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read_to_string(&file).unwrap();
    place.fails(&["key", "generate", "my.key"], 7, "a key is never replaced");
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
    assert_eq!(place.ok(&["key", "show", "my.key"]), public.as_str().unwrap());
    assert_ne!(key(&place, "other.key"), public.as_str().unwrap());

    pack(&place, 1, "signed", Some("my.key"));
    pack(&place, 1, "unsigned", None);
    assert_eq!(place.ok(&["key", "show", "signed"]), public.as_str().unwrap());
    place.fails(&["key", "show", "unsigned"], 7, "nobody has signed");
    fs::write(place.folder().join("text"), "hello").unwrap();
    place.fails(&["key", "show", "text"], 7, "neither a key of Toehold nor a package");
    place.fails(&["key", "show", "nowhere"], 7, "nowhere: No such file");
    let source = version(&place, 1, 1);
    place.fails(&["extension", "pack", path(&source), "--sign", "text"], 7, "text: is no key of Toehold");
    let secret = written.lines().nth(1).unwrap();
    fs::write(&file, format!("toehold signing key, secret\n{}", &secret[2..])).unwrap();
    let out = place.run(&["extension", "pack", path(&source), "--sign", "my.key"]);
    assert!(text(&out.stderr).contains("my.key: is damaged"), "{out:?}");
    assert!(!text(&out.stderr).contains(&secret[2..]), "{out:?}");
    assert!(!place.folder().join("test-extension-1.0.0.toehold").exists());
    fs::set_permissions(place.folder().join("other.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let out = place.run(&["extension", "pack", path(&source), "--sign", "other.key"]);
    assert!(out.status.success() && text(&out.stderr).contains("chmod 600"), "{out:?}");
}

#[test]
fn what_is_no_package_is_refused_and_what_was_there_stays() {
    let place = Place::empty();
    key(&place, "my.key");
    pack(&place, 1, "one", Some("my.key"));
    place.ok(&["extension", "add", "one"]);
    let good = fs::read(place.folder().join("one")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.folder().join(name), bytes).unwrap();
    let mut damaged = good.clone();
    damaged[200] ^= 1;
    write("damaged", &damaged);
    write("cut", &good[..good.len() / 2]);
    let mut newer = good.clone();
    newer[3] = 9;
    write("newer", &newer);
    write("foreign", b"PK\x03\x04");
    fs::create_dir(place.folder().join("empty")).unwrap();
    for (name, expected) in [
        ("damaged", "damaged or cut short"),
        ("cut", "damaged or cut short"),
        ("newer", "has format 9, this build reads up to 2: use a newer Toehold"),
        ("foreign", "foreign: this is no package of Toehold"),
        ("empty", "has no manifest.json"),
        ("nowhere", "No such file"),
        ("/dev/zero", "is no regular file"),
    ] {
        place.fails(&["extension", "add", name], 7, expected);
        if name.starts_with('/') || name == "nowhere" {
            continue;
        }
        place.fails(&["extension", "inspect", &format!("./{name}")], 7, expected);
    }
    let out = place.run(&["run", "./one:counter"]);
    assert!(text(&out.stderr).contains("is neither an extension's folder nor its manifest.json"), "{out:?}");
    assert_eq!(place.json(&["extension", "inspect", "test-extension"])["version"], "1.0.0");
    // A module that does not load is not packed.
    let source = version(&place, 2, 2);
    fs::write(source.join("test_extension.wasm"), "no module").unwrap();
    place.fails(&["extension", "pack", path(&source)], 7, "not a WebAssembly module");
    assert!(!place.folder().join("test-extension-2.0.0.toehold").exists());
}

#[test]
fn a_host_with_keys_takes_nothing_else() {
    let place = Place::empty();
    let (mine, theirs) = (key(&place, "my.key"), key(&place, "their.key"));
    pack(&place, 1, "mine", Some("my.key"));
    pack(&place, 1, "theirs", Some("their.key"));
    pack(&place, 1, "unsigned", None);
    // Its module is none: who parses it, says so.
    let folder = version(&place, 1, 1);
    fs::write(folder.join("test_extension.wasm"), "no module").unwrap();
    let refused = |trust: &[&str]| {
        let fails = |arguments: &[&str], expected: &str| {
            place.fails(&[arguments, trust].concat(), 7, expected);
        };
        for command in ["add", "inspect"] {
            fails(&["extension", command, path(&folder)], "a folder carries no signature");
            fails(&["extension", command, "./unsigned"], "the package is not signed");
            fails(&["extension", command, "./theirs"], &format!("is signed by {theirs}, which is not among"));
        }
    };
    refused(&["--trust", &mine]);
    fails_to_run(&place, &folder, &mine);
    place.ok(&["extension", "add", "mine", "--trust", &mine]);
    place.ok(&["extension", "add", "theirs", "--trust", &mine, "--trust", &theirs]);
    place.ok(&["extension", "add", "mine", "--trust", &format!("{mine},{theirs}")]);
    let out = place.run(&["extension", "add", "mine", "--trust", "a5"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(text(&out.stderr).contains("a public key has 64 hexadecimal digits"), "{out:?}");

    fs::write(place.folder().join("toehold.toml"), format!("trusted_keys = [\"{mine}\"]")).unwrap();
    refused(&[]);
    place.ok(&["extension", "add", "mine"]);
    // A flag and the variable take the place of what stands there.
    place.fails(&["extension", "add", "mine", "--trust", &theirs], 7, "is signed by");
    let with_variable = |keys: &str| {
        place.command(&["extension", "add", "mine"]).env("TOEHOLD_TRUSTED_KEYS", keys).output().unwrap()
    };
    assert_eq!(with_variable(&theirs).status.code(), Some(7));
    assert_eq!(with_variable(&format!("{theirs}, {mine}")).status.code(), Some(0));
    assert_eq!(with_variable("").status.code(), Some(2), "no key at all is a mistake, not everybody");
    fs::write(place.folder().join("toehold.toml"), "trusted_keys = []").unwrap();
    place.fails(&["extension", "add", "mine"], 7, "is signed by");
}

fn fails_to_run(place: &Place, folder: &Path, key: &str) {
    let out = place.run(&["run", &format!("{}:counter", folder.display()), "--trust", key]);
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    assert!(text(&out.stderr).contains("a folder carries no signature"), "{out:?}");
}

/// The one that is installed is listed as one that is not loaded, for this reason.
#[track_caller]
fn none_is_loaded(place: &Place, reason: &str) {
    let out = place.run(&["extension", "list", "--json"]);
    assert_eq!(out.status.code(), Some(7), "{out:?}");
    let listed: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert!(listed[0]["error"].as_str().unwrap().contains(reason), "{reason} is not in {listed}");
}

#[test]
fn what_is_installed_is_checked_again_at_each_start() {
    let place = Place::empty();
    let mine = key(&place, "my.key");
    let folder = version(&place, 1, 1);
    place.ok(&["extension", "add", path(&folder)]);
    let id = place.dispatch("counter", &json!({ "target": 2 }));

    // Keys come later: neither the extension nor the module that the store keeps for the job counts any more.
    let server = place.serve_with(&["--trust", &mine]);
    none_is_loaded(&place, "a folder carries no signature");
    place.fails(&["job", "dispatch", "test-extension:counter"], 7, "installed but was not loaded: ");
    let out = place.run(&["job", "wait", &id, "--stopped", "--json"]);
    assert_eq!(out.status.code(), Some(5), "{out:?}");
    assert!(text(&out.stdout).contains("is not taken here: the package is not signed"), "{out:?}");
    // Once its package is there, it goes on.
    pack(&place, 1, "one", Some("my.key"));
    place.ok(&["extension", "add", "one"]);
    place.ok(&["job", "resume", &id]);
    place.ok(&["job", "wait", &id]);
    assert_eq!(server.terminate(), Some(0));

    // After a restart too, as long as its files are what was signed.
    let server = place.serve_with(&["--trust", &mine]);
    let shown = place.json(&["extension", "list"]);
    assert_eq!(shown[0]["signer"], mine.as_str());
    assert_eq!(server.terminate(), Some(0));
    let installed = place.data().join("extensions/test-extension");
    for name in ["manifest.json", "test_extension.wasm", "package.toehold"] {
        let good = fs::read(installed.join(name)).unwrap();
        let mut bad = good.clone();
        match name {
            "manifest.json" => {
                bad = String::from_utf8(bad).unwrap().replace("query:", "action:").into_bytes()
            }
            _ => *bad.last_mut().unwrap() ^= 1,
        }
        fs::write(installed.join(name), bad).unwrap();
        let server = place.serve_with(&["--trust", &mine]);
        let expected = if name == "package.toehold" { "damaged" } else { "were changed since they came" };
        none_is_loaded(&place, expected);
        place.fails(&["extension", "reload", "test-extension"], 7, expected);
        drop(server);
        // Without keys the files count, and nobody is said to have signed them.
        if name != "test_extension.wasm" {
            let shown = place.json(&["extension", "inspect", "test-extension"]);
            assert_eq!(shown["signer"], Value::Null, "{name}");
        }
        fs::write(installed.join(name), good).unwrap();
    }
}

#[test]
fn a_job_goes_on_with_its_older_module_only_if_that_was_signed() {
    for signed in [true, false] {
        let place = Place::empty();
        let mine = key(&place, "my.key");
        pack(&place, 1, "one", signed.then_some("my.key"));
        // States of versions 1 and 2 differ, so that the job can't move over.
        pack(&place, 2, "two", Some("my.key"));
        place.ok(&["extension", "add", "one"]);
        let id = place.dispatch("counter", &json!({ "target": 2 }));
        place.ok(&["extension", "add", "two"]);
        let module = place.status(&id)["module"].clone();
        let server = place.serve_with(&["--trust", &mine]);
        let out = place.run(&["job", "wait", &id, "--stopped"]);
        assert_eq!(out.status.code(), Some(if signed { 0 } else { 5 }), "{out:?}");
        assert_eq!(place.status(&id)["module"], module);
        drop(server);
    }
}

#[test]
fn a_bundle_brings_no_module_to_a_host_with_keys() {
    let (here, there) = (Place::empty(), Place::empty());
    let mine = key(&here, "my.key");
    pack(&here, 1, "one", Some("my.key"));
    let package = here.folder().join("one");
    here.ok(&["extension", "add", "one"]);
    let id = here.dispatch("counter", &json!({ "target": 2 }));
    let bundle = here.folder().join("job.bundle");
    here.ok(&["job", "export", &id, "--with-extension", "-o", path(&bundle)]);
    let import = ["job", "import", path(&bundle), "--trust", &mine];
    there.fails(&import, 7, "install that version's signed package first");
    assert_eq!(there.json(&["job", "list"]), json!([]));
    there.fails(&["job", "replay", path(&bundle), "--trust", &mine], 7, "name the signed package");
    let replay = ["job", "replay", path(&bundle), "--extension", path(&package), "--trust", &mine];
    assert_eq!(there.json(&replay)["same"], true);
    there.ok(&["extension", "add", path(&package), "--trust", &mine]);
    there.ok(&import);

    // A module that the store has from elsewhere does not count either.
    let other = Place::empty();
    other.ok(&["job", "import", path(&bundle)]);
    other.ok(&["job", "cancel", &id]);
    let again = here.dispatch("counter", &json!({ "target": 2 }));
    here.ok(&["job", "export", &again, "-o", path(&bundle), "--force"]);
    other.fails(&import, 7, "is not taken here: the package is not signed");
}

#[test]
fn a_server_without_keys_is_not_asked_by_who_has_some() {
    let place = Place::empty();
    let (mine, theirs) = (key(&place, "my.key"), key(&place, "their.key"));
    pack(&place, 1, "one", Some("my.key"));
    let add = ["extension", "add", "one", "--trust", &mine];
    let server = place.serve();
    place.fails(&add, 7, "takes extensions that your keys have not signed");
    drop(server);
    let server = place.serve_with(&["--trust", &mine, "--trust", &theirs]);
    place.fails(&add, 7, "takes extensions that your keys have not signed");
    drop(server);
    let _server = place.serve_with(&["--trust", &mine]);
    place.ok(&add);
    pack(&place, 2, "two", Some("their.key"));
    place.fails(&["extension", "add", "two"], 7, "is signed by");
}
