//! Which requests a webhook or policy is about: rules, scopes and selectors.
//!
//! Source: `apiserver/pkg/admission/plugin/webhook/predicates/{rules,namespace,object}`.

use std::collections::BTreeMap;

use kube_types::dynamic::{Object, Value};
use kube_types::meta;
use kube_types::selector::LabelSelector;
use serde::Deserialize;

use crate::kinds::ResourceKind;

/// What of a request rules look at, in one version of the resource.
pub(crate) struct Subject<'a> {
    pub operation: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// The rules and selectors of one webhook, policy or binding.
pub(crate) struct Matcher {
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    /// Whether other versions of the same objects match too.
    equivalent: bool,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

/// One rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
    scope: Option<String>,
}

impl Matcher {
    /// Reads a webhook, or the match resources of a policy or binding. `rules` names the field with the rules.
    pub fn read(of: &Value, rules: &str) -> Result<Self, String> {
        let list = |field: &str| match &of[field] {
            Value::Null => Ok(Vec::new()),
            rules => Vec::<Rule>::deserialize(rules).map_err(|error| format!("{field}: {error}")),
        };
        let selector = |field: &str| match &of[field] {
            Value::Null => Ok(LabelSelector::everything()),
            given => {
                let typed = meta::LabelSelector::deserialize(given).map_err(|error| format!("{field}: {error}"))?;
                LabelSelector::from_typed(&typed).map_err(|error| format!("{field}: {error}"))
            }
        };
        Ok(Self {
            include: list(rules)?,
            exclude: list("excludeResourceRules")?,
            equivalent: of["matchPolicy"] != "Exact",
            namespaces: selector("namespaceSelector")?,
            objects: selector("objectSelector")?,
        })
    }

    /// The one of the versions of a resource that a rule names: the requested one, which is first, if it can be.
    pub fn version<'k>(&self, versions: &[&'k ResourceKind], subject: &Subject<'_>) -> Option<&'k ResourceKind> {
        let in_version = |kind: &ResourceKind, rules: &[Rule]| {
            let subject = Subject {
                group: &kind.group,
                version: &kind.version,
                resource: &kind.plural,
                ..*subject
            };
            rules.iter().any(|rule| rule.matches(&subject))
        };
        let count = if self.equivalent { versions.len() } else { 1 };
        let versions = &versions[..count.min(versions.len())];
        if versions.iter().any(|kind| in_version(kind, &self.exclude)) {
            return None;
        }
        versions.iter().copied().find(|kind| in_version(kind, &self.include))
    }

    /// Whether there are no rules, so that what else is said decides.
    pub fn has_no_rules(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether the namespace's labels fit; without a namespace they do.
    pub fn fits_namespace(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        self.namespaces.is_everything() || labels.is_none_or(|labels| self.namespaces.matches(labels))
    }

    /// Whether any of the selectors looks at namespaces.
    pub fn asks_for_namespace(&self) -> bool {
        !self.namespaces.is_everything()
    }

    /// Whether the labels of the new or the old object fit.
    pub fn fits_objects(&self, objects: [Option<&Object>; 2]) -> bool {
        self.objects.is_everything()
            || objects
                .into_iter()
                .flatten()
                .any(|object| self.objects.matches(&object.labels()))
    }
}

impl Rule {
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        has(&self.operations, subject.operation)
            && has(&self.api_groups, subject.group)
            && has(&self.api_versions, subject.version)
            && self.resources.iter().any(|resource| fits(resource, subject))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == subject.name))
            && self.in_scope(subject)
    }

    /// Namespaces themselves are of the cluster.
    fn in_scope(&self, subject: &Subject<'_>) -> bool {
        let of_cluster = subject.namespace.is_empty() || subject.group.is_empty() && subject.resource == "namespaces";
        match self.scope.as_deref() {
            Some("Namespaced") => !of_cluster,
            Some("Cluster") => of_cluster,
            _ => true,
        }
    }
}

/// `pods`, `pods/log`, `*`, `*/*`, `pods/*`, `*/scale`
fn fits(rule: &str, subject: &Subject<'_>) -> bool {
    let (resource, subresource) = rule.split_once('/').unwrap_or((rule, ""));
    (resource == "*" || resource == subject.resource) && (subresource == "*" || subresource == subject.subresource)
}
