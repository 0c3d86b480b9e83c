//! Whom a server lets in.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, pki_types::ServerName,
};

use crate::command::Place;

const TOKEN: &str = "a-token-that-nobody-guesses";

#[test]
fn pages_of_others_are_refused() {
    let place = Place::new();
    let server = place.serve();
    let own = server.address();
    let port = own.split(':').nth(1).unwrap();
    let asked = |headers: &[&str]| server.ask("GET", "/api/v1/health", headers, b"");
    for host in [
        own.clone(),
        format!("localhost:{port}"),
        "LocalHost.".into(),
        "app.localhost:1".into(),
        "[::1]:80".into(),
    ] {
        let answer = asked(&[&format!("host: {host}"), &format!("origin: http://{host}")]);
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
    }
    // A name that its owner leads to this machine.
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "a b",
        "127.0.0.1@evil.example",
        "@",
        ":80",
    ] {
        let answer = asked(&[&format!("host: {host}")]);
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_host"), "{host:?}");
    }
    for origin in [
        "http://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://",
        "file://",
        "\u{e9}",
    ] {
        let answer = asked(&[&format!("origin: {origin}")]);
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_origin"), "{origin:?}");
    }
    // Whoever stands in between may go by another one of them.
    for twice in [
        ["host: localhost", "host: evil.example"],
        [&format!("origin: http://{own}"), "origin: http://evil.example"],
        ["sec-fetch-site: same-origin", "sec-fetch-site: cross-site"],
    ] {
        let answer = asked(&twice);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{twice:?}: {answer:?}");
    }
    for site in ["cross-site", "same-site", "nonsense"] {
        let answer = asked(&[&format!("sec-fetch-site: {site}")]);
        assert_eq!((answer.status, answer.code().as_str()), (403, "wrong_origin"), "{site}");
    }
    for (site, mode) in [("same-origin", "cors"), ("none", "navigate"), ("cross-site", "navigate")] {
        let answer = asked(&[&format!("sec-fetch-site: {site}"), &format!("sec-fetch-mode: {mode}")]);
        assert_eq!(answer.status, 200, "{site}, {mode}: {answer:?}");
    }
    // Only to look: what changes something is never a visit.
    let visit = ["sec-fetch-site: cross-site", "sec-fetch-mode: navigate", "content-type: application/json"];
    assert_eq!(server.ask("POST", "/api/v1/jobs", &visit, b"{}").status, 403);
    for kind in ["text/plain", "Text/Plain; charset=utf-8", "application/x-www-form-urlencoded"] {
        let body = br#"{"job": "test-extension:counter"}"#;
        let answer = server.ask("POST", "/api/v1/jobs", &[&format!("content-type: {kind}")], body);
        assert_eq!((answer.status, answer.code().as_str()), (415, "wrong_content_type"), "{kind}");
    }
    assert_eq!(server.get("/api/v1/jobs").json()["jobs"], json!([]));
}

#[test]
fn every_answer_tells_browsers_what_they_may_not_do() {
    let place = Place::new();
    let server = place.serve();
    for path in
        ["/api/v1/health", "/nowhere", "/api/v1/jobs/7", "/metrics", "/healthz", "/api/v1/openapi.json"]
    {
        let head = server.get(path).head;
        for header in [
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: DENY",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {header} is not in {head}");
        }
        assert!(!head.contains("access-control-"), "{path}: {head}");
    }
}

