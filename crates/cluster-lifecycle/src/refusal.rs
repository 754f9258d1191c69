//! Why EKS refuses a request, in the classes that its API distinguishes.

use thiserror::Error;

/// A request that EKS answers with one of its own errors. The message is what the caller reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refusal {
    /// The class, which decides error code and HTTP status.
    pub kind: RefusalKind,
    /// EKS's sentence.
    pub message: String,
    /// What the error names: members of EKS's errors such as `clusterName`, with their values.
    pub named: Vec<(&'static str, String)>,
}

/// EKS's error codes (without `Exception`), as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// 400: a value is not acceptable.
    InvalidParameter,
    /// 400: the resource's state does not allow it.
    InvalidRequest,
    /// 409: the name is taken, or something uses the resource.
    ResourceInUse,
    /// 400: a quota.
    ResourceLimitExceeded,
    /// 404.
    ResourceNotFound,
    /// 404, of the tag operations.
    NotFound,
    /// 400, of the tag operations.
    BadRequest,
    /// 400: fewer zones than EKS needs.
    UnsupportedAvailabilityZone,
}

impl Refusal {
    /// A refusal of that class with EKS's sentence.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            named: Vec::new(),
        }
    }

    /// A value that is not acceptable.
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::InvalidParameter, message)
    }

    /// A request that the resource's state does not allow.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::InvalidRequest, message)
    }

    /// A name that is taken, or a resource that something uses.
    pub fn in_use(message: impl Into<String>) -> Self {
        Self::new(RefusalKind::ResourceInUse, message)
    }

    /// No cluster of that name.
    pub fn no_cluster(name: &str) -> Self {
        Self::new(
            RefusalKind::ResourceNotFound,
            format!("No cluster found for name: {name}."),
        )
        .of_cluster(name)
    }

    /// No node group of that name.
    pub fn no_nodegroup(cluster: &str, name: &str) -> Self {
        Self::new(
            RefusalKind::ResourceNotFound,
            format!("No node group found for name: {name}."),
        )
        .of_cluster(cluster)
        .of_nodegroup(name)
    }

    /// Names the cluster.
    pub fn of_cluster(mut self, name: &str) -> Self {
        self.named.push(("clusterName", name.to_owned()));
        self
    }

    /// Names the node group.
    pub fn of_nodegroup(mut self, name: &str) -> Self {
        self.named.push(("nodegroupName", name.to_owned()));
        self
    }

    /// Names the Fargate profile.
    pub fn of_fargate_profile(mut self, name: &str) -> Self {
        self.named.push(("fargateProfileName", name.to_owned()));
        self
    }

    /// Names the add-on.
    pub fn of_addon(mut self, name: &str) -> Self {
        self.named.push(("addonName", name.to_owned()));
        self
    }
}
