use std::{fmt, net::IpAddr, str::FromStr};

use url::{Host, Url};

/// A pattern of hosts, as manifests and operators write them: `[https://|http://]HOST[:PORT]`.
///
/// HOST is a name (`api.example.com`), all names below one (`*.example.com`, which `example.com` itself is not), an address
/// (`192.0.2.7`, `[2001:db8::7]`), or `*` for any name. Without a scheme it is https, without a port the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Scheme,
    host: Hosts,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// Any name, but no address.
    Any,
    /// All names that end so, with a dot before it.
    Below(String),
    Exactly(Host),
}

/// Why a text is no pattern of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no pattern of hosts: {reason}; write it such as \"api.example.com\", \"*.example.com\" or \"http://192.0.2.7:8080\""
)]
pub struct PatternError {
    pub(super) text: String,
    pub(super) reason: &'static str,
}

impl HostPattern {
    /// Whether a URL's scheme, host and port fit.
    pub(super) fn matches(&self, url: &Url) -> bool {
        let host = url.host().is_some_and(|host| match (&self.host, host) {
            (Hosts::Any, Host::Domain(_)) => true,
            (Hosts::Below(parent), Host::Domain(name)) => is_below(name, parent),
            (Hosts::Exactly(exactly), host) => *exactly == host,
            _ => false,
        });
        host && url.scheme() == self.scheme.name() && url.port_or_known_default() == Some(self.port)
    }

    /// Whether it is for URLs of this scheme and port.
    pub(super) fn is_on(&self, port: Port) -> bool {
        port == Port { encrypted: self.scheme == Scheme::Https, number: self.port }
    }

    /// Whether some URL fits both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let is_name = |host: &Hosts| !matches!(host, Hosts::Exactly(Host::Ipv4(_) | Host::Ipv6(_)));
        let hosts = match (&self.host, &other.host) {
            (Hosts::Any, host) | (host, Hosts::Any) => is_name(host),
            (Hosts::Below(one), Hosts::Below(two)) => one == two || is_below(one, two) || is_below(two, one),
            (Hosts::Below(parent), Hosts::Exactly(Host::Domain(name)))
            | (Hosts::Exactly(Host::Domain(name)), Hosts::Below(parent)) => is_below(name, parent),
            (Hosts::Exactly(one), Hosts::Exactly(two)) => one == two,
            _ => false,
        };
        hosts && self.scheme == other.scheme && self.port == other.port
    }

    /// The one address that it stands for, if it does.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Hosts::Exactly(Host::Ipv4(address)) => Some(address.into()),
            Hosts::Exactly(Host::Ipv6(address)) => Some(address.into()),
            _ => None,
        }
    }

    /// Whether it stands for one host, which is this machine itself if it need not be reached over https.
    pub(super) fn is_one_host_safely(&self) -> bool {
        let Hosts::Exactly(host) = &self.host else { return false };
        self.scheme == Scheme::Https
            || match host {
                Host::Domain(name) => name == "localhost",
                Host::Ipv4(address) => address.is_loopback(),
                Host::Ipv6(address) => address.is_loopback(),
            }
    }
}

/// Where a URL leads on a host: its port, and whether what goes there is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Port {
    encrypted: bool,
    number: u16,
}

impl Port {
    /// Of a URL by http or https, which always has a port.
    pub(super) fn of(url: &Url) -> Self {
        Self { encrypted: url.scheme() == "https", number: url.port_or_known_default().unwrap_or(0) }
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = |reason| PatternError { text: text.chars().take(80).collect(), reason };
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(_) => return Err(wrong("its scheme is neither https nor http")),
        };
        let stray = |c: char| c.is_whitespace() || c.is_control() || "/?#@\\%".contains(c);
        if rest.contains(stray) {
            return Err(wrong("it has more than a scheme, a host and a port"));
        }
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of an address in brackets are none of a port.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            None => scheme.port(),
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong("its port is not 1 to 65535")),
                Ok(port) => port,
            },
        };
        let host = if host == "*" {
            Hosts::Any
        } else if let Some(parent) = host.strip_prefix("*.") {
            match one(parent).map_err(wrong)? {
                Host::Domain(name) => Hosts::Below(name),
                _ => return Err(wrong("an address has no names below it")),
            }
        } else {
            Hosts::Exactly(one(host).map_err(wrong)?)
        };
        Ok(Self { scheme, host, port })
    }
}

