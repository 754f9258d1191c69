//! Fargate profiles: which pods get a machine of their own, and the rules for a profile.

use std::collections::BTreeMap;

use aws_types::{ClusterName, SubnetId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// A profile as the region remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FargateProfile {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The role that pulls images.
    pub pod_execution_role_arn: String,
    /// Where its pods run.
    pub subnets: Vec<SubnetId>,
    /// Which pods.
    pub selectors: Vec<Selector>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The caller's idempotency token.
    pub client_request_token: Option<String>,
}

/// Pods of a namespace with these labels; `*` and `?` are wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// The namespace.
    pub namespace: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// EKS's quotas.
pub const MOST_SELECTORS: usize = 5;
/// The most profiles of a cluster.
pub const MOST_PROFILES: usize = 10;

/// Refuses a list of selectors that EKS would not take.
///
/// # Errors
/// EKS's sentences.
pub fn check_selectors(selectors: &[Selector]) -> Result<(), Refusal> {
    if selectors.is_empty() {
        return Err(Refusal::invalid_parameter(
            "Fargate Profile requires at least one selector.",
        ));
    }
    if selectors.len() > MOST_SELECTORS {
        return Err(Refusal::invalid_parameter(format!(
            "Fargate Profile can have up to {MOST_SELECTORS} selectors."
        )));
    }
    if selectors.iter().any(|selector| selector.namespace.is_empty()) {
        return Err(Refusal::invalid_parameter(
            "Fargate Profile must have at least one selector with at least one namespace value.",
        ));
    }
    if selectors.iter().any(|selector| selector.labels.len() > 5) {
        let message = "Request contains Selector with more than 5 Label pairs";
        return Err(Refusal::invalid_parameter(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_few_and_name_namespaces() {
        let selector = |namespace: &str, labels: usize| Selector {
            namespace: namespace.to_owned(),
            labels: (0..labels).map(|index| (index.to_string(), String::new())).collect(),
        };
        for (selectors, allowed) in [
            (vec![], false),
            (vec![selector("a", 0)], true),
            (vec![selector("", 0)], false),
            (vec![selector("a", 6)], false),
            (vec![selector("a", 5); 5], true),
            (vec![selector("a", 0); 6], false),
        ] {
            assert_eq!(check_selectors(&selectors).is_ok(), allowed, "{selectors:?}");
        }
    }
}
