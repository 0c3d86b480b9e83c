//! The secret that lets a client in.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use subtle::ConstantTimeEq;

/// Bytes of a token at least: so many that nobody guesses it.
const LEAST: usize = 16;
/// And at most: it has to fit into the head of a request, with all else.
const MOST: usize = 1_024;
/// Random bytes of a token that is made here.
const MADE: usize = 32;

/// A secret that clients send as `Authorization: Bearer TOKEN`. It is never shown.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is too short, too long, or can't stand in a header.
    #[error(
        "a token has {LEAST} to {MOST} printable characters of ASCII, without spaces; \
         `openssl rand -hex 32` makes one"
    )]
    Unfit,
    /// The file can't be read or made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others on this machine can read the file, or change it.
    #[error("{path}: others on this machine can read or change it (mode {mode:o}), so the token is no secret; make a new one, for `chmod 600 {path}`", path = path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What stands in the file is no token.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<TokenError>,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Token {
    /// This text as a token, without white space around it.
    ///
    /// # Errors
    /// [`TokenError::Unfit`].
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let fits = (LEAST..=MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(TokenError::Unfit) }
    }

    /// A new one, of 256 random bits.
    ///
    /// # Errors
    /// [`TokenError::Random`].
    pub fn random() -> Result<Self, TokenError> {
        let mut bytes = [0; MADE];
        getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
        Ok(Self(crate::manager::hex(&bytes)))
    }

    /// The token in a file. Where there is no file, one is made with a [random](Self::random) token, for its owner alone.
    /// Says whether it was made.
    ///
    /// # Errors
    /// [`TokenError`]: the file can't be read or made, or holds no token.
    pub fn of_file(path: &Path) -> Result<(Self, bool), TokenError> {
        let failed = |source| TokenError::File { path: path.to_owned(), source };
        match fs::read_to_string(path) {
            Ok(text) => {
                check_private(path)?;
                let content =
                    |source| TokenError::Content { path: path.to_owned(), source: Box::new(source) };
                Ok((Self::new(&text).map_err(content)?, false))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let token = Self::random()?;
                write_private(path, &format!("{}\n", token.0)).map_err(failed)?;
                Ok((token, true))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether this is it; how long that takes tells nothing but the length.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }
}

/// Refuses a file that everybody can read, or others than its owner change. A group may read it: that is how some systems hand
/// secrets to a service.
#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), TokenError> {
    use std::os::unix::fs::PermissionsExt;
    let found = fs::metadata(path).map_err(|source| TokenError::File { path: path.to_owned(), source })?;
    let mode = found.permissions().mode() & 0o777;
    if found.is_file() && mode & 0o027 != 0 {
        return Err(TokenError::Loose { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_path: &Path) -> Result<(), TokenError> {
    Ok(())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_enough_and_fits_into_a_header() {
        for unfit in
            ["", "short", "fifteen-letters", "sixteen letters.", "sixteen\nletters.", "sechzehn-zeichen…"]
        {
            assert!(matches!(Token::new(unfit), Err(TokenError::Unfit)), "{unfit:?}");
        }
        assert!(Token::new(&"x".repeat(MOST + 1)).is_err());
        let token = Token::new("  sixteen-letters.\n").unwrap();
        assert!(token.is(b"sixteen-letters."));
        for other in ["", "sixteen-letters", "sixteen-letters..", "Sixteen-letters."] {
            assert!(!token.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn a_file_that_is_not_there_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (made, is_new) = Token::of_file(&path).unwrap();
        let (read, is_newer) = Token::of_file(&path).unwrap();
        assert_eq!((is_new, is_newer), (true, false));
        assert!(made.is(read.0.as_bytes()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        #[cfg(unix)]
        for (mode, is_good) in [(0o640, true), (0o400, true), (0o644, false), (0o620, false), (0o602, false)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = Token::of_file(&path).map(drop);
            assert_eq!(read.is_ok(), is_good, "{mode:o}: {read:?}");
            if !is_good {
                let error = read.unwrap_err().to_string();
                assert!(
                    error.contains(&format!("(mode {mode:o})")) && error.contains("chmod 600"),
                    "{error}"
                );
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(&path, "short").unwrap();
        let error = Token::of_file(&path).unwrap_err().to_string();
        assert!(error.contains("token: a token has 16 to"), "{error}");
    }
}
