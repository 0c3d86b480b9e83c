//! Extensions that come in a request.

use std::fs;

use serde_json::{Value, json};

use super::Answer;
use crate::{
    command::{Place, Server},
    support::root,
};

/// Names of parts, and what is in them.
type Parts<'a> = &'a [(&'a str, &'a [u8])];

fn form(parts: Parts<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in parts {
        let head =
            format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

impl Server {
    fn upload(&self, path: &str, parts: Parts<'_>) -> Answer {
        self.ask("POST", path, &["content-type: multipart/form-data; boundary=edge"], &form(parts))
    }
}

fn test_extension() -> (Vec<u8>, Vec<u8>) {
    let folder = root().join("test-extension");
    (fs::read(folder.join("manifest.json")).unwrap(), fs::read(folder.join("test_extension.wasm")).unwrap())
}

#[test]
fn an_extension_is_looked_at_and_installed_from_its_files() {
    let place = Place::empty();
    let server = place.serve();
    let (manifest, module) = test_extension();
    let parts: &[(&str, &[u8])] = &[("manifest", &manifest), ("module", &module)];
    let looked = server.upload("/api/v1/extensions/inspect", parts).json();
    assert_eq!((&looked["id"], &looked["installed"]), (&json!("test-extension"), &Value::Null));
    assert_eq!(looked["permissions"]["methods"][0], "query:");
    assert_eq!(server.get("/api/v1/extensions").json()["extensions"], json!([]), "it is not installed");

    assert_eq!(server.upload("/api/v1/extensions", parts).status, 201);
    let job =
        server.post("/api/v1/jobs", &json!({ "job": "test-extension:counter", "state": { "target": 3 } }));
    assert_eq!(job.status, 201);
    place.ok(&["job", "wait", job.json()["job_id"].as_str().unwrap()]);
    let looked = server.upload("/api/v1/extensions/inspect", parts).json();
    assert_eq!(looked["installed"]["module_sha256"], looked["module"]["sha256"]);

    let package = place.folder().join("p.toehold").display().to_string();
    place.ok(&["extension", "pack", &root().join("test-extension").display().to_string(), "-o", &package]);
    let package = fs::read(package).unwrap();
    let bytes =
        server.ask("POST", "/api/v1/extensions", &["content-type: application/octet-stream"], &package);
    assert_eq!(bytes.status, 201);
    assert_eq!(server.upload("/api/v1/extensions", &[("package", &package)]).status, 201);
}

#[test]
fn what_can_not_be_installed_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let server = place.serve();
    let (manifest, module) = test_extension();
    let elsewhere = |file: &str| {
        let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["wasm_file"] = json!(file);
        manifest.to_string().into_bytes()
    };
    let (up, absolute, own) =
        (elsewhere("../../evil.wasm"), elsewhere("/tmp/evil.wasm"), elsewhere("manifest.json"));
    let (below, beside) = (elsewhere("Manifest.json/x"), elsewhere("package.toehold"));
    let long = elsewhere(&"x".repeat(300));
    let cases: &[(Parts<'_>, u16, &str)] = &[
        (&[("manifest", &manifest)], 400, "package, or manifest and module"),
        (&[("module", &module), ("package", b"x")], 400, "package, or manifest and module"),
        (&[("manifest", &manifest), ("manifest", &manifest)], 400, "more than one part \"manifest\""),
        (&[("other", b"x")], 400, "a part \"other\""),
        (&[], 400, "form can't be read"),
        (&[("manifest", b"{"), ("module", &module)], 422, "manifest.json: "),
        (&[("manifest", &up), ("module", &module)], 422, "wasm_file"),
        (&[("manifest", &absolute), ("module", &module)], 422, "wasm_file"),
        (&[("manifest", &own), ("module", &module)], 422, "manifest.json is another file"),
        (&[("manifest", &below), ("module", &module)], 422, "manifest.json is another file"),
        (&[("manifest", &beside), ("module", &module)], 422, "package.toehold is another file"),
        (&[("manifest", &long), ("module", &module)], 422, "File name too long"),
        (
            &[("manifest", &manifest), ("module", b"no module")],
            422,
            "test_extension.wasm: not a WebAssembly module that can run here: it is text",
        ),
        (&[("package", b"no package")], 422, "the package: this is no package"),
    ];
    let before = server.get("/api/v1/extensions").json();
    for route in ["/api/v1/extensions", "/api/v1/extensions/inspect"] {
        for (parts, status, expected) in cases {
            let answer = server.upload(route, parts);
            assert_eq!(answer.status, *status, "{expected}: {answer:?}");
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(expected), "{expected:?} is not in {message}");
            assert!(!message.contains(".new-"), "a path that nobody knows: {message}");
        }
        let kind = server.ask("POST", route, &["content-type: application/zip"], b"PK");
        assert_eq!((kind.status, kind.code().as_str()), (415, "wrong_content_type"));
        let large =
            server.ask("POST", route, &["content-type: application/octet-stream"], &vec![0; (64 << 20) + 1]);
        assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
    }
    assert_eq!(server.get("/api/v1/extensions").json(), before);
    let left: Vec<_> = fs::read_dir(place.data().join("extensions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["test-extension"]);
}
