//! What can be set in three places: flags, then `TOEHOLD_*` variables, which clap reads, then `toehold.toml`.

use std::{
    fs, io,
    num::{NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::{Deserialize, Deserializer, de::Error};
use std_host::operations::{NetworkOptions, NetworkRule};
use toehold::{PublicKey, Trust};

use super::{problem::Problem, secrets::SecretSettings, serve::Listen};

/// The file that is read where none is named, if it is there.
const FILE: &str = "toehold.toml";

/// Which data folder, and where further settings stand.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The data folder; without it the one that the system has for a program's state, such as ~/.local/state/toehold
    #[arg(long, value_name = "DIR", env = "TOEHOLD_DATA")]
    data: Option<PathBuf>,
    #[command(flatten)]
    file: FileArgs,
}

/// Where settings stand.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The file with settings; without it toehold.toml in the current folder, if there is one
    #[arg(long, value_name = "FILE", env = "TOEHOLD_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Whose extensions are taken.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Take only extensions in packages that this public key has signed; can be given again
    #[arg(long, value_name = "KEY", env = "TOEHOLD_TRUSTED_KEYS", value_delimiter = ',', value_parser = public_key)]
    trust: Vec<PublicKey>,
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::try_from(text.trim().to_owned())
}

impl TrustArgs {
    /// The keys that were given here take the place of those that a file has.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        if !self.trust.is_empty() {
            settings.trusted_keys = Some(self.trust.clone());
        }
    }
}

impl FileArgs {
    /// The file's settings, and whose extensions are taken.
    pub(crate) fn settings(&self) -> Result<Settings, Problem> {
        let mut settings = Settings::read(self.config.as_deref())?;
        self.trust.apply(&mut settings);
        Ok(settings)
    }
}

impl DataArgs {
    /// As [`FileArgs::settings`].
    pub(crate) fn settings(&self) -> Result<Settings, Problem> {
        self.file.settings()
    }

    /// The data folder, as an absolute path.
    pub(crate) fn folder(&self, settings: &Settings) -> Result<PathBuf, Problem> {
        let data = self.data.clone().or_else(|| settings.data.clone()).or_else(default_data);
        let none = || Problem::new("settings", "there is no data folder; name one with --data DIR");
        let data = data.ok_or_else(none)?;
        std::path::absolute(&data)
            .map_err(|error| Problem::new("settings", format!("{}: {error}", data.display())))
    }
}

/// The folder that the operating system has for a program's lasting state.
pub(crate) fn default_data() -> Option<PathBuf> {
    dirs::state_dir().or_else(dirs::data_local_dir).map(|folder| folder.join("toehold"))
}

/// What stands in `toehold.toml`. Its paths are relative to its folder.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) data: Option<PathBuf>,
    pub(crate) extensions: Option<PathBuf>,
    pub(crate) workers: Option<NonZeroU16>,
    pub(crate) running_jobs: Option<NonZeroUsize>,
    pub(crate) slice: Option<NonZeroU64>,
    pub(crate) attempts: Option<NonZeroU32>,
    pub(crate) max_store_bytes: Option<NonZeroU64>,
    pub(crate) keep_jobs: Option<u64>,
    #[serde(default, deserialize_with = "duration")]
    pub(crate) keep_for: Option<Duration>,
    pub(crate) allow_dir: Option<Vec<PathBuf>>,
    pub(crate) allow_write_dir: Option<Vec<PathBuf>>,
    #[serde(default, deserialize_with = "rules")]
    pub(crate) allow_net: Option<Vec<NetworkRule>>,
    #[serde(default)]
    pub(crate) secrets: Vec<SecretSettings>,
    #[serde(default, deserialize_with = "listen")]
    pub(crate) listen: Option<Listen>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) hosts: Option<Vec<String>>,
    #[serde(default, deserialize_with = "keys")]
    pub(crate) trusted_keys: Option<Vec<PublicKey>>,
}

