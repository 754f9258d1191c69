//! The record of an asynchronous change, which `DescribeUpdate` and `ListUpdates` show.

use aws_types::{ClusterName, NodegroupName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One update of a cluster, node group or add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Its UUID.
    pub id: String,
    /// The cluster.
    pub cluster: ClusterName,
    /// The node group, if it changes one.
    pub nodegroup: Option<NodegroupName>,
    /// The add-on, if it changes one.
    #[serde(default)]
    pub addon: Option<String>,
    /// EKS's name of the kind of update, for example `ConfigUpdate`.
    pub kind: String,
    /// What changes: EKS's parameter types and their values.
    pub params: Vec<(String, String)>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Where it is.
    pub status: UpdateStatus,
    /// Why it failed: code and message.
    pub errors: Vec<(String, String)>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}

/// Where an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateStatus {
    /// Being done.
    InProgress,
    /// Could not be done.
    Failed,
    /// Stopped by its owner's deletion.
    Cancelled,
    /// Done.
    Successful,
}

impl Update {
    /// A record of a change of the cluster itself that begins.
    #[must_use]
    pub fn new(id: String, cluster: ClusterName, kind: &str, params: Vec<(String, String)>, now: Timestamp) -> Self {
        Self {
            id,
            cluster,
            nodegroup: None,
            addon: None,
            kind: kind.to_owned(),
            params,
            created_at: now,
            status: UpdateStatus::InProgress,
            errors: Vec::new(),
            client_request_token: None,
        }
    }

    /// The update with an outcome; one that is decided stays as it is.
    pub fn step(mut self, outcome: Result<(), (String, String)>) -> Self {
        if self.status != UpdateStatus::InProgress {
            return self;
        }
        match outcome {
            Ok(()) => self.status = UpdateStatus::Successful,
            Err(error) => {
                self.status = UpdateStatus::Failed;
                self.errors.push(error);
            }
        }
        self
    }
}
