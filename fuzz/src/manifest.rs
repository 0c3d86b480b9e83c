//! Manifests.

use toehold::{Manifest, Package, Trust, Uuid};

/// A manifest that is taken keeps its promises, and is the same after it was written and packed.
pub fn manifest(data: &[u8]) {
    let Ok(read) = serde_json::from_slice::<Manifest>(data) else { return };
    let id = read.id();
    assert!((1..=64).contains(&id.len()) && !id.starts_with('.'), "{id:?}");
    assert!(
        id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
    );
    let file = read.wasm_file();
    assert!(!file.is_empty() && !file.starts_with('/') && !file.contains('\\'), "{file:?}");
    assert!(file.split('/').all(|part| !matches!(part, "" | "." | "..")), "{file:?}");
    let texts = [read.name(), read.version(), read.description(), read.author(), file];
    assert!(!texts.iter().any(|text| text.contains(char::is_control)), "{texts:?}");
    let permissions = read.permissions();
    if permissions.methods.is_empty() {
        assert!(!permissions.allow_method("query:ping"), "who asks for nothing gets nothing");
    }
    assert!(permissions.allow_library(None));
    let _ = permissions.allow_library(Some(Uuid::nil()));
    let Ok(written) = serde_json::to_vec(&read) else { panic!("it can't be written: {read:?}") };
    assert_eq!(serde_json::from_slice::<Manifest>(&written).ok().as_ref(), Some(&read), "as JSON");
    let package = Package::open(&Package::pack(&read, b"", b"module"), &Trust::Anyone);
    let Ok(package) = package else { panic!("packed it can't be opened: {package:?}") };
    assert_eq!((package.manifest(), package.module()), (&read, b"module".as_slice()), "in a package");
}
