//! Further ways into a cluster's API, and where what is asked there is written down.

use std::path::Path;
use std::sync::Arc;

use aws_api::host::HostError;
use kube_api::{AccessOptions, AuditLog, ClusterPki, LogOptions, RequestHeader, read_policy};

use super::{LocalHost, failed};

/// The file whose presence switches the audit log on.
const AUDIT_POLICY: &str = "audit-policy.yaml";

impl LocalHost {
    pub(super) fn access(&self, pki: &ClusterPki, directory: &Path, name: &str) -> Result<AccessOptions, HostError> {
        Ok(AccessOptions {
            request_header: Some(RequestHeader::of_cluster(pki)),
            audit: self.audit_log(directory, name)?,
        })
    }

    /// The audit log, when there is a policy for it in the cluster's directory, or in the region's for every cluster.
    fn audit_log(&self, directory: &Path, name: &str) -> Result<Option<Arc<AuditLog>>, HostError> {
        let places = [directory, self.home.path()].map(|place| place.join(AUDIT_POLICY));
        let Some(policy) = places.into_iter().find(|place| place.is_file()) else {
            return Ok(None);
        };
        let policy = read_policy(&policy).map_err(failed("read the audit policy", name))?;
        let log = AuditLog::open(policy, LogOptions::at(directory.join("audit.log")), self.clock.clone());
        log.map(|log| Some(Arc::new(log)))
            .map_err(failed("open the audit log", name))
    }
}
