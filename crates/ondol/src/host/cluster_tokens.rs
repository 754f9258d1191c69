//! What a cluster's API server asks the region: who bears an EKS token, what access policies allow, which pods are Fargate's,
//! which have an identity of AWS's, and what its KMS key makes of the keys of Secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use access_rules::{Attributes, User};
use aws_api::LogKind;
use aws_api::host::{ClusterRef, ControlPlaneSpec};
use futures::FutureExt;
use futures::future::BoxFuture;
use kube_api::{AuthenticationError, TokenAuthenticator};
use registry::{Authorizer, FargateProfiles, KeyService, KeyServiceError, PodIdentities, Registry, Wrapped};

use super::LocalHost;
use crate::vpc_services::PLAIN_URL;

/// What checks the bearer tokens of `aws eks get-token`: the region, which owns the keys.
pub trait EksTokens: Send + Sync {
    /// The user behind a token; `None` for a token of another form.
    fn authenticate<'a>(
        &'a self,
        cluster: &'a ClusterRef,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Option<User>, AuthenticationError>>;

    /// Whether pods of a service account get a role by EKS Pod Identity.
    fn is_associated(&self, cluster: &ClusterRef, namespace: &str, service_account: &str) -> bool;

    /// The Fargate profile that takes a pod of these labels, if one does.
    fn fargate_profile(
        &self,
        cluster: &ClusterRef,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<String>;

    /// Whether a cluster has control plane logs of a kind switched on.
    fn wants_log(&self, cluster: &ClusterRef, kind: LogKind) -> bool;

    /// Takes a line of a cluster's control plane.
    fn log(&self, cluster: &ClusterRef, kind: LogKind, line: String);

    /// Encrypts with a KMS key, for one cluster.
    ///
    /// # Errors
    /// KMS's refusal.
    fn encrypt(&self, cluster: &ClusterRef, key: &str, plain: &[u8]) -> Result<Vec<u8>, KeyServiceError>;

    /// Decrypts what was encrypted for the cluster.
    ///
    /// # Errors
    /// KMS's refusal.
    fn decrypt(&self, cluster: &ClusterRef, key: &str, cipher: &[u8]) -> Result<Vec<u8>, KeyServiceError>;

    /// Whether a KMS key may be used.
    ///
    /// # Errors
    /// KMS's refusal.
    fn check_key(&self, cluster: &ClusterRef, key: &str) -> Result<(), KeyServiceError>;

    /// The access policy by which an AWS identity may do what the cluster's own roles do not allow.
    fn allows(&self, cluster: &ClusterRef, attributes: &Attributes<'_>) -> Option<String>;
}

/// EKS tokens of one cluster.
pub(super) struct ClusterTokens {
    tokens: Arc<dyn EksTokens>,
    cluster: ClusterRef,
}

impl ClusterTokens {
    pub(super) fn of(host: &LocalHost, spec: &ControlPlaneSpec) -> Self {
        Self {
            tokens: host.tokens.clone(),
            cluster: spec.cluster.clone(),
        }
    }
}

impl TokenAuthenticator for ClusterTokens {
    fn authenticate(&self, token: &str) -> BoxFuture<'_, Result<Option<User>, AuthenticationError>> {
        let (tokens, cluster, token) = (self.tokens.clone(), self.cluster.clone(), token.to_owned());
        async move { tokens.authenticate(&cluster, &token).await }.boxed()
    }
}

/// A cluster's KMS key.
pub(super) struct ClusterKey {
    region: Arc<dyn EksTokens>,
    cluster: ClusterRef,
    arn: String,
}

impl ClusterKey {
    pub(super) fn of(host: &LocalHost, cluster: &ClusterRef, arn: &str) -> Self {
        Self {
            region: host.tokens.clone(),
            cluster: cluster.clone(),
            arn: arn.to_owned(),
        }
    }
}

impl KeyService for ClusterKey {
    fn key_id(&self) -> String {
        self.arn.clone()
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError> {
        let cipher = self.region.encrypt(&self.cluster, &self.arn, plain)?;
        Ok(Wrapped {
            cipher,
            key_id: self.arn.clone(),
            annotations: BTreeMap::new(),
        })
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError> {
        self.region.decrypt(&self.cluster, &wrapped.key_id, &wrapped.cipher)
    }

    fn ready(&self) -> Result<(), KeyServiceError> {
        self.region.check_key(&self.cluster, &self.arn)
    }
}

impl Authorizer for ClusterTokens {
    fn allows(&self, attributes: &Attributes<'_>) -> Option<String> {
        self.tokens.allows(&self.cluster, attributes)
    }
}

impl PodIdentities for ClusterTokens {
    fn region(&self) -> &str {
        self.cluster.region.as_str()
    }

    fn endpoint(&self) -> Option<&str> {
        Some(PLAIN_URL)
    }

    fn is_associated(&self, namespace: &str, service_account: &str) -> bool {
        self.tokens.is_associated(&self.cluster, namespace, service_account)
    }
}

/// Tells a cluster's registry what the region knows.
pub(super) fn introduce(registry: &Registry, region: &Arc<ClusterTokens>) {
    registry.set_authorizer(region.clone());
    registry.set_fargate_profiles(region.clone());
    registry.set_pod_identities(region.clone());
}

impl FargateProfiles for ClusterTokens {
    fn profile_for(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Option<String> {
        self.tokens.fargate_profile(&self.cluster, namespace, labels)
    }
}
