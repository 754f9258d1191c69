//! Pod identity associations: which role the pods of a service account have.

use std::collections::BTreeMap;

use aws_types::ClusterName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An association as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIdentityAssociation {
    /// The cluster.
    pub cluster: ClusterName,
    /// `a-` and 17 letters and digits.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
    /// The role that its pods have.
    pub role_arn: String,
    /// A role of another account that is assumed with the first.
    pub target_role_arn: Option<String>,
    /// The external id for that.
    pub external_id: Option<String>,
    /// A policy that narrows sessions down.
    pub policy: Option<String>,
    /// Whether sessions have no tags.
    pub disable_session_tags: bool,
    /// The add-on that owns it.
    pub owner_arn: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}
