use alloc::{string::String, vec::Vec};
use core::{fmt, ops::Range};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Manifest,
    sealed::{self, FormatError, Kind},
    signature::{PublicKey, Signature},
};

/// An extension in one file: its manifest and its module, with a checksum, and signed if its maker wants.
///
/// The bytes are the same on every architecture; docs/package-format.md has each of them.
#[derive(Clone, Debug)]
pub struct Package {
    manifest: Manifest,
    signer: Option<PublicKey>,
    module: PackagedModule,
}

/// A module that lies in a package. [`Extension::load`](crate::Extension::load) takes it as it is, so that a board need not
/// hold it twice.
#[derive(Clone, Debug)]
pub struct PackagedModule {
    package: Vec<u8>,
    module: Range<usize>,
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

#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    signature: Option<Signature>,
    #[serde(borrow)]
    manifest: &'a [u8],
    #[serde(borrow)]
    module: &'a [u8],
}

const KIND: Kind = Kind { mark: b"top", name: "package", version: 1, longest: 64 << 20 };

impl Package {
    /// The bytes of a package that nobody has signed.
    #[must_use]
    pub fn pack(manifest: &Manifest, module: &[u8]) -> Vec<u8> {
        let manifest = manifest_bytes(manifest);
        sealed::seal(KIND, &Fields { signature: None, manifest: &manifest, module })
    }

    /// The bytes of a package that this key has signed.
    #[cfg(feature = "signatures")]
    #[must_use]
    pub fn pack_signed(manifest: &Manifest, module: &[u8], key: &crate::SigningKey) -> Vec<u8> {
        let manifest = manifest_bytes(manifest);
        let signature = Some(key.sign(&statement(&manifest, module)));
        sealed::seal(KIND, &Fields { signature, manifest: &manifest, module })
    }

    /// Reads a package, and checks its signature before anything that it signs is parsed.
    ///
    /// # Errors
    /// [`PackageError`] says why it was refused.
    pub fn open(bytes: Vec<u8>, trust: &Trust) -> Result<Self, PackageError> {
        let (_, fields) = sealed::unseal(KIND, &bytes).map_err(PackageError::Format)?;
        let Fields { signature, manifest, module } =
            sealed::fields(KIND, fields).map_err(PackageError::Format)?;
        check(signature.as_ref(), manifest, module, trust)?;
        let parsed = match postcard::take_from_bytes::<Manifest>(manifest) {
            Ok((manifest, [])) => manifest,
            _ => return Err(PackageError::Manifest),
        };
        // Before it come the other fields, after it the checksum.
        let end = bytes.len().saturating_sub(sealed::CHECKSUM_BYTES);
        let range = end.saturating_sub(module.len())..end;
        let signer = signature.map(|signature| signature.key());
        Ok(Self { manifest: parsed, signer, module: PackagedModule { package: bytes, module: range } })
    }

    /// What the extension says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The module's bytes.
    #[must_use]
    pub fn module(&self) -> &[u8] {
        self.module.as_ref()
    }

    /// Who signed it, if somebody did.
    #[must_use]
    pub fn signer(&self) -> Option<&PublicKey> {
        self.signer.as_ref()
    }

    /// Manifest and module, for [`Extension::load`](crate::Extension::load).
    #[must_use]
    pub fn into_parts(self) -> (Manifest, PackagedModule) {
        (self.manifest, self.module)
    }
}

impl AsRef<[u8]> for PackagedModule {
    fn as_ref(&self) -> &[u8] {
        self.package.get(self.module.clone()).unwrap_or_default()
    }
}

fn manifest_bytes(manifest: &Manifest) -> Vec<u8> {
    // A `Vec` takes whatever comes, and no field has a length that serde cannot know: this cannot fail.
    postcard::to_extend(manifest, Vec::new()).unwrap_or_default()
}

