//! Jobs that reach the network: by the command, with its settings.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use serde_json::{Value, json};

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
