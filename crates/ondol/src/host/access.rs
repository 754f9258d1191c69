//! Further ways into a cluster's API, where what is asked there is written down, and what is encrypted in its store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aws_api::host::HostError;
use kube_api::{AccessOptions, AuditLog, ClusterPki, LogOptions, RequestHeader, parse_policy, read_policy};
use registry::EncryptionConfiguration;
use registry::encryption::Key;

use super::logs::{self, ClusterLogs};
use super::{LocalHost, failed};

/// The file whose presence writes the audit log on this machine, too, and by its own policy.
const AUDIT_POLICY: &str = "audit-policy.yaml";
/// The file that says what is encrypted, and how.
const ENCRYPTION: &str = "encryption-configuration.yaml";
/// Name of the cluster's own key, which is a part of what is stored.
const OWN_KEY: &str = "cluster";

impl LocalHost {
    pub(super) fn access(
        &self,
        pki: &ClusterPki,
        directory: &Path,
        logs: &Arc<ClusterLogs>,
    ) -> Result<AccessOptions, HostError> {
        Ok(AccessOptions {
            request_header: Some(RequestHeader::of_cluster(pki)),
            audit: Some(Arc::new(self.audit_log(directory, logs)?)),
            reader: Some(logs.clone()),
        })
    }

    /// What is encrypted in the store: what the file in the cluster's directory, or in the region's for every cluster, says;
    /// without one, Secrets are, with the cluster's own key.
    pub(super) fn encryption(
        &self,
        pki: &ClusterPki,
        directory: &Path,
        name: &str,
    ) -> Result<EncryptionConfiguration, HostError> {
        let places = [directory, self.home.path()].map(|place| place.join(ENCRYPTION));
        let Some(file) = places.into_iter().find(|place| place.is_file()) else {
            return Ok(EncryptionConfiguration::of_secrets(Key {
                name: OWN_KEY.to_owned(),
                secret: pki.encryption_key().to_vec(),
            }));
        };
        let text = fs::read_to_string(&file).map_err(failed("read the encryption configuration", name))?;
        EncryptionConfiguration::read(&text).map_err(failed("read the encryption configuration", name))
    }

    /// The audit log: by EKS's policy where the cluster has it switched on, or by the policy in the cluster's directory, or in the region's
    /// for every cluster, and then in a file besides.
    fn audit_log(&self, directory: &Path, logs: &Arc<ClusterLogs>) -> Result<AuditLog, HostError> {
        let name = logs.cluster.name.as_str();
        let places = [directory, self.home.path()].map(|place| place.join(AUDIT_POLICY));
        let Some(policy) = places.into_iter().find(|place| place.is_file()) else {
            let policy = parse_policy(logs::AUDIT_POLICY).map_err(failed("read EKS's audit policy", name))?;
            return Ok(AuditLog::for_reader(policy, logs.clone(), self.clock.clone()));
        };
        let policy = read_policy(&policy).map_err(failed("read the audit policy", name))?;
        let log = AuditLog::open(policy, LogOptions::at(directory.join("audit.log")), self.clock.clone());
        log.map(|log| log.read_by(logs.clone()))
            .map_err(failed("open the audit log", name))
    }
}
