//! The OIDC identity provider of a cluster: CREATING, ACTIVE, DELETING, gone.

use std::collections::BTreeMap;

use aws_types::ClusterName;
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::refusal::RefusalKind;

/// What may not begin the names and groups that a provider gives: Kubernetes' own do.
const RESERVED: &str = "system:";

/// An identity provider as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityProvider {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// URL of the issuer.
    pub issuer_url: String,
    /// The audience that tokens must name.
    pub client_id: String,
    /// The claim that names the user.
    pub username_claim: Option<String>,
    /// What stands before the name.
    pub username_prefix: Option<String>,
    /// The claim that lists the user's groups.
    pub groups_claim: Option<String>,
    /// What stands before each group.
    pub groups_prefix: Option<String>,
    /// Claims that a token must have.
    pub required_claims: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where it is in its life.
    pub status: ProviderStatus,
    /// The record of the change that is being done.
    pub update: Option<String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}

/// EKS's `configStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names are EKS's own")]
pub enum ProviderStatus {
    Creating,
    Active,
    Deleting,
}

impl ProviderStatus {
    /// EKS's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

/// What happens to an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `DisassociateIdentityProviderConfig`.
    Disassociate {
        /// The id of the update's record.
        update: String,
    },
    /// The control plane has taken in the change of this record.
    Applied {
        /// The id of the update's record.
        update: String,
    },
}

impl IdentityProvider {
    /// Refuses what EKS does not accept of a new one.
    ///
    /// # Errors
    /// EKS's sentence.
    pub fn check(&self) -> Result<(), Refusal> {
        let host = self.issuer_url.strip_prefix("https://").unwrap_or_default();
        if host.is_empty() || host.starts_with('/') || self.issuer_url.contains(['?', '#']) {
            return Err(Refusal::invalid_parameter(
                "issuerUrl is not valid: it must begin with https:// and have no query or fragment",
            ));
        }
        let prefixes = [&self.username_prefix, &self.groups_prefix];
        if prefixes
            .into_iter()
            .flatten()
            .any(|prefix| prefix.starts_with(RESERVED))
        {
            return Err(Refusal::invalid_parameter(format!(
                "usernamePrefix and groupsPrefix must not begin with {RESERVED}"
            )));
        }
        Ok(())
    }

    /// Whether tokens of the provider are to be accepted.
    pub fn is_wanted(&self) -> bool {
        self.status != ProviderStatus::Deleting
    }

    /// The provider after an event; `None` when it is gone.
    ///
    /// # Errors
    /// The refusal that EKS gives when the state does not allow what was asked.
    pub fn step(mut self, input: Input) -> Result<Option<Self>, Refusal> {
        match (self.status, input) {
            (ProviderStatus::Active, Input::Disassociate { update }) => {
                self.status = ProviderStatus::Deleting;
                self.update = Some(update);
            }
            (status, Input::Disassociate { .. }) => {
                let message = format!(
                    "Cannot disassociate identity provider config {} as it is currently in {} state",
                    self.name,
                    status.name()
                );
                return Err(Refusal::in_use(message).of_cluster(self.cluster.as_str()));
            }
            (_, Input::Applied { update }) if self.update.as_ref() != Some(&update) => {}
            (ProviderStatus::Deleting, Input::Applied { .. }) => return Ok(None),
            (_, Input::Applied { .. }) => {
                self.status = ProviderStatus::Active;
                self.update = None;
            }
        }
        Ok(Some(self))
    }
}

/// EKS's answer for one that is not there.
#[must_use]
pub fn not_associated(cluster: &ClusterName, name: &str) -> Refusal {
    let message = format!("Identity provider config is not associated with cluster: {name}");
    Refusal::new(RefusalKind::ResourceNotFound, message).of_cluster(cluster.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> IdentityProvider {
        IdentityProvider {
            cluster: ClusterName::new("demo").unwrap(),
            name: "people".to_owned(),
            arn: String::new(),
            issuer_url: "https://issuer.example.com/a".to_owned(),
            client_id: "kubernetes".to_owned(),
            username_claim: None,
            username_prefix: None,
            groups_claim: None,
            groups_prefix: None,
            required_claims: BTreeMap::new(),
            tags: BTreeMap::new(),
            status: ProviderStatus::Creating,
            update: Some("one".to_owned()),
            client_request_token: None,
        }
    }

    fn applied(update: &str) -> Input {
        Input::Applied {
            update: update.to_owned(),
        }
    }

    #[test]
    fn a_provider_is_active_and_goes_when_the_control_plane_has_taken_it_in() {
        let disassociate = || Input::Disassociate {
            update: "two".to_owned(),
        };
        let refusal = provider().step(disassociate()).unwrap_err();
        assert!(refusal.message.contains("currently in CREATING state"));
        let other = provider().step(applied("other")).unwrap().unwrap();
        assert_eq!(other.status, ProviderStatus::Creating);
        let active = provider().step(applied("one")).unwrap().unwrap();
        assert_eq!(
            (active.status, active.update.as_deref()),
            (ProviderStatus::Active, None)
        );
        let deleting = active.step(disassociate()).unwrap().unwrap();
        assert!(!deleting.is_wanted());
        assert!(deleting.clone().step(applied("one")).unwrap().is_some());
        assert!(deleting.step(applied("two")).unwrap().is_none());
    }

    #[test]
    fn issuers_and_prefixes_are_checked() {
        assert!(provider().check().is_ok());
        for url in ["http://a", "https://", "https://a?b=c", "https:///a", "a"] {
            let wrong = IdentityProvider {
                issuer_url: url.to_owned(),
                ..provider()
            };
            assert!(wrong.check().is_err(), "{url}");
        }
        let wrong = IdentityProvider {
            groups_prefix: Some("system:".to_owned()),
            ..provider()
        };
        assert!(wrong.check().is_err());
    }
}
