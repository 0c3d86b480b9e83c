//! Extensions that lie in the data folder and can't be loaded.

use std::fs;

use serde_json::{Value, json};

use crate::{cli::text, command::Place, support::root};

#[test]
fn what_was_not_loaded_is_told_wherever_it_is_looked_for() {
    let place = Place::new();
    let module = place.data().join("extensions/test-extension/test_extension.wasm");
    let good = fs::read(&module).unwrap();
    fs::write(&module, "no module").unwrap();
    let expected = "test_extension.wasm: not a WebAssembly module";
    let list = |place: &Place| {
        let out = place.run(&["extension", "list"]);
        assert_eq!(out.status.code(), Some(7), "{out:?}");
        assert!(text(&out.stderr).contains(expected), "{out:?}");
        let row: Vec<_> = text(&out.stdout).split_whitespace().map(str::to_owned).collect();
        assert_eq!(row, ["test-extension", "-", "not", "loaded"]);
        let out = place.run(&["extension", "list", "--json"]);
        let listed: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(listed[0]["id"], "test-extension");
        assert!(listed[0]["error"].as_str().unwrap().contains(expected), "{listed}");
    };
    list(&place);
    let server = place.serve();
    list(&place);
    let answer = server.get("/api/v1/extensions").json();
    assert_eq!(
        (&answer["extensions"], &answer["not_loaded"][0]["id"]),
        (&json!([]), &json!("test-extension"))
    );
    let answer = server.get("/api/v1/extensions/test-extension");
    assert_eq!((answer.status, answer.code().as_str()), (409, "extension_not_loaded"));
    let dispatch = ["job", "dispatch", "test-extension:counter"];
    place.fails(&dispatch, 7, "extension test-extension is installed but was not loaded: ");
    place.fails(&dispatch, 7, expected);
    place.fails(&["extension", "reload", "test-extension"], 7, expected);

    // Once it is mended it can be loaded, and then nobody says otherwise.
    fs::write(&module, &good).unwrap();
    place.ok(&["extension", "reload", "test-extension"]);
    assert_eq!(place.json(&["extension", "list"])[0]["id"], "test-extension");
    assert_eq!(server.get("/api/v1/extensions").json()["not_loaded"], json!([]));
    place.ok(&dispatch);
    drop(server);
}

#[test]
fn what_was_not_loaded_can_be_removed_and_replaced() {
    for served in [true, false] {
        let place = Place::new();
        let installed = place.data().join("extensions/test-extension");
        let break_it = || fs::write(installed.join("test_extension.wasm"), "no module").unwrap();
        break_it();
        let server = served.then(|| place.serve());
        place.ok(&["extension", "remove", "test-extension"]);
        assert!(!installed.exists());
        assert_eq!(place.json(&["extension", "list"]), json!([]));
        drop(server);
        place.ok(&["extension", "add", root().join("test-extension").to_str().unwrap()]);
        break_it();
        let server = served.then(|| place.serve());
        place.ok(&["extension", "add", root().join("test-extension").to_str().unwrap()]);
        assert_eq!(place.json(&["extension", "list"])[0]["id"], "test-extension");
        drop(server);
    }
}
