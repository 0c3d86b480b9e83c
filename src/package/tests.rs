use alloc::{borrow::ToOwned, vec};

use super::*;

const MODULE: &[u8] = b"\0asm";
const SCHEMAS: &[u8] = br#"{"config_schema":{"type":"object"}}"#;

fn manifest() -> Manifest {
    Manifest::new("example").unwrap()
}

fn open(bytes: &[u8]) -> Result<Package, PackageError> {
    Package::open(bytes, &Trust::Anyone)
}

/// As a board reads it. Gives the longest piece too.
fn read(bytes: &[u8], trust: &Trust) -> (Result<Package, PackageError>, usize) {
    let mut longest = 0;
    let read = Package::read(bytes.len(), trust, &mut |range: Range<usize>| {
        longest = longest.max(range.len());
        Ok::<_, PackageError>(bytes[range].to_owned())
    });
    (read, longest)
}

#[test]
fn what_was_packed_comes_out() {
    for schemas in [&b""[..], SCHEMAS] {
        let bytes = Package::pack(&manifest(), schemas, MODULE);
        assert_eq!(bytes[3], if schemas.is_empty() { 1 } else { 2 }, "older hosts read what has no schemas");
        let package = open(&bytes).unwrap();
        assert_eq!((package.manifest(), package.module()), (&manifest(), MODULE));
        assert_eq!((package.schemas(), package.signer()), (schemas, None));
        assert_eq!(package.into_parts(), (manifest(), MODULE.to_vec()));
    }
}

#[test]
fn a_board_never_holds_the_schemas() {
    let module = vec![7; 5_000];
    let bytes = Package::pack(&manifest(), &vec![b' '; 100_000], &module);
    let (package, longest) = read(&bytes, &Trust::Anyone);
    let package = package.unwrap();
    assert_eq!(
        (package.manifest(), package.module(), package.schemas()),
        (&manifest(), &module[..], &b""[..])
    );
    assert_eq!(longest, module.len());
}

#[test]
fn every_damage_is_seen() {
    for good in [Package::pack(&manifest(), b"", MODULE), Package::pack(&manifest(), SCHEMAS, MODULE)] {
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(matches!(open(&bad), Err(PackageError::Format(_))), "byte {at}, bit {bit}");
                assert_eq!(read(&bad, &Trust::Anyone).0.unwrap_err(), open(&bad).unwrap_err());
            }
            assert!(matches!(open(&good[..at]), Err(PackageError::Format(_))), "cut at {at}");
        }
        let more = [&good[..], b"\0"].concat();
        assert_eq!(open(&more).unwrap_err(), DAMAGED);
    }
}

#[test]
fn schemas_have_a_limit_and_are_not_empty() {
    let most = Package::pack(&manifest(), &vec![b' '; Package::SCHEMA_BYTES], MODULE);
    assert_eq!(open(&most).unwrap().schemas().len(), Package::SCHEMA_BYTES);
    let more = Package::pack(&manifest(), &vec![b' '; Package::SCHEMA_BYTES + 1], MODULE);
    let error = open(&more).unwrap_err();
    assert!(matches!(error, PackageError::Format(FormatError::TooLarge { limit: 1_048_576, .. })), "{error}");
    let manifest = manifest_bytes(&manifest());
    let fields = FieldsWithSchemas { signature: None, manifest: &manifest, schemas: b"", module: MODULE };
    assert_eq!(open(&sealed::seal(KIND, &fields)).unwrap_err(), DAMAGED);
}

#[test]
fn who_reads_less_than_there_should_be_gets_an_error() {
    let bytes = Package::pack(&manifest(), SCHEMAS, MODULE);
    for cut in 0..bytes.len() {
        let mut read = |range: Range<usize>| {
            let end = range.end.min(cut);
            Ok::<_, PackageError>(bytes[range.start.min(end)..end].to_owned())
        };
        assert!(Package::read(bytes.len(), &Trust::Anyone, &mut read).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_host_with_keys_refuses_what_nobody_signed() {
    let trust = Trust::Signed(Vec::new());
    let unsigned = Package::pack(&manifest(), SCHEMAS, MODULE);
    assert_eq!(Package::open(&unsigned, &trust).unwrap_err(), PackageError::Unsigned);
}

#[cfg(feature = "signatures")]
mod signed {
    use super::*;
    use crate::SigningKey;

    #[test]
    fn only_keys_that_are_trusted_open_it() {
        let (ours, theirs) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let trust = |key: &SigningKey| Trust::Signed(vec![key.public_key()]);
        for schemas in [&b""[..], SCHEMAS] {
            let bytes = Package::pack_signed(&manifest(), schemas, MODULE, &ours);
            let opened = Package::open(&bytes, &trust(&ours)).unwrap();
            assert_eq!((opened.signer(), opened.schemas()), (Some(&ours.public_key()), schemas));
            assert_eq!(read(&bytes, &trust(&ours)).0.unwrap().signer(), Some(&ours.public_key()));
            assert!(open(&bytes).is_ok());
            let refused = Package::open(&bytes, &trust(&theirs)).unwrap_err();
            assert_eq!(refused, PackageError::Untrusted(ours.public_key()));
        }
    }

    #[test]
    fn what_was_changed_after_signing_is_refused_before_it_is_parsed() {
        let key = SigningKey::from_seed(&[1; 32]);
        let good = manifest_bytes(&manifest());
        for schemas in [&b""[..], SCHEMAS] {
            let signature = key.sign(&statement(&good, schemas, MODULE));
            let seal = |manifest: &[u8], schemas: &[u8], module: &[u8]| {
                seal(Some(signature.clone()), manifest, schemas, module)
            };
            let other: &[u8] = if schemas.is_empty() { b"{}" } else { b"" };
            for bad in [
                seal(b"no manifest", schemas, MODULE),
                seal(&good, b"no schemas", MODULE),
                seal(&good, other, MODULE),
                seal(&good, schemas, b"\0asn"),
                seal(&good, schemas, b""),
            ] {
                for trust in [Trust::Anyone, Trust::Signed(vec![key.public_key()])] {
                    let forged = PackageError::Forged(key.public_key());
                    assert_eq!(Package::open(&bad, &trust).unwrap_err(), forged);
                    assert_eq!(read(&bad, &trust).0.unwrap_err(), forged);
                }
            }
        }
    }

    #[test]
    fn no_byte_moves_from_one_field_into_another() {
        assert_ne!(statement(b"ab", b"", b"c"), statement(b"a", b"", b"bc"));
        assert_ne!(statement(b"a", b"bc", b"d"), statement(b"a", b"b", b"cd"));
        assert_ne!(statement(b"ab", b"c", b"d"), statement(b"a", b"bc", b"d"));
        // Not even from what has no schemas: its statement has another name.
        assert_ne!(statement(b"a", b"", b"b"), statement(b"a", b"b", b""));
    }
}
