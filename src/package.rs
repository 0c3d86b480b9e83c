use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Range};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    Crc32, Manifest,
    sealed::{self, FormatError, Kind},
    signature::{PublicKey, Signature},
};

/// An extension in one file: its manifest, the schemas of its configuration and states if it has any, and its module, with a
/// checksum, and signed if its maker wants.
///
/// The bytes are the same on every architecture; docs/package-format.md has each of them.
#[derive(Clone, Debug)]
pub struct Package {
    manifest: Manifest,
    schemas: Vec<u8>,
    module: Vec<u8>,
    signer: Option<PublicKey>,
}

/// Whose packages a host takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Everybody's, signed or not. A signature that is wrong is refused all the same, where the build can tell.
    #[default]
    Anyone,
    /// Only those that one of these keys has signed. All others are refused before anything in them is parsed.
    Signed(Vec<PublicKey>),
}

/// Why a package was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageError {
    /// The bytes are damaged, newer, or no package.
    Format(FormatError),
    /// The package is not signed, and the host takes only signed ones.
    Unsigned,
    /// The package is signed by this key, which the host does not trust.
    Untrusted(PublicKey),
    /// The signature does not fit what the package holds: it was changed after it was signed.
    Forged(PublicKey),
    /// The package must be signed, and this build can't check signatures: its feature `signatures` is off.
    NoSignatures,
    /// The manifest in it can't be read.
    Manifest,
}

/// Version 1, which knows no schemas.
#[derive(Serialize)]
struct Fields<'a> {
    signature: Option<Signature>,
    manifest: &'a [u8],
    module: &'a [u8],
}

/// Version 2.
#[derive(Serialize)]
struct FieldsWithSchemas<'a> {
    signature: Option<Signature>,
    manifest: &'a [u8],
    schemas: &'a [u8],
    module: &'a [u8],
}

/// The version that knows schemas. Without any, version 1 is written, which older hosts read too.
const WITH_SCHEMAS: u8 = 2;
const KIND: Kind = Kind { mark: b"top", name: "package", version: WITH_SCHEMAS, longest: 64 << 20 };
const KIND_1: Kind = Kind { version: 1, ..KIND };

impl Package {
    /// Bytes that the schemas of a package may have.
    pub const SCHEMA_BYTES: usize = 1 << 20;

    /// The bytes of a package that nobody has signed.
    ///
    /// `schemas` is a JSON object with the keys `config_schema` and `state_schemas` of `manifest.json`, at most
    /// [`Package::SCHEMA_BYTES`], or nothing. The core does not look into it.
    #[must_use]
    pub fn pack(manifest: &Manifest, schemas: &[u8], module: &[u8]) -> Vec<u8> {
        seal(None, &manifest_bytes(manifest), schemas, module)
    }

    /// The bytes of a package that this key has signed. See [`Package::pack`].
    #[cfg(feature = "signatures")]
    #[must_use]
    pub fn pack_signed(
        manifest: &Manifest,
        schemas: &[u8],
        module: &[u8],
        key: &crate::SigningKey,
    ) -> Vec<u8> {
        let manifest = manifest_bytes(manifest);
        let signature = key.sign(&statement(&manifest, schemas, module));
        seal(Some(signature), &manifest, schemas, module)
    }

    /// Reads a package, and checks its signature before anything that it signs is parsed.
    ///
    /// # Errors
    /// [`PackageError`] says why it was refused.
    pub fn open(bytes: &[u8], trust: &Trust) -> Result<Self, PackageError> {
        let mut read = |range| bytes.get(range).map(Vec::from).ok_or(DAMAGED);
        Reader::new(bytes.len(), &mut read).package(trust, true)
    }

    /// The same from where there is no memory for all of it at once: takes one piece after the other, and drops the schemas, of
    /// which it never holds more than a few hundred bytes.
    ///
    /// `read` gives the bytes of a range that lies within `length`. The largest that it is asked for is the module.
    ///
    /// # Errors
    /// [`PackageError`] says why it was refused; or what `read` says.
    #[inline(never)]
    pub fn read<E: From<PackageError>>(
        length: usize,
        trust: &Trust,
        read: &mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        Reader::new(length, read).package(trust, false)
    }

    /// What the extension says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The schemas as they were packed; empty if there are none, or they were dropped.
    #[must_use]
    pub fn schemas(&self) -> &[u8] {
        &self.schemas
    }

