//! Extensions that a request brings, or names: a path of the host, a package, or a manifest and a module.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Multipart, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::Deserialize;
use toehold::{Manifest, Uuid};
use utoipa::ToSchema;

use super::{Api, ApiError, request};
use crate::{MANIFEST_FILE, PACKAGE_FILE, extensions::install};

/// Bytes of a request that names a path.
const NAMED_BYTES: usize = 64 << 10;
/// Bytes of a package, as its format has it; or of a manifest and a module, with what is around them.
const UPLOAD_BYTES: usize = 64 << 20;

/// Where the files of an extension are that somebody wants to have installed.
pub(super) enum Upload {
    /// Somewhere on the host: what is said of them names their paths.
    Named(PathBuf),
    /// In a folder that goes with this.
    Brought { folder: Folder, path: PathBuf },
}

/// A folder that goes with this.
pub(super) struct Folder(PathBuf);

/// An extension on the host.
#[derive(Deserialize, ToSchema)]
#[schema(as = ExtensionPath)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// The extension's folder, its manifest, or its package, as an absolute path on the host.
    #[schema(value_type = String)]
    path: PathBuf,
}

/// An extension's files: a package, or a manifest and a module.
#[derive(ToSchema)]
#[schema(as = ExtensionFiles)]
#[allow(dead_code)]
pub(super) struct Files {
    #[schema(value_type = Option<String>, format = Binary)]
    package: Option<Vec<u8>>,
    #[schema(value_type = Option<String>, format = Binary)]
    manifest: Option<Vec<u8>>,
    #[schema(value_type = Option<String>, format = Binary)]
    module: Option<Vec<u8>>,
}

impl Upload {
    pub(super) async fn receive(api: &Api, request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        match kind
            .map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .as_deref()
        {
            None | Some("application/json") => {
                let Named { path } = request::json(body, NAMED_BYTES).await?;
                if path.is_absolute() {
                    return Ok(Self::Named(path));
                }
                let path = path.display();
                Err(ApiError::bad_request(format!("the path {path} must be absolute: it is the host's")))
            }
            Some("application/octet-stream") => {
                let (package, _room) = request::large(api, body, UPLOAD_BYTES).await?;
                Self::package(api, package).await
            }
            Some("multipart/form-data") => {
                let (body, _room) = request::large(api, body, UPLOAD_BYTES).await?;
                Self::form(api, parts, body).await
            }
            Some(kind) => Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "wrong_content_type",
                format!(
                    "the request is {kind}; send application/json with a path, application/octet-stream with a package, or \
                     multipart/form-data with a package, or with a manifest and a module"
                ),
            )),
        }
    }

    async fn package(api: &Api, package: Bytes) -> Result<Self, ApiError> {
        let root = api.source.manager()?.extensions().folder().to_owned();
        request::blocking(move || {
            let folder = Folder::new(&root)?;
            let path = folder.0.join(PACKAGE_FILE);
            fs::write(&path, package).map_err(not_kept)?;
            Ok(Self::Brought { folder, path })
        })
        .await
    }

    async fn form(api: &Api, parts: Parts, body: Bytes) -> Result<Self, ApiError> {
        let malformed = |error: &dyn std::fmt::Display| {
            ApiError::bad_request(format!("the request's form can't be read: {error}"))
        };
        let request = Request::from_parts(parts, Body::from(body));
        let mut form =
            Multipart::from_request(request, &()).await.map_err(|error| malformed(&error.body_text()))?;
        let (mut package, mut manifest, mut module) = (None, None, None);
        while let Some(field) = form.next_field().await.map_err(|error| malformed(&error.body_text()))? {
            let name = field.name().unwrap_or_default().to_owned();
            let place = match name.as_str() {
                "package" => &mut package,
                "manifest" => &mut manifest,
                "module" => &mut module,
                _ => {
                    let wrong =
                        format!("it has a part {name:?}; the parts are package, or manifest and module");
                    return Err(malformed(&wrong));
                }
            };
            let bytes = field.bytes().await.map_err(|error| malformed(&error.body_text()))?;
            if place.replace(bytes).is_some() {
                return Err(malformed(&format!("it has more than one part {name:?}")));
            }
        }
        match (package, manifest, module) {
            (Some(package), None, None) => Self::package(api, package).await,
            (None, Some(manifest), Some(module)) => Self::files(api, manifest, module).await,
            _ => Err(malformed(&"its parts must be package, or manifest and module")),
        }
    }

    async fn files(api: &Api, manifest: Bytes, module: Bytes) -> Result<Self, ApiError> {
        // It says what the module's file is called; and that a name leads out of the folder, it refuses.
        let read: Manifest = serde_json::from_slice(&manifest)
            .map_err(|error| ApiError::unprocessable("bad_extension", format!("{MANIFEST_FILE}: {error}")))?;
        install::check_module_name(&read)
            .map_err(|error| ApiError::unprocessable("bad_extension", format!("{MANIFEST_FILE}: {error}")))?;
        let root = api.source.manager()?.extensions().folder().to_owned();
        request::blocking(move || {
            let folder = Folder::new(&root)?;
            let path = folder.0.join(read.wasm_file());
            fs::create_dir_all(path.parent().unwrap_or(&folder.0))
                .and_then(|()| fs::write(&path, module))
                // Last, so that a module of this name can't take its place.
                .and_then(|()| fs::write(folder.0.join(MANIFEST_FILE), manifest))
                .map_err(not_kept)?;
            Ok(Self::Brought { path: folder.0.clone(), folder })
        })
        .await
    }

    /// The extension's folder, or its package.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Named(path) | Self::Brought { path, .. } => path,
        }
    }

    /// The same error, without the path of a folder that is gone by then.
    pub(super) fn error(&self, error: ApiError) -> ApiError {
        let Self::Brought { folder, .. } = self else { return error };
        let inside = format!("{}{}", folder.0.display(), std::path::MAIN_SEPARATOR);
        // The name is ours: who has sent the package has another one for it.
        let package = format!("{inside}{PACKAGE_FILE}: ");
        let message = error.message.replace(&package, "the package: ");
        let message = message.replace(&inside, "").replace(&folder.0.display().to_string(), "the upload");
        ApiError { message, ..error }
    }
}

impl Folder {
    /// In `root`, under a name that no extension has, so that it is removed at the next start if it outlives the process.
    fn new(root: &Path) -> Result<Self, ApiError> {
        let path = root.join(format!(".new-{}", Uuid::new_v4().simple()));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(not_kept)?;
        // Without links: what is loaded from it has its real path.
        Ok(Self(fs::canonicalize(&path).map_err(not_kept)?))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("{}: {error}", self.0.display());
        }
    }
}

/// Whether there is no room for a file.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull)
}

fn not_kept(error: io::Error) -> ApiError {
    let status = match () {
        () if is_full(&error) => StatusCode::INSUFFICIENT_STORAGE,
        // A name that is longer than the disk takes, or a folder and a file of one name.
        () if error.kind() == io::ErrorKind::InvalidFilename => StatusCode::UNPROCESSABLE_ENTITY,
        () => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, "not_kept", format!("the upload can't be kept in the data folder: {error}"))
}
