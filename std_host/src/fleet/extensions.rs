//! Extensions that the fleet has, installed on each host.

use std::path::Path;

use async_nats::jetstream::kv;
use futures_util::{StreamExt, TryStreamExt};
use toehold::{Manifest, Package};

use super::{FleetError, connect::Link, names::hex, packages::Pointer};
use crate::manager::Manager;

/// Installs all extensions that the fleet has. One that can't be keeps no other from it.
pub(super) async fn sync(link: &Link, manager: &Manager, data: &Path) -> Result<(), FleetError> {
    let failed = |error: &dyn std::fmt::Display| FleetError::server("reading the list of extensions", error);
    let pointers = link.pointers().await?;
    let keys: Vec<String> = pointers
        .keys()
        .await
        .map_err(|error| failed(&error))?
        .try_collect()
        .await
        .map_err(|error| failed(&error))?;
    for key in keys {
        let found = pointers.get(key).await.map_err(|error| failed(&error))?;
        if let Some(bytes) = found {
            install(link, manager, data, &bytes).await;
        }
    }
    Ok(())
}

/// Installs what is added to the fleet from now on.
pub(super) async fn follow(link: &Link, manager: &Manager, data: &Path) {
    loop {
        let watched = match link.pointers().await {
            Ok(pointers) => pointers.watch_all().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match watched {
            Ok(mut changes) => {
                while let Some(change) = changes.next().await {
                    match change {
                        Ok(entry) if entry.operation == kv::Operation::Put => {
                            install(link, manager, data, &entry.value).await;
                        }
                        Ok(_) => {}
                        Err(error) => log::warn!("extensions: {error}"),
                    }
                }
            }
            Err(error) => log::warn!("extensions: {error}"),
        }
        tokio::time::sleep(link.lease / 3).await;
        // What came in between.
        if let Err(error) = sync(link, manager, data).await {
            log::warn!("{error}");
        }
    }
}

async fn install(link: &Link, manager: &Manager, data: &Path, pointer: &[u8]) {
    let Ok(pointer) = postcard::from_bytes::<Pointer>(pointer) else { return };
    if let Err(error) = try_install(link, manager, data, &pointer).await {
        log::error!("extension {} is not installed here: {error}", pointer.id);
    }
}

async fn try_install(
    link: &Link,
    manager: &Manager,
    data: &Path,
    pointer: &Pointer,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let installed = manager.extensions().get(&pointer.id);
    if installed.is_ok_and(|installed| installed.extension().module().hash == pointer.hash) {
        return Ok(());
    }
    let module = link.module(pointer.hash).await?.ok_or("the fleet does not have its module")?;
    let package = match module.package {
        Some(package) => package,
        None => Package::pack(
            &serde_json::from_str::<Manifest>(&module.manifest)?,
            &pointer.schemas,
            &module.module,
        ),
    };
    let path = data.join(format!("incoming-{}.toehold", hex(&pointer.hash)));
    std::fs::write(&path, package)?;
    let (manager, added) = (manager.clone(), path.clone());
    let result = tokio::task::spawn_blocking(move || manager.install_extension(&added)).await;
    std::fs::remove_file(&path)?;
    result??;
    Ok(())
}
