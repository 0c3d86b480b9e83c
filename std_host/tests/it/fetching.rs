//! Jobs that reach the network: by the command, with its settings.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    cli::text,
    command::Place,
    support::{Folder, caller, permitted},
};

/// A server that answers each request with its own text.
fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut request, mut one) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut one).is_ok_and(|read| read > 0) {
                request.push(one[0]);
            }
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", request.len());
            // Who asked may have gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request));
        }
    });
    port
}

#[test]
fn a_job_fetches_what_the_settings_allow_with_a_secret_that_it_never_sees() {
    let here = format!("http://127.0.0.1:{}", echo());
    let place = Place::empty();
    let folder = Folder::new();
    let payload = json!({ "url": format!("{here}/asked"), "method": "POST", "body": "" }).to_string();
    let wasm = wat::parse_str(caller("action:http.fetch", &payload)).unwrap();
    let source = folder.add_files("a", &permitted(&json!({ "network_access": [here] })), &wasm);
    let job = format!("{}:go", source.display());
    let reply = |arguments: &[&str]| {
        let ran = place.run(&[&["run", &job, "--json"], arguments].concat());
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(told["outcome"], "completed", "{}", text(&ran.stderr));
        text(&ran.stderr).to_owned()
    };
    let refused = reply(&[]);
    assert!(refused.contains("not allowed by the operator (--allow-net)"), "{refused}");
    assert!(refused.contains("`permissions.network_access` has"), "{refused}");
    let allowed = reply(&["--allow-net", &here]);
    assert!(allowed.contains("POST /asked HTTP/1.1") && allowed.contains("idempotency-key: "), "{allowed}");

    fs::write(place.folder().join("key"), "Bearer 0123456789\n").unwrap();
    let secret = format!(
        "[[secrets]]\nextension = \"a\"\nhost = \"{here}\"\nheader = \"Authorization\"\nvalue_file = \"key\"\n"
    );
    fs::write(place.folder().join("toehold.toml"), format!("allow_net = [\"{here}\"]\n{secret}")).unwrap();
    let with_secret = reply(&[]);
    assert!(with_secret.contains("authorization: ***"), "{with_secret}");
    assert!(!with_secret.contains("0123456789"), "{with_secret}");

    let bad = secret.replace("value_file = \"key\"", "value = \"short\"");
    fs::write(place.folder().join("toehold.toml"), bad).unwrap();
    place.fails(&["serve"], 7, "[[secrets]]: the secret for a at");
    fs::remove_file(place.folder().join("toehold.toml")).unwrap();
    place.fails(&["serve", "--allow-net", "http://a/b"], 2, "no pattern of hosts");
}

/// A server with a certificate for `localhost` of its own, that says `hello`. Gives the certificate in PEM too.
fn encrypted() -> (u16, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let (mut request, mut one) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut one).is_ok_and(|read| read > 0) {
                request.push(one[0]);
            }
            // Who does not trust the certificate goes without a word.
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (port, cert.pem())
}

#[test]
fn a_job_fetches_over_https_from_whom_the_system_trusts() {
    let (port, certificate) = encrypted();
    let place = Place::empty();
    let folder = Folder::new();
    let here = format!("localhost:{port}");
    let payload = json!({ "url": format!("https://{here}/") }).to_string();
    let wasm = wat::parse_str(caller("query:http.fetch", &payload)).unwrap();
    let source = folder.add_files("a", &permitted(&json!({ "network_access": [here] })), &wasm);
    let reply = |trusted: Option<&str>, allowed: &[&str]| {
        let mut command =
            place.command(&[&["run", &format!("{}:go", source.display()), "--json"], allowed].concat());
        if let Some(file) = trusted {
            command.env("SSL_CERT_FILE", file);
        }
        let ran = command.output().unwrap();
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(told["outcome"], "completed", "{}", text(&ran.stderr));
        text(&ran.stderr).to_owned()
    };
    let allowed = ["--allow-net", here.as_str(), "--allow-net", "127.0.0.0/8", "--allow-net", "::1/128"];
    let file = place.folder().join("cert.pem");
    fs::write(&file, &certificate).unwrap();
    let trusted = reply(file.to_str(), &allowed);
    assert!(trusted.contains("\"body\":\"hello\""), "{trusted}");
    // Nobody vouches for it.
    let refused = reply(None, &allowed);
    assert!(refused.contains("certificate") && !refused.contains("hello"), "{refused}");
    // Another one is trusted, of the same name.
    fs::write(&file, encrypted().1).unwrap();
    let other = reply(file.to_str(), &allowed);
    assert!(other.contains("certificate") && !other.contains("hello"), "{other}");
    // The address is this machine's, which the name alone does not open.
    let private = reply(file.to_str(), &allowed[..2]);
    assert!(private.contains("which is not public") && !private.contains("hello"), "{private}");
}