fn rules<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<NetworkRule>>, D::Error> {
    let rule = |text: String| text.parse().map_err(D::Error::custom);
    Vec::<String>::deserialize(from)?.into_iter().map(rule).collect::<Result<_, _>>().map(Some)
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<PublicKey>>, D::Error> {
    let key = |text: String| {
        PublicKey::parse(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no public key: it has 64 hexadecimal digits; `toehold key show FILE` prints one"
            ))
        })
    };
    Vec::<String>::deserialize(from)?.into_iter().map(key).collect::<Result<_, _>>().map(Some)
}

fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Listen>, D::Error> {
    String::deserialize(from)?.parse().map(Some).map_err(D::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let parsed = humantime::parse_duration(&text);
    parsed.map(Some).map_err(|error| {
        D::Error::custom(format!("{text:?} is no time: {error}; write it such as \"12h\" or \"30days\""))
    })
}

/// What serde says of a value, in the words of docs/cli.md instead of Rust's types.
fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 22] = [
        ("unknown field ", "there is no setting "),
        ("expected one of ", "there are "),
        ("missing field ", "it lacks the key "),
        ("duplicate key", "it stands there twice"),
        ("invalid type: string ", "it is the text "),
        ("invalid type: integer ", "it is the number "),
        ("invalid type: floating point ", "it is the number "),
        ("invalid type: boolean ", "it is "),
        ("invalid type: sequence", "it is a list"),
        ("invalid type: map", "it is a table"),
        ("invalid value: integer ", "it is the number "),
        ("expected a nonzero u16", "and must be a number from 1 to 65,535"),
        ("expected a nonzero u32", "and must be a number from 1 to 4,294,967,295"),
        ("expected a nonzero u64", "and must be a number, 1 or more"),
        ("expected a nonzero usize", "and must be a number, 1 or more"),
        ("expected u64", "and must be a number, 0 or more"),
        ("expected path string", "and must be a path, as text"),
        ("expected a string", "and must be text"),
        ("expected a sequence", "and must be a list, in [ ]"),
        ("expected a map", "and must be a table"),
        ("expected struct SecretSettings", "and must be a table, [[secrets]]"),
        ("expected u16", "and must be a number from 1 to 65,535"),
    ];
    WORDS.iter().fold(message.to_owned(), |message, (from, to)| message.replace(from, to))
}

impl Settings {
    /// What extensions may reach over the network, with these rules instead of those of the file if there are any.
    pub(crate) fn network(&self, rules: &[NetworkRule]) -> Result<NetworkOptions, Problem> {
        let allow =
            if rules.is_empty() { self.allow_net.clone().unwrap_or_default() } else { rules.to_vec() };
        let secrets = self.secrets.iter().map(SecretSettings::secret).collect::<Result<_, _>>()?;
        Ok(NetworkOptions { allow, secrets, ..NetworkOptions::default() })
    }

    /// Whose extensions are taken. An empty list of keys is nobody.
    pub(crate) fn trust(&self) -> Trust {
        self.trusted_keys.clone().map_or(Trust::Anyone, Trust::Signed)
    }

