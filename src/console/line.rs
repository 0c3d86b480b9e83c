use alloc::borrow::Cow;

use super::{Data, Fields};

/// A line that a board sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// `- KIND FIELDS`: something that was asked for; more may follow.
    Item(&'a str, Fields<'a>),
    /// `ok FIELDS`: the command was carried out.
    Ok(Fields<'a>),
    /// `err CODE message="…"`: it was not.
    Err(&'a str, Cow<'a, str>),
    /// `> OFFSET`: the board wants the data from here on.
    Wanted(u32),
    /// `: OFFSET CRC32 BASE64`: data that was asked for. `None` if it was damaged on the way.
    Data(Option<Data>),
    /// `* KIND FIELDS`: something happened.
    Event(&'a str, Fields<'a>),
    /// Any other line: for people.
    Remark(&'a str),
}

impl<'a> Line<'a> {
    /// Reads a line, without its end.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let line = line.trim_end_matches('\r');
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kind = |rest: &'a str| {
            let (kind, fields) = rest.split_once(' ').unwrap_or((rest, ""));
            (kind, Fields::new(fields))
        };
        match mark {
            "-" => {
                let (kind, fields) = kind(rest);
                Self::Item(kind, fields)
            }
            "*" => {
                let (kind, fields) = kind(rest);
                Self::Event(kind, fields)
            }
            "ok" => Self::Ok(Fields::new(rest)),
            "err" => {
                let (code, fields) = kind(rest);
                Self::Err(code, fields.get("message").unwrap_or_default())
            }
            ">" => rest.parse().map_or(Self::Remark(line), Self::Wanted),
            ":" => Self::Data(Data::parse(rest)),
            _ => Self::Remark(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn each_line_is_told_by_its_mark() {
        let Line::Item("job", mut fields) = Line::parse("- job id=7") else { panic!() };
        assert_eq!(fields.next(), Some(("id", "7".into())));
        assert_eq!(Line::parse("err full message=\"no room\""), Line::Err("full", "no room".into()));
        assert_eq!(Line::parse("> 240\r"), Line::Wanted(240));
        assert_eq!(Line::parse("> soon"), Line::Remark("> soon"));
        assert_eq!(Line::parse("hello"), Line::Remark("hello"));
        assert!(matches!(Line::parse("ok"), Line::Ok(_)));
        assert!(matches!(Line::parse("* completed id=7"), Line::Event("completed", _)));
    }

    #[test]
    fn data_arrives_whole_or_not_at_all() {
        let all: alloc::vec::Vec<u8> = (0..=255).chain(0..100).collect();
        let first = Data::of(&all, 0).unwrap();
        let second = Data::of(&all, 240).unwrap();
        assert_eq!([first.bytes.len(), second.bytes.len()], [240, 116]);
        assert_eq!(Data::of(&all, 356), None);
        let line = first.to_string();
        assert!(line.len() <= super::super::LINE_BYTES);
        assert_eq!(Line::parse(&line), Line::Data(Some(first)));
        for at in 2..line.len() {
            let mut bad = line.clone().into_bytes();
            bad[at] ^= 1;
            let bad = alloc::string::String::from_utf8(bad).unwrap();
            let Line::Data(Some(read)) = Line::parse(&bad) else { continue };
            // The offset has no checksum of its own: the board asks for the one that it wants, and takes no other.
            assert_eq!(read.bytes, all[..240], "byte {at}");
        }
    }
}