#[test]
fn without_the_token_nothing_is_told_and_nothing_is_done() {
    let place = Place::new();
    let file = place.folder().join("token");
    fs::write(&file, TOKEN).unwrap();
    // What everybody can read is no secret.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    place.fails(&["serve", "--token-file", file.to_str().unwrap()], 7, "can read or change it (mode 644)");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let server = place.serve_with(&["--token-file", file.to_str().unwrap()]);
    let with = |header: &str, path: &str| server.ask("GET", path, &[header], b"");
    for path in [
        "/api/v1/health",
        "/api/v1/jobs",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "/metrics",
        "/api/v1/nowhere",
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
        assert!(answer.head.contains("www-authenticate: Bearer"), "{}", answer.head);
        for wrong in
            ["a-token-that-nobody-guesse", "a-token-that-nobody-guessess", "", "A-TOKEN-THAT-NOBODY-GUESSES"]
        {
            let answer = with(&format!("authorization: Bearer {wrong}"), path);
            assert_eq!(answer.status, 401, "{path}, {wrong:?}");
            assert!(!answer.head.contains(TOKEN));
        }
        let answer = with(&format!("authorization: Basic {TOKEN}"), path);
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
    }
    let refused = server.post("/api/v1/jobs", &json!({ "job": "test-extension:counter" }));
    assert_eq!(refused.status, 401);
    assert_eq!(place.json(&["job", "list"]), json!([]), "the socket needs no token");

    let right = format!("authorization: bearer {TOKEN}");
    assert_eq!(with(&right, "/api/v1/health").status, 200);
    assert_eq!(server.get("/healthz").body, b"ok\n");
    // Whoever has it is let in under any name, since no page of others has it.
    assert_eq!(server.ask("GET", "/api/v1/health", &[&right, "host: jobs.example"], b"").status, 200);
    let other = server.ask("GET", "/api/v1/health", &[&right, "origin: http://evil.example"], b"");
    assert_eq!(other.status, 403);
}

#[test]
fn other_machines_get_in_only_with_a_token() {
    let place = Place::new();
    place.fails(&["serve", "--listen", "0.0.0.0:0"], 7, "so it needs a token: `--token-file FILE`");
    place.fails(&["serve", "--listen", "[::]:0"], 7, "`--tls-cert FILE --tls-key FILE`");
    place.fails(&["serve", "--listen", "somewhere"], 2, "");
    place.fails(&["serve", "--tls-cert", "a.pem"], 7, "TLS needs both");
    place.fails(
        &["serve", "--tls-cert", "a.pem", "--tls-key", "b.pem"],
        7,
        "it must be a PEM file with the certificate",
    );
    let file = place.folder().join("made").display().to_string();
    let server =
        place.serve_with(&["--listen", "0.0.0.0:0", "--token-file", &file, "--host", "Jobs.Example."]);
    let token = fs::read_to_string(&file).unwrap();
    let right = format!("authorization: Bearer {}", token.trim());
    let under =
        |host: &str| server.ask("GET", "/api/v1/health", &[&right, &format!("host: {host}")], b"").status;
    assert_eq!([under("jobs.example"), under("localhost"), under("other.example")], [200, 200, 403]);
    // A second server finds the token that the first one made.
    drop(server);
    drop(place.serve_with(&["--token-file", &file]));
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    fs::write(&file, "short").unwrap();
    place.fails(&["serve", "--token-file", &file], 7, "a token has 16 to 1024 printable characters");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (one, other) = (Place::new(), Place::new());
    let server = one.serve();
    other.fails(&["serve", "--listen", &server.address()], 7, "Address already in use");
    let none = other.serve_with(&["--listen", "none"]);
    assert!(none.ready["url"].is_null());
}

#[test]
fn connections_are_encrypted_with_the_certificate_that_is_given() {
    let place = Place::new();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert_file, key_file) = (place.folder().join("cert.pem"), place.folder().join("key.pem"));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key_file, signing_key.serialize_pem()).unwrap();
    let (cert_file, key_file) = (cert_file.display().to_string(), key_file.display().to_string());
    place.fails(
        &["serve", "--tls-cert", &cert_file, "--tls-key", &cert_file],
        7,
        "with the certificate's private key",
    );

    let server = place.serve_with(&["--tls-cert", &cert_file, "--tls-key", &key_file]);
    assert!(server.ready["url"].as_str().unwrap().starts_with("https://"));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let answer = super::read(&mut stream);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok\n".as_slice()));
    assert!(answer.head.contains("strict-transport-security: "), "{}", answer.head);

    // Who does not encrypt gets nothing, and the server goes on.
    let mut plain = server.connect();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut got = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut got);
    assert!(!got.starts_with(b"HTTP/"), "{got:?}");
    assert_eq!(server.terminate(), Some(0));
}
