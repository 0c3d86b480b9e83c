//! Servers that are no good are refused.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use std_host::fleet::{FleetConfig, FleetError, FleetStore};

#[test]
fn a_server_that_lets_two_writers_win_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let info = r#"{"server_id":"A","server_name":"old","version":"2.9.10","go":"","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"jetstream":true,"proto":1}"#;
        write!(stream, "INFO {info}\r\n").unwrap();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            // The client may be gone by then.
            if line.is_ok_and(|line| line.starts_with("PING")) {
                let _ = stream.write_all(b"PONG\r\n");
            }
        }
    });
    let error = FleetStore::open(&FleetConfig::new([url])).unwrap_err();
    assert!(matches!(error, FleetError::OldServer { .. }), "{error}");
    for expected in ["old", "2.9.10", "2.15"] {
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn where_no_server_is_the_address_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = FleetStore::open(&FleetConfig::new([format!("nats://{free}")])).unwrap_err();
    assert!(error.to_string().contains(&free.to_string()), "{error}");
}
