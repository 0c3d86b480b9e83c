//! Modules that jobs run on, by hash, in an object store; and which of them an extension has now, in a bucket.

use std::time::Duration;

use async_nats::jetstream::{
    kv,
    object_store::{self, GetErrorKind, InfoErrorKind, ObjectStore},
};
use serde::{Deserialize, Serialize};
use toehold::UnixMillis;
use tokio::io::AsyncReadExt;

use super::{FleetError, connect::Link, error::is_missing, names::hex};
use crate::store::StoredModule;

/// Bytes of a module with all that belongs to it, at most.
const MOST_BYTES: u64 = 256 << 20;

/// How long to wait before the servers are asked again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A [`StoredModule`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Object {
    manifest: String,
    module: Vec<u8>,
    added_at: UnixMillis,
    package: Option<Vec<u8>>,
    brought: bool,
}

/// Which module an extension has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pointer {
    pub(super) id: String,
    pub(super) hash: [u8; 32],
    /// The schemas of one that has no signed package.
    pub(super) schemas: Vec<u8>,
}

impl Link {
    /// Does something with a bucket, but no longer than until servers refuse something of that.
    async fn unless_bucket_refused<T>(
        &self,
        what: impl FnOnce() -> String,
        bucket: &str,
        act: impl Future<Output = Result<T, FleetError>>,
    ) -> Result<T, FleetError> {
        self.refusals.unless_refused(what, |subject| subject.contains(bucket), act).await?
    }

    /// The bucket of modules, which is made if it is not there.
    pub(super) async fn objects(&self) -> Result<ObjectStore, FleetError> {
        let bucket = self.names.packages_bucket();
        match self.jetstream.get_object_store(&bucket).await {
            Ok(store) => return Ok(store),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(FleetError::server(format!("the bucket {bucket}"), error)),
        }
        let config = object_store::Config {
            bucket: bucket.clone(),
            num_replicas: self.replicas,
            ..object_store::Config::default()
        };
        let made = self.jetstream.create_object_store(config).await;
        made.map_err(|error| FleetError::server(format!("the bucket {bucket}"), error))
    }

    /// The bucket of [`Pointer`]s.
    pub(super) async fn pointers(&self) -> Result<kv::Store, FleetError> {
        let bucket = self.names.extensions_bucket();
        match self.jetstream.get_key_value(&bucket).await {
            Ok(store) => return Ok(store),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(FleetError::server(format!("the bucket {bucket}"), error)),
        }
        let config = kv::Config {
            bucket: bucket.clone(),
            history: 1,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        let made = self.jetstream.create_key_value(config).await;
        made.map_err(|error| FleetError::server(format!("the bucket {bucket}"), error))
    }

    /// The name of a module with a signed package is another one, so that one without can't take its place.
    fn object(hash: &[u8; 32], signed: bool) -> String {
        format!("{}{}", hex(hash), if signed { ".signed" } else { "" })
    }

    /// Stores a module, unless it is there. Asks more than once: what was just made takes a moment until it answers.
    pub(super) async fn store_module(&self, module: StoredModule) -> Result<(), FleetError> {
        let mut wait = FIRST_WAIT;
        loop {
            let what = || "storing a module".to_owned();
            let stored = self.try_store_module(module.clone());
            match self.unless_bucket_refused(what, &self.names.packages_bucket(), stored).await {
                Err(FleetError::Server { .. }) if wait <= LONGEST_WAIT => {}
                stored => return stored,
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn try_store_module(&self, module: StoredModule) -> Result<(), FleetError> {
        let objects = self.objects().await?;
        let StoredModule { hash, manifest, module, added_at, package, brought, .. } = module;
        let name = Self::object(&hash, package.is_some());
        let failed =
            |error: &dyn std::fmt::Display| FleetError::server(format!("storing module {name}"), error);
        match objects.info(name.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == InfoErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
        }
        let object = Object { manifest, module, added_at, package, brought };
        let bytes = postcard::to_allocvec(&object).map_err(|error| failed(&error))?;
        objects.put(name.as_str(), &mut bytes.as_slice()).await.map(drop).map_err(|error| failed(&error))
    }

    /// A module by its hash, with its signed package if there is one. Asks more than once, as [`Link::store_module`].
    pub(super) async fn module(&self, hash: [u8; 32]) -> Result<Option<StoredModule>, FleetError> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.try_module(hash).await {
                Err(FleetError::Server { .. }) if wait <= LONGEST_WAIT => {}
                found => return found,
            }
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }

    async fn try_module(&self, hash: [u8; 32]) -> Result<Option<StoredModule>, FleetError> {
        let objects = self.objects().await?;
        for signed in [true, false] {
            let name = Self::object(&hash, signed);
            let failed =
                |error: &dyn std::fmt::Display| FleetError::server(format!("reading module {name}"), error);
            let object = match objects.get(name.clone()).await {
                Ok(object) => object,
                Err(error) if error.kind() == GetErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&error)),
            };
            let mut bytes = Vec::new();
            // Whoever may write there could fill the memory.
            object.take(MOST_BYTES).read_to_end(&mut bytes).await.map_err(|error| failed(&error))?;
            let object: Object = postcard::from_bytes(&bytes).map_err(|error| failed(&error))?;
            let Object { manifest, module, added_at, package, brought } = object;
            let config = "{}".to_owned();
            return Ok(Some(StoredModule { hash, manifest, module, config, added_at, package, brought }));
        }
        Ok(None)
    }

    /// Says which module an extension has from now on.
    pub(super) async fn point(&self, pointer: &Pointer) -> Result<(), FleetError> {
        let bytes = postcard::to_allocvec(pointer).unwrap_or_default();
        let what = || format!("installing {}", pointer.id);
        let put = async {
            let put = self.pointers().await?.put(hex(pointer.id.as_bytes()), bytes.into()).await;
            put.map(drop).map_err(|error| FleetError::server(what(), error))
        };
        self.unless_bucket_refused(what, &self.names.extensions_bucket(), put).await
    }
}
