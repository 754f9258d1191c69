//! Fargate profiles: which pods get a machine of their own, and the rules for a profile.

mod pod;
mod size;

use std::collections::BTreeMap;

use aws_types::{ClusterName, SubnetId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::nodegroup::Instance;

pub use pod::unsupported;
pub use size::Size;

/// The label that says which profile a pod runs under.
pub const PROFILE_LABEL: &str = "eks.amazonaws.com/fargate-profile";
/// Label and taint of Fargate's nodes: key and value.
pub const COMPUTE_TYPE: (&str, &str) = ("eks.amazonaws.com/compute-type", "fargate");
/// The scheduler of Fargate's pods.
pub const SCHEDULER: &str = "fargate-scheduler";

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
    /// Whether it goes as soon as its pods have.
    #[serde(default)]
    pub deleting: bool,
}

/// The node of one pod: an instance of its own, from the pod's acceptance to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FargateNode {
    /// The cluster.
    pub cluster: ClusterName,
    /// The profile that took the pod.
    pub profile: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// How big the node is.
    pub size: Size,
    /// The machine.
    pub instance: Instance,
}

impl FargateProfile {
    /// Whether a pod is one of the profile's.
    #[must_use]
    pub fn selects(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.selectors.iter().any(|selector| {
            let mut wanted = selector.labels.iter().flatten();
            wildcard_matches(&selector.namespace, namespace)
                && wanted.all(|(key, value)| {
                    let mut given = labels.iter();
                    given.any(|(name, text)| wildcard_matches(key, name) && wildcard_matches(value, text))
                })
        })
    }
}

/// The profile that takes a pod: the one that the pod names if it selects it, or the first by name of those that do.
#[must_use]
pub fn profile_for<'a>(
    profiles: impl IntoIterator<Item = &'a FargateProfile>,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> Option<&'a FargateProfile> {
    let fitting = profiles
        .into_iter()
        .filter(|profile| !profile.deleting && profile.selects(namespace, labels));
    let mut fitting: Vec<&FargateProfile> = fitting.collect();
    fitting.sort_by(|left, right| left.name.cmp(&right.name));
    let named = labels.get(PROFILE_LABEL);
    let named = named.and_then(|name| fitting.iter().find(|profile| profile.name == *name).copied());
    named.or_else(|| fitting.first().copied())
}

/// Pods of a namespace with these labels; `*` and `?` are wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// The namespace.
    pub namespace: String,
    /// The labels; an answer shows none when none were given.
    pub labels: Option<BTreeMap<String, String>>,
}

/// EKS's quotas.
pub const MOST_SELECTORS: usize = 5;

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
    if selectors
        .iter()
        .any(|selector| selector.labels.as_ref().is_some_and(|labels| labels.len() > 5))
    {
        let message = "Request contains Selector with more than 5 Label pairs";
        return Err(Refusal::invalid_parameter(message));
    }
    Ok(())
}

/// Whether a text fits a pattern, in which `*` stands for any letters and `?` for one.
#[must_use]
pub fn wildcard_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last star was, and how many letters it stands for so far.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    (at, seen) = (before + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("prod*", "prod", true),
            ("prod*", "production", true),
            ("*-web", "a-web-web", true),
            ("a*b?d", "axxbcd", true),
            ("a*b?d", "axxbd", false),
            ("web", "webs", false),
            ("we?", "web", true),
        ] {
            assert_eq!(wildcard_matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    fn profile(name: &str, namespace: &str, labels: &[(&str, &str)]) -> FargateProfile {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        FargateProfile {
            cluster: ClusterName::new("c").unwrap(),
            name: name.to_owned(),
            arn: String::new(),
            pod_execution_role_arn: String::new(),
            subnets: Vec::new(),
            selectors: vec![Selector {
                namespace: namespace.to_owned(),
                labels: Some(labels.collect()),
            }],
            created_at: Timestamp::UNIX_EPOCH,
            tags: BTreeMap::new(),
            client_request_token: None,
            deleting: false,
        }
    }

    #[test]
    fn a_pod_goes_to_the_first_profile_by_name_or_the_one_that_it_names() {
        let gone = FargateProfile {
            deleting: true,
            ..profile("a", "*", &[])
        };
        let profiles = [
            gone,
            profile("web", "prod-*", &[("app", "w?b")]),
            profile("all", "prod-*", &[]),
            profile("other", "other", &[]),
        ];
        let chosen = |namespace: &str, labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            profile_for(&profiles, namespace, &labels.collect()).map(|profile| profile.name.clone())
        };
        assert_eq!(chosen("prod-1", &[("app", "web")]).as_deref(), Some("all"));
        let named = [("app", "web"), (PROFILE_LABEL, "web")];
        assert_eq!(chosen("prod-1", &named).as_deref(), Some("web"));
        assert_eq!(chosen("prod-1", &[(PROFILE_LABEL, "web")]).as_deref(), Some("all"));
        assert_eq!(chosen("default", &[]), None);
    }

    #[test]
    fn selectors_are_few_and_name_namespaces() {
        let selector = |namespace: &str, labels: usize| Selector {
            namespace: namespace.to_owned(),
            labels: Some((0..labels).map(|index| (index.to_string(), String::new())).collect()),
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