    /// Reads a file; without one [`FILE`] in the current folder, which need not be there.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Problem> {
        let path = file.unwrap_or(Path::new(FILE));
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path).map_err(|message| Problem::new("settings", message)),
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Problem::new("settings", format!("{}: {error}", path.display()))),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, String> {
        let mut settings: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            format!("{}:{line}: {}", path.display(), plain(error.message()))
        })?;
        // Absolute, whatever the file was named as: folders are granted by absolute paths only.
        let absolute = std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let folder = absolute.parent().unwrap_or(Path::new(""));
        let Self { data, extensions, allow_dir, allow_write_dir, token_file, tls_cert, tls_key, .. } =
            &mut settings;
        let paths = [data, extensions, token_file, tls_cert, tls_key].into_iter().flatten();
        let folders = [allow_dir, allow_write_dir].into_iter().flatten().flatten();
        for path in paths.chain(folders) {
            *path = folder.join(&path);
        }
        settings.secrets.iter_mut().for_each(|secret| secret.start_at(folder));
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("/etc/toehold.toml"))
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let settings = parse("data = \"d\"\nallow_dir = [\"/a\", \"b\"]\nkeep_for = \"2days\"").unwrap();
        assert_eq!(settings.data.as_deref(), Some(Path::new("/etc/d")));
        assert_eq!(settings.allow_dir, Some(vec!["/a".into(), "/etc/b".into()]));
        assert_eq!(settings.keep_for, Some(Duration::from_secs(2 * 24 * 3_600)));
        assert_eq!(parse(""), Ok(Settings::default()));
        // Also where the file itself is named by a relative path: folders are granted by absolute ones.
        let here = std::env::current_dir().unwrap();
        for file in ["toehold.toml", "./toehold.toml", "sub/../toehold.toml"] {
            let text =
                "data = \"d\"\nallow_dir = [\"texts\"]\nallow_write_dir = [\"out\"]\ntoken_file = \"t\"";
            let settings = Settings::parse(text, Path::new(file)).unwrap();
            let folder = here.join(file).parent().unwrap().to_owned();
            assert_eq!(settings.data, Some(folder.join("d")), "{file}");
            assert_eq!(settings.allow_dir, Some(vec![folder.join("texts")]), "{file}");
            assert_eq!(settings.allow_write_dir, Some(vec![folder.join("out")]), "{file}");
            assert_eq!(settings.token_file, Some(folder.join("t")), "{file}");
        }
    }

    #[test]
    fn a_list_of_keys_that_is_empty_trusts_nobody() {
        assert_eq!(parse("").unwrap().trust(), Trust::Anyone);
        assert_eq!(parse("trusted_keys = []").unwrap().trust(), Trust::Signed(Vec::new()));
        let key = PublicKey::from_bytes([0xa5; 32]);
        let one = parse(&format!("trusted_keys = [\"{key}\"]")).unwrap();
        assert_eq!(one.trust(), Trust::Signed(vec![key]));
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_what_is_known() {
        let error = parse("data = \"d\"\nworker = 2").unwrap_err();
        assert!(
            error.starts_with("/etc/toehold.toml:2: there is no setting `worker`, there are `"),
            "{error}"
        );
        assert!(error.contains("`workers`"), "{error}");
        for (text, expected) in [
            (
                "\nworkers = \"two\"",
                "toehold.toml:2: it is the text \"two\", and must be a number from 1 to 65,535",
            ),
            ("workers = 0", "toehold.toml:1: it is the number `0`, and must be a number from 1 to 65,535"),
            ("slice = -1", "toehold.toml:1: it is the number `-1`, and must be a number, 1 or more"),
            ("keep_jobs = -1", "toehold.toml:1: it is the number `-1`, and must be a number, 0 or more"),
            ("keep_jobs = true", "toehold.toml:1: it is `true`, and must be a number, 0 or more"),
            ("data = 7", "toehold.toml:1: it is the number `7`, and must be a path, as text"),
            ("hosts = \"a\"", "toehold.toml:1: it is the text \"a\", and must be a list, in [ ]"),
            ("hosts = [7]", "toehold.toml:1: it is the number `7`, and must be text"),
            ("secrets = 7", "toehold.toml:1: it is the number `7`, and must be a list, in [ ]"),
            ("secrets = [7]", "toehold.toml:1: it is the number `7`, and must be a table, [[secrets]]"),
            ("slice = 1.5", "toehold.toml:1: it is the number `1.5`, and must be a number, 1 or more"),
            ("data = [1]", "toehold.toml:1: it is a list, and must be a path, as text"),
            ("slice = {}", "toehold.toml:1: it is a table, and must be a number, 1 or more"),
            ("keep_for = \"soon\"", "toehold.toml:1: \"soon\" is no time"),
            ("allow_net = [\"a/b\"]", "toehold.toml:1: \"a/b\" is no pattern of hosts"),
            ("[[secrets]]\nextension = \"a\"", "it lacks the key `host`"),
            ("trusted_keys = [\"a5\"]", "toehold.toml:1: \"a5\" is no public key"),
            ("data = ", "toehold.toml:1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{expected} is not in {error}");
        }
    }
}
