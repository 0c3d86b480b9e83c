use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::package::hex;

/// A key that packages are checked with: Ed25519 (RFC 8032), 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Who signed, and the signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Signature {
    key: PublicKey,
    /// The two halves of the signature, 32 bytes each: serde knows no longer arrays.
    halves: [[u8; 32]; 2],
}

impl Signature {
    /// Bytes of it in postcard, which gives arrays no length.
    pub(crate) const BYTES: usize = 3 * 32;

    pub(crate) fn key(&self) -> PublicKey {
        self.key
    }

    /// Whether it is the key's signature of the message. `None` where this build can't tell.
    #[cfg(feature = "signatures")]
    pub(crate) fn verify(&self, message: &[u8]) -> Option<bool> {
        let [r, s] = self.halves;
        let signature = ed25519_dalek::Signature::from_components(r, s);
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.key.0);
        // Strict: a key of low order would take any signature for its own.
        Some(key.is_ok_and(|key| key.verify_strict(message, &signature).is_ok()))
    }

    #[cfg(not(feature = "signatures"))]
    pub(crate) fn verify(&self, message: &[u8]) -> Option<bool> {
        let _ = (message, self.halves);
        None
    }
}

/// A key that signs packages. Its seed is a secret.
#[cfg(feature = "signatures")]
pub struct SigningKey(ed25519_dalek::SigningKey);

#[cfg(feature = "signatures")]
impl SigningKey {
    /// The key of a seed: 32 bytes that nobody can guess.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The key of a seed that is written as 64 hexadecimal digits. `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(|seed| Self::from_seed(&seed))
    }

    /// The key that checks what this one signs.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        use ed25519_dalek::Signer as _;
        let signature = self.0.sign(message);
        Signature { key: self.public_key(), halves: [*signature.r_bytes(), *signature.s_bytes()] }
    }
}

#[cfg(feature = "signatures")]
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secret.
        write!(f, "SigningKey({})", self.public_key())
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// For configurations: a key as people write it, or what is wrong with it.
impl TryFrom<String> for PublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a public key has 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = PublicKey::from_bytes([0xa5; 32]);
        assert_eq!(PublicKey::parse(&key.to_string()), Some(key));
        for wrong in ["", "a5", &"g5".repeat(32), &"a5".repeat(33), "é"] {
            assert_eq!(PublicKey::parse(wrong), None, "{wrong}");
        }
    }

    /// RFC 8032, section 7.1, test 2.
    #[cfg(feature = "signatures")]
    #[test]
    fn it_is_ed25519() {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        let key = SigningKey::parse(seed).unwrap();
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public_key().to_string(), public);
        let signature = key.sign(&[0x72]);
        assert_eq!(
            hex(&signature.halves.concat()),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(signature.verify(&[0x72]), Some(true));
        assert_eq!(signature.verify(&[0x73]), Some(false));
    }

    /// The key of order 1 takes any message for its own, unless one looks.
    #[cfg(feature = "signatures")]
    #[test]
    fn a_weak_key_signs_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let signature = Signature { key: PublicKey(identity), halves: [identity, [0; 32]] };
        assert_eq!(signature.verify(b"anything"), Some(false));
    }
}
