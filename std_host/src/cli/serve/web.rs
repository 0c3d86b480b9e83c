//! The address on which a server answers browsers and other machines.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::Args;
use std_host::server::{Access, HostName, Tls, Token};

use crate::cli::{output, problem::Problem, settings::Settings};

/// Where it listens, unless it is told otherwise.
const DEFAULT: &str = "127.0.0.1:8080";

#[derive(Debug, Args)]
pub(super) struct WebArgs {
    /// The address for the page and the HTTP API, or `none`; port 0 takes any that is free [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "TOEHOLD_LISTEN")]
    listen: Option<Listen>,
    /// The file with the token that clients must have; made, if it is not there. Or the variable TOEHOLD_TOKEN has the token
    #[arg(long, value_name = "FILE", env = "TOEHOLD_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The certificate for TLS, with those that it goes back to (PEM)
    #[arg(long, value_name = "FILE", env = "TOEHOLD_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "TOEHOLD_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// A name under which browsers may ask for the server; can be given again. Without it addresses, localhost, and with a
    /// token any
    #[arg(long, value_name = "NAME", env = "TOEHOLD_HOSTS", value_delimiter = ',')]
    host: Vec<String>,
}

/// An address, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    Nowhere,
    On(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        let address = text.parse().map(Self::On);
        address.map_err(|_| {
            format!("{text:?} is no address; it is such as 127.0.0.1:8080, [::1]:8080, 0.0.0.0:443, or none")
        })
    }
}

/// What is listened on, and whom for.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) address: SocketAddr,
    /// Nobody asked for this address: if it is taken, the server does without.
    pub(super) is_default: bool,
    pub(super) access: Access,
    pub(super) tls: Option<Tls>,
}

impl WebArgs {
    /// What flags, variables and the file say of it together.
    pub(super) fn web(&self, settings: &Settings) -> Result<Option<Web>, Problem> {
        let wrong = |error: &dyn std::fmt::Display| Problem::new("settings", error);
        let asked = self.listen.or(settings.listen);
        let address = match asked {
            Some(Listen::Nowhere) => return Ok(None),
            Some(Listen::On(address)) => address,
            None => DEFAULT.parse().map_err(|error| wrong(&error))?,
        };
        let token = self.token(settings)?;
        let cert = self.tls_cert.as_ref().or(settings.tls_cert.as_ref());
        let key = self.tls_key.as_ref().or(settings.tls_key.as_ref());
        let tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(Tls::of_files(cert, key).map_err(|error| wrong(&error))?),
            (None, None) => None,
            _ => return Err(wrong(&"TLS needs both the certificate, --tls-cert, and its key, --tls-key")),
        };
        if token.is_none() && !address.ip().is_loopback() {
            return Err(wrong(&format!(
                "{address} can be reached from other machines, and who reaches it may do everything; so it needs a token: \
                 `--token-file FILE`, which is made if it is not there. Encrypt it too: `--tls-cert FILE --tls-key FILE`, \
                 or something before it that does"
            )));
        }
        if tls.is_none() && !address.ip().is_loopback() {
            output::eprint(&format!(
                "warning: {address} is not encrypted, so that others on its way can read the token; use `--tls-cert FILE \
                 --tls-key FILE`, or put something before it that encrypts"
            ));
        }
        let hosts =
            if self.host.is_empty() { settings.hosts.clone().unwrap_or_default() } else { self.host.clone() };
        let hosts = hosts.iter().map(|name| HostName::new(name)).collect();
        Ok(Some(Web { address, is_default: asked.is_none(), access: Access { token, hosts }, tls }))
    }

    fn token(&self, settings: &Settings) -> Result<Option<Token>, Problem> {
        if let Some(path) = self.token_file.as_ref().or(settings.token_file.as_ref()) {
            let (token, is_new) = Token::of_file(path).map_err(|error| Problem::new("settings", error))?;
            if is_new {
                output::eprint(&format!("made a token: it stands in {}", path.display()));
            }
            return Ok(Some(token));
        }
        match std::env::var("TOEHOLD_TOKEN") {
            Ok(token) => Token::new(&token)
                .map(Some)
                .map_err(|error| Problem::new("settings", format!("TOEHOLD_TOKEN: {error}"))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(error) => Err(Problem::new("settings", format!("TOEHOLD_TOKEN: {error}"))),
        }
    }
}

impl Web {
    /// Where browsers find it, once it listens at that address.
    pub(super) fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}/")
    }
}
