//! Packages and bundles on their way.

use toehold::{
    Bundle, Crc32, Package, Trust,
    console::{Command, Data},
};

use super::{Answer, Board, BoardError, client::TRIES};

impl Board {
    /// Installs a package. `progress` gets how many bytes the board has.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn install(&mut self, package: &[u8], progress: &mut dyn FnMut(u64)) -> Result<Answer, BoardError> {
        let (bytes, checksum) = size(package)?;
        // What is no package is the board's to refuse.
        let opened = Package::open(package, &Trust::Anyone);
        let schemas = opened.ok().and_then(|package| u32::try_from(package.schemas().len()).ok());
        let command = Command::Install { bytes, checksum, schemas: schemas.unwrap_or_default() };
        self.carry(&command, package, progress)
    }

    /// Has the board take over a job. One that it has already, just so, stays as it is.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn import(
        &mut self,
        bundle: &[u8],
        paused: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Answer, BoardError> {
        let (bytes, checksum) = size(bundle)?;
        self.carry(&Command::Import { bytes, checksum, paused }, bundle, progress)
    }

    /// All that a board has of a job. Pause it first, or it goes on at both ends.
    ///
    /// # Errors
    /// [`BoardError`].
    pub fn export(&mut self, job: &str) -> Result<Bundle, BoardError> {
        let command = Command::Export(job);
        for _ in 0..TRIES {
            let answer = self.ask(&command)?;
            let said = answer.fields.get("crc32").and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let is_whole = !answer.is_damaged
                && said == Some(Crc32::of(&answer.data))
                && answer.fields.number("bytes") == Some(answer.data.len() as u64);
            if let Some(bundle) = is_whole.then(|| Bundle::decode(&answer.data)) {
                return bundle.map_err(|error| BoardError::Refused {
                    code: "bad_bundle".to_owned(),
                    message: format!("what it gave for job {job} can't be used: {error}"),
                    again: false,
                });
            }
        }
        Err(BoardError::Damaged { port: self.port().to_owned(), tries: TRIES })
    }

    fn carry(
        &mut self,
        command: &Command<'_>,
        bytes: &[u8],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Answer, BoardError> {
        let time = self.slow_time();
        let answer = self.exchange(command, time, &mut |offset| {
            progress(u64::from(offset));
            Data::of(bytes, offset)
        });
        // Where the board has asked for something twice, it gets it twice, and complains of the second.
        self.get_in_step()?;
        answer
    }
}

fn size(bytes: &[u8]) -> Result<(u32, u32), BoardError> {
    let count = u32::try_from(bytes.len()).map_err(|_| BoardError::TooLarge { bytes: bytes.len() })?;
    Ok((count, Crc32::of(bytes)))
}
