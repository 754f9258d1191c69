//! Who asks, for what, and what an authorizer may answer.

use std::collections::BTreeMap;

use kube_types::selector::FieldRequirement;
use serde::{Deserialize, Serialize};

/// The group of everybody who proved an identity.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of requests without credentials.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user name of requests without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Members of this group may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";
/// The group of node identities.
pub const NODES: &str = "system:nodes";
/// The prefix of a node's user name.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// The prefix of a service account's user name; `<namespace>:<name>` follows.
pub const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// The group of all service accounts; `:<namespace>` follows for those of one namespace.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// An authenticated identity, as `user.Info` of upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What names the identity in bindings and in messages.
    pub name: String,
    /// A value that changes when the same name is given to somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Every group, `system:authenticated` included.
    #[serde(default)]
    pub groups: Vec<String>,
    /// What the authenticator knows besides, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// An authenticated user; `system:authenticated` is added to the groups.
    pub fn authenticated(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self {
            name: name.into(),
            groups,
            ..Self::default()
        }
    }

    /// Who sent no credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// A service account's identity.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::authenticated(
            format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
            [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")],
        )
    }

    /// A node's identity.
    #[must_use]
    pub fn node(name: &str) -> Self {
        Self::authenticated(format!("{NODE_USER_PREFIX}{name}"), [NODES])
    }

    /// An identity of the control plane itself, to which no rule says no.
    #[must_use]
    pub fn master(name: &str) -> Self {
        Self::authenticated(name, [MASTERS])
    }

    /// Is this identity a member of `group`?
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|held| held == group)
    }

    /// The node whose identity this is: `system:node:<name>` in the group `system:nodes`.
    #[must_use]
    pub fn node_name(&self) -> Option<&str> {
        let name = self
            .name
            .strip_prefix(NODE_USER_PREFIX)
            .filter(|name| !name.is_empty())?;
        self.in_group(NODES).then_some(name)
    }

    /// Namespace and name of the service account whose identity this is.
    #[must_use]
    pub fn service_account_name(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
        (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a User,
    /// The API verb (`get`, `deletecollection`, …) or, for a path, the HTTP method in lower case.
    pub verb: &'a str,
    /// The API resource; `None` for a path that is none.
    pub resource: Option<ResourceAttributes<'a>>,
    /// The path of the URL.
    pub path: &'a str,
}

/// The API resource that is asked for. Empty strings stand for what is absent, as upstream has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceAttributes<'a> {
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The API version.
    pub version: &'a str,
    /// The plural name.
    pub resource: &'a str,
    /// The subresource, if one is asked for.
    pub subresource: &'a str,
    /// The namespace; empty for a cluster-scoped resource or for all namespaces.
    pub namespace: &'a str,
    /// The object's name; empty for collections.
    pub name: &'a str,
    /// The conditions of the field selector of a list, watch or deletion of many.
    pub fields: &'a [FieldRequirement],
}

/// What an authorizer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, and no other authorizer is asked.
    Allow {
        /// Which rule allows it.
        reason: String,
    },
    /// This authorizer knows no rule; the next one is asked, and when none is left the request is refused.
    NoOpinion {
        /// What got in the way of finding a rule, often empty.
        reason: String,
    },
    /// Refused, and no other authorizer is asked.
    Deny {
        /// Why.
        reason: String,
    },
}

impl Decision {
    /// Is the answer yes?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    /// The reason, whatever the answer.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::NoOpinion { reason } | Self::Deny { reason } => reason,
        }
    }
}

impl Attributes<'_> {
    /// Upstream's sentence for a refusal, which follows `… is forbidden: `.
    ///
    /// Source of the wording: `apiserver/pkg/endpoints/handlers/responsewriters/errors.go`.
    #[must_use]
    pub fn refusal(&self) -> String {
        let user = &self.user.name;
        let verb = self.verb;
        let Some(resource) = &self.resource else {
            return format!("User {user:?} cannot {verb} path {:?}", self.path);
        };
        let name = resource.resource;
        let full = if resource.subresource.is_empty() {
            name.to_owned()
        } else {
            format!("{name}/{}", resource.subresource)
        };
        let group = resource.group;
        if resource.namespace.is_empty() {
            format!("User {user:?} cannot {verb} resource {full:?} in API group {group:?} at the cluster scope")
        } else {
            format!(
                "User {user:?} cannot {verb} resource {full:?} in API group {group:?} in the namespace {:?}",
                resource.namespace
            )
        }
    }
}
