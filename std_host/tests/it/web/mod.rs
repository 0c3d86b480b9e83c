//! `toehold serve` on an address: whom it lets in, what it tells of itself, and what it bears.

mod access;
mod description;
mod load;
mod uploads;

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::command::Server;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

impl Server {
    /// The address that it listens on, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> String {
        let url = self.ready["url"].as_str().expect("it listens on no address");
        url.split('/').nth(2).unwrap().to_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        // So that a test ends where an answer never comes.
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends a request with these headers, a line each, besides the usual ones.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.starts_with("host:")) {
            head.push_str(&format!("host: {}\r\n", self.address()));
        }
        headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
        let mut stream = self.connect();
        // It may have enough of them before they end.
        let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
        read(&mut stream)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, json: &Value) -> Answer {
        self.ask("POST", path, &["content-type: application/json"], json.to_string().as_bytes())
    }
}

/// An answer that ends with its connection.
pub(crate) fn read(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = bytes.get(end + 4..).unwrap_or_default().to_vec();
    Answer { status: status.unwrap_or_else(|| panic!("no answer: {head:?}")), head, body }
}