/// What is signed: a name that nothing else has that may ever be signed with the same key, and a hash over the content.
///
/// The length in front keeps bytes from moving from the manifest into the module.
fn statement(manifest: &[u8], module: &[u8]) -> [u8; STATEMENT_BYTES] {
    let mut hash = Sha256::new();
    hash.update((manifest.len() as u64).to_le_bytes());
    hash.update(manifest);
    hash.update(module);
    let mut statement = [0; STATEMENT_BYTES];
    let (domain, digest) = statement.split_at_mut(DOMAIN.len());
    domain.copy_from_slice(DOMAIN);
    digest.copy_from_slice(&hash.finalize());
    statement
}

const DOMAIN: &[u8; 18] = b"toehold package 1\0";
const STATEMENT_BYTES: usize = DOMAIN.len() + 32;

fn check(
    signature: Option<&Signature>,
    manifest: &[u8],
    module: &[u8],
    trust: &Trust,
) -> Result<(), PackageError> {
    let signature = match (signature, trust) {
        (None, Trust::Anyone) => return Ok(()),
        (None, Trust::Signed(_)) => return Err(PackageError::Unsigned),
        (Some(signature), Trust::Signed(keys)) if !keys.contains(&signature.key()) => {
            return Err(PackageError::Untrusted(signature.key()));
        }
        (Some(signature), _) => signature,
    };
    match (signature.verify(&statement(manifest, module)), trust) {
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
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::new("example").unwrap()
    }

    #[test]
    fn what_was_packed_comes_out() {
        let package = Package::open(Package::pack(&manifest(), b"\0asm"), &Trust::Anyone).unwrap();
        assert_eq!((package.manifest(), package.module()), (&manifest(), b"\0asm".as_slice()));
        assert_eq!(package.signer(), None);
        let (_, module) = package.into_parts();
        assert_eq!(module.as_ref(), b"\0asm");
    }

    #[test]
    fn every_damage_is_seen() {
        let good = Package::pack(&manifest(), b"\0asm");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert!(matches!(Package::open(bad, &Trust::Anyone), Err(PackageError::Format(_))), "byte {at}");
            assert!(Package::open(good[..at].to_vec(), &Trust::Anyone).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_host_with_keys_refuses_what_nobody_signed() {
        let trust = Trust::Signed(Vec::new());
        let unsigned = Package::pack(&manifest(), b"\0asm");
        assert_eq!(Package::open(unsigned, &trust).unwrap_err(), PackageError::Unsigned);
    }

    #[cfg(feature = "signatures")]
    mod signed {
        use alloc::vec;

        use super::*;
        use crate::SigningKey;

        #[test]
        fn only_keys_that_are_trusted_open_it() {
            let (ours, theirs) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
            let bytes = Package::pack_signed(&manifest(), b"\0asm", &ours);
            let trust = |key: &SigningKey| Trust::Signed(vec![key.public_key()]);
            let opened = Package::open(bytes.clone(), &trust(&ours)).unwrap();
            assert_eq!(opened.signer(), Some(&ours.public_key()));
            assert!(Package::open(bytes.clone(), &Trust::Anyone).is_ok());
            let refused = Package::open(bytes, &trust(&theirs)).unwrap_err();
            assert_eq!(refused, PackageError::Untrusted(ours.public_key()));
        }

        #[test]
        fn what_was_changed_after_signing_is_refused_before_it_is_parsed() {
            let key = SigningKey::from_seed(&[1; 32]);
            let manifest = manifest_bytes(&manifest());
            let signature = || Some(key.sign(&statement(&manifest, b"\0asm")));
            let seal = |manifest: &[u8], module: &[u8]| {
                sealed::seal(KIND, &Fields { signature: signature(), manifest, module })
            };
            for bad in [seal(b"no manifest", b"\0asm"), seal(&manifest, b"\0asn"), seal(&manifest, b"")] {
                for trust in [Trust::Anyone, Trust::Signed(vec![key.public_key()])] {
                    let error = Package::open(bad.clone(), &trust).unwrap_err();
                    assert_eq!(error, PackageError::Forged(key.public_key()));
                }
            }
        }

        #[test]
        fn no_byte_moves_from_the_manifest_into_the_module() {
            assert_ne!(statement(b"ab", b"c"), statement(b"a", b"bc"));
        }
    }
}