fn one(host: &str) -> Result<Host, &'static str> {
    let parsed = Host::parse(host).map_err(|_| "its host is neither a name nor an address")?;
    match &parsed {
        _ if host.contains('*') => Err("a `*` stands for the first parts of a name, before a dot"),
        Host::Domain(name) if name.ends_with('.') => Err("its host ends with a dot"),
        // `127.1` or `0x7f000001` would mean more than they say.
        Host::Ipv4(address) if address.to_string() != host => {
            Err("its address is not written as four numbers")
        }
        _ => Ok(parsed),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Http {
            f.write_str("http://")?;
        }
        match &self.host {
            Hosts::Any => f.write_str("*")?,
            Hosts::Below(parent) => write!(f, "*.{parent}")?,
            Hosts::Exactly(host) => write!(f, "{host}")?,
        }
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, url: &str) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_pattern_fits_its_hosts_and_no_other() {
        for (pattern, url, expected) in [
            ("api.example.com", "https://api.example.com/a?b", true),
            ("api.example.com", "https://API.Example.COM", true),
            ("api.example.com", "https://api.example.com:443/", true),
            ("api.example.com", "https://api.example.com:444/", false),
            ("api.example.com", "http://api.example.com/", false),
            ("api.example.com", "https://example.com/", false),
            ("api.example.com", "https://x.api.example.com/", false),
            ("api.example.com", "https://api.example.com.evil.com/", false),
            ("api.example.com", "https://apiXexample.com/", false),
            ("API.example.com", "https://api.example.com/", true),
            ("*.example.com", "https://a.example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("*.example.com", "https://evilexample.com/", false),
            ("*.example.com", "https://a.example.com.evil.com/", false),
            ("example.com:8443", "https://example.com:8443/", true),
            ("example.com:8443", "https://example.com/", false),
            ("http://example.com", "http://example.com/", true),
            ("http://example.com", "https://example.com/", false),
            ("http://example.com:80", "http://example.com/", true),
            ("*", "https://anything.example/", true),
            ("*", "http://anything.example/", false),
            ("*", "https://127.0.0.1/", false),
            ("*", "https://[::1]/", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", true),
            // Other ways to write it.
            ("http://127.0.0.1:8080", "http://2130706433:8080/", true),
            ("http://127.0.0.1:8080", "http://0x7f.1:8080/", true),
            ("http://127.0.0.1:8080", "http://localhost:8080/", false),
            ("[2001:DB8::1]:8443", "https://[2001:db8:0::1]:8443/", true),
            ("bücher.example", "https://xn--bcher-kva.example/", true),
            ("xn--bcher-kva.example", "https://BÜCHER.example/", true),
        ] {
            assert_eq!(matches(pattern, url), expected, "{pattern} {url}");
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        for bad in [
            "",
            "https://",
            ":80",
            "a b",
            "ftp://a",
            "https://a/path",
            "a/",
            "a?b",
            "a#b",
            "user@a",
            "a\\b",
            "a:0",
            "a:65536",
            "a:x",
            "a:",
            "*a.com",
            "a.*",
            "*.*",
            "**",
            "*.127.0.0.1",
            "a.com.",
            "127.1",
            "0x7f000001",
            "2130706433",
            "[::1",
            "::1",
            "[fe80::1%25eth0]",
            "a\r\nb",
            "HTTP://a",
            "%61.com",
        ] {
            let error = bad.parse::<HostPattern>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{bad:?} is no pattern")), "{error}");
        }
    }

    #[test]
    fn patterns_meet_where_a_url_fits_both() {
        let meets = |one: &str, two: &str| {
            let [one, two] = [one, two].map(|text| text.parse::<HostPattern>().unwrap());
            assert_eq!(one.meets(&two), two.meets(&one));
            one.meets(&two)
        };
        assert!(meets("*", "a.com") && meets("*.a.com", "b.a.com") && meets("*.a.com", "*.b.a.com"));
        assert!(meets("a.com", "a.com") && meets("*", "*.a.com") && meets("127.0.0.1", "127.0.0.1"));
        assert!(!meets("*", "127.0.0.1") && !meets("*.a.com", "a.com") && !meets("a.com", "http://a.com"));
        assert!(!meets("a.com", "a.com:444") && !meets("*.a.com", "*.b.com"));
    }

    #[test]
    fn a_pattern_is_shown_as_it_is_written() {
        for text in ["a.com", "*.a.com:8443", "http://127.0.0.1:8080", "[2001:db8::1]", "*", "http://*"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }
}
