//! Settings of a control plane that change while it runs: whose tokens it accepts, and the key of its Secrets.

use std::sync::{Arc, Mutex};

use aws_api::host::{ControlPlaneSpec, HostError};
use registry::{Encryption, EncryptionConfiguration};

use super::cluster_tokens::ClusterKey;
use super::control_plane::Cluster;
use super::{LocalHost, failed, locked};

/// Name of the provider behind which KMS is; a part of what is stored.
const KEY_SERVICE: &str = "aws";

/// What a cluster encrypts in its store.
pub(crate) struct ClusterEncryption {
    /// Without a KMS key.
    own: EncryptionConfiguration,
    pub(super) in_force: Arc<Encryption>,
    /// ARN of the KMS key that is in force.
    key: Mutex<Option<String>>,
}

impl ClusterEncryption {
    pub(super) fn of(host: &LocalHost, spec: &ControlPlaneSpec, own: EncryptionConfiguration) -> Self {
        Self {
            in_force: Arc::new(Encryption::of(&under_key(host, spec, &own))),
            own,
            key: Mutex::new(spec.encryption_key.clone()),
        }
    }
}

fn under_key(host: &LocalHost, spec: &ControlPlaneSpec, own: &EncryptionConfiguration) -> EncryptionConfiguration {
    match &spec.encryption_key {
        Some(arn) => own.with_key_service(KEY_SERVICE, Arc::new(ClusterKey::of(host, &spec.cluster, arn))),
        None => own.clone(),
    }
}

impl LocalHost {
    /// Makes a running control plane as its region wants it now. Secrets that are not under the key yet are written again.
    pub(super) async fn reconfigure(&self, cluster: &Cluster, spec: &ControlPlaneSpec) -> Result<(), HostError> {
        cluster.api.identity_providers().set(spec.identity_providers.clone());
        let encryption = &cluster.encryption;
        let before = std::mem::replace(&mut *locked(&encryption.key), spec.encryption_key.clone());
        if before != spec.encryption_key {
            encryption.in_force.set(&under_key(self, spec, &encryption.own));
        }
        let written = cluster.api.registry().rewrite_stale("", "secrets").await;
        written
            .map(drop)
            .map_err(failed("encrypt the secrets", spec.cluster.name.as_str()))
    }
}