    /// The module's bytes.
    #[must_use]
    pub fn module(&self) -> &[u8] {
        &self.module
    }

    /// Who signed it, if somebody did.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.signer.as_ref()
    }

    /// Manifest and module, for [`Extension::load`](crate::Extension::load).
    #[must_use]
    pub fn into_parts(self) -> (Manifest, Vec<u8>) {
        (self.manifest, self.module)
    }
}

fn seal(signature: Option<Signature>, manifest: &[u8], schemas: &[u8], module: &[u8]) -> Vec<u8> {
    if schemas.is_empty() {
        return sealed::seal(KIND_1, &Fields { signature, manifest, module });
    }
    sealed::seal(KIND, &FieldsWithSchemas { signature, manifest, schemas, module })
}

fn manifest_bytes(manifest: &Manifest) -> Vec<u8> {
    // A `Vec` takes whatever comes, and no field has a length that serde cannot know: this cannot fail.
    postcard::to_extend(manifest, Vec::new()).unwrap_or_default()
}

const DAMAGED: PackageError = PackageError::Format(FormatError::Damaged { what: KIND.name });

/// Takes a package one piece after the other: no more than it needs is in memory at a time.
struct Reader<'r, E> {
    read: &'r mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>,
    length: usize,
    at: usize,
    checksum: Crc32,
}

/// What a length has at most, in postcard.
const LENGTH_BYTES: usize = 5;
/// Bytes of a piece of what is dropped.
const PIECE_BYTES: usize = 256;

impl<'r, E: From<PackageError>> Reader<'r, E> {
    fn new(length: usize, read: &'r mut dyn FnMut(Range<usize>) -> Result<Vec<u8>, E>) -> Self {
        Self { read, length, at: 0, checksum: Crc32::new() }
    }

    fn package(mut self, trust: &Trust, keeps_schemas: bool) -> Result<Package, E> {
        let version = self.version()?;
        let signature = self.signature()?;
        let mut statement = signature.as_ref().map(|_| Statement::new(version));
        let mut hash = |bytes: &[u8]| {
            if let Some(statement) = &mut statement {
                statement.0.update(bytes);
            }
        };

        let bytes = self.count()?;
        let manifest = self.take(bytes)?;
        hash(&length(bytes));
        hash(&manifest);
        let mut schemas = Vec::new();
        if version >= WITH_SCHEMAS {
            let bytes = self.count()?;
            if bytes > Package::SCHEMA_BYTES {
                let what = "part of the package with the schemas";
                let limit = Package::SCHEMA_BYTES;
                return Err(PackageError::Format(FormatError::TooLarge { what, bytes, limit }).into());
            }
            // Who has none writes version 1, so that there is one way to write each package.
            if bytes == 0 {
                return Err(DAMAGED.into());
            }
            hash(&length(bytes));
            if keeps_schemas {
                schemas = self.take(bytes)?;
                hash(&schemas);
            } else {
                let mut rest = bytes;
                while rest > 0 {
                    let piece = self.take(rest.min(PIECE_BYTES))?;
                    hash(&piece);
                    rest = rest.saturating_sub(piece.len());
                }
            }
        }
        let bytes = self.count()?;
        if bytes != self.end().saturating_sub(self.at) {
            return Err(DAMAGED.into());
        }
        let module = self.take(bytes)?;
        hash(&module);

        let end = self.end();
        if (self.read)(end..self.length)? != self.checksum.finish().to_le_bytes() {
            return Err(DAMAGED.into());
        }
        check(signature.as_ref(), statement, trust)?;
        let Ok((manifest, [])) = postcard::take_from_bytes::<Manifest>(&manifest) else {
            return Err(PackageError::Manifest.into());
        };
        let signer = signature.map(|signature| signature.key());
        Ok(Package { manifest, schemas, module, signer })
    }

    /// Where the checksum begins.
    fn end(&self) -> usize {
        self.length.saturating_sub(sealed::CHECKSUM_BYTES)
    }

    fn version(&mut self) -> Result<u8, E> {
        let head = (self.read)(0..self.length.min(KIND.mark.len() + 1))?;
        let version = sealed::version(KIND, &head, self.length).map_err(PackageError::Format)?;
        self.take(head.len())?;
        Ok(version)
    }

