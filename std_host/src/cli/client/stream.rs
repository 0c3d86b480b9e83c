//! Server-sent events, as the API streams them.

use axum::body::Body;
use http_body_util::BodyExt;

/// Bytes of an event, at most: the API's are far shorter.
const LONGEST: usize = 16 << 20;

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: Option<u64>,
    /// Empty for a line of a history.
    pub(super) name: String,
    pub(super) data: String,
}

/// The events of a body, one after the other.
pub(super) struct Stream {
    body: Body,
    parser: Parser,
}

#[derive(Default)]
struct Parser {
    read: Vec<u8>,
    /// Where a line starts that was not looked at yet.
    next: usize,
}

impl Stream {
    pub(super) fn new(body: Body) -> Self {
        Self { body, parser: Parser::default() }
    }

    /// The next event; none once the stream has ended, however that was.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next() {
                return Some(event);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(bytes) = frame.into_data() {
                self.parser.read.drain(..self.parser.next);
                self.parser.next = 0;
                self.parser.read.extend_from_slice(&bytes);
            }
            if self.parser.read.len() > LONGEST {
                return None;
            }
        }
    }
}

impl Parser {
    fn next(&mut self) -> Option<Event> {
        loop {
            let rest = self.read.get(self.next..)?;
            let end = rest.windows(2).position(|two| two == b"\n\n")?;
            let block = String::from_utf8_lossy(rest.get(..end)?).into_owned();
            self.next += end + 2;
            let mut event = Event::default();
            for (field, value) in block.lines().filter_map(|line| line.split_once(':')) {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "id" => event.id = value.parse().ok(),
                    "event" => value.clone_into(&mut event.name),
                    "data" => event.data.push_str(value),
                    // A comment, which only keeps the connection alive; or one of the fields that are not used here.
                    _ => {}
                }
            }
            if event != Event::default() {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_pieces() {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for byte in b": alive\n\nid: 7\ndata: {\"a\": 1}\n\nevent:end\ndata:{}\n\nid: 8" {
            parser.read.push(*byte);
            found.extend(std::iter::from_fn(|| parser.next()));
        }
        let line = Event { id: Some(7), name: String::new(), data: "{\"a\": 1}".to_owned() };
        assert_eq!(found, [line, Event { id: None, name: "end".to_owned(), data: "{}".to_owned() }]);
    }
}