    fn signature(&mut self) -> Result<Option<Signature>, E> {
        match self.take(1)?.as_slice() {
            [0] => Ok(None),
            [1] => {
                let bytes = self.take(Signature::BYTES)?;
                Ok(Some(postcard::from_bytes(&bytes).map_err(|_| DAMAGED)?))
            }
            _ => Err(DAMAGED.into()),
        }
    }

    /// The number of bytes that follow.
    fn count(&mut self) -> Result<usize, E> {
        let end = self.end().min(self.at.saturating_add(LENGTH_BYTES)).max(self.at);
        let ahead = (self.read)(self.at..end)?;
        let (count, rest) = postcard::take_from_bytes::<u32>(&ahead).map_err(|_| DAMAGED)?;
        self.take(ahead.len().saturating_sub(rest.len()))?;
        usize::try_from(count).map_err(|_| DAMAGED.into())
    }

    /// The next so many bytes.
    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, E> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.end()).ok_or(DAMAGED)?;
        let taken = (self.read)(self.at..end)?;
        // Whoever reads may have less than he said.
        if taken.len() != bytes {
            return Err(DAMAGED.into());
        }
        self.checksum.update(&taken);
        self.at = end;
        Ok(taken)
    }
}

/// What is signed: a name that nothing else has that may ever be signed with the same key, and a hash over the content.
struct Statement(Sha256, &'static [u8; DOMAIN_BYTES]);

const DOMAIN_BYTES: usize = 18;
const STATEMENT_BYTES: usize = DOMAIN_BYTES + 32;

impl Statement {
    fn new(version: u8) -> Self {
        let domain = if version >= WITH_SCHEMAS { b"toehold package 2\0" } else { b"toehold package 1\0" };
        Self(Sha256::new(), domain)
    }

    fn finish(self) -> [u8; STATEMENT_BYTES] {
        let mut statement = [0; STATEMENT_BYTES];
        let (domain, digest) = statement.split_at_mut(DOMAIN_BYTES);
        domain.copy_from_slice(self.1);
        digest.copy_from_slice(&self.0.finalize());
        statement
    }
}

/// A length in front keeps bytes from moving from one field into the next.
fn length(bytes: usize) -> [u8; 8] {
    (bytes as u64).to_le_bytes()
}

#[cfg(feature = "signatures")]
fn statement(manifest: &[u8], schemas: &[u8], module: &[u8]) -> [u8; STATEMENT_BYTES] {
    let mut statement = Statement::new(if schemas.is_empty() { KIND_1.version } else { WITH_SCHEMAS });
    let hash = &mut statement.0;
    hash.update(length(manifest.len()));
    hash.update(manifest);
    if !schemas.is_empty() {
        hash.update(length(schemas.len()));
        hash.update(schemas);
    }
    hash.update(module);
    statement.finish()
}

fn check(
    signature: Option<&Signature>,
    statement: Option<Statement>,
    trust: &Trust,
) -> Result<(), PackageError> {
    let (signature, statement) = match (signature.zip(statement), trust) {
        (None, Trust::Anyone) => return Ok(()),
        (None, Trust::Signed(_)) => return Err(PackageError::Unsigned),
        (Some((signature, _)), Trust::Signed(keys)) if !keys.contains(&signature.key()) => {
            return Err(PackageError::Untrusted(signature.key()));
        }
        (Some(signed), _) => signed,
    };
    match (signature.verify(&statement.finish()), trust) {
        (Some(true), _) | (None, Trust::Anyone) => Ok(()),
        (Some(false), _) => Err(PackageError::Forged(signature.key())),
        (None, Trust::Signed(_)) => Err(PackageError::NoSignatures),
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => write!(f, "{error}"),
            Self::Unsigned => f.write_str("the package is not signed, and only signed ones are taken here"),
            Self::Untrusted(key) => {
                write!(f, "the package is signed by {key}, which is not among the keys that are trusted here")
            }
            Self::Forged(key) => {
                write!(f, "the package was changed after {key} had signed it: get it anew")
            }
            Self::NoSignatures => f.write_str(
                "only signed packages are taken here, and this build can't check signatures: build it with \
                 the feature `signatures`",
            ),
            Self::Manifest => f.write_str("the manifest in the package can't be read: pack it anew"),
        }
    }
}

impl core::error::Error for PackageError {}

/// Bytes as hexadecimal digits, two for each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
