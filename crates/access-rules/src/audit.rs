//! Which requests are written into the audit log, and how much of each: a policy of `audit.k8s.io/v1`.
//!
//! Source: `apiserver/pkg/audit/policy` and `apiserver/pkg/apis/audit/validation`.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::identity::Attributes;

/// How much is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who did what, and how it ended.
    Metadata,
    /// The object that was sent, too.
    Request,
    /// The object that was answered, too.
    RequestResponse,
}

/// When it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The request has come and was not looked at yet.
    RequestReceived,
    /// The head of the answer went out, and its body takes long.
    ResponseStarted,
    /// The answer is over.
    ResponseComplete,
    /// The server failed.
    Panic,
}

/// A policy: the first rule that fits a request counts, and without one nothing is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// `audit.k8s.io/v1`.
    pub api_version: String,
    /// `Policy`.
    pub kind: String,
    /// What the file calls itself; means nothing.
    #[serde(default)]
    pub metadata: Metadata,
    /// In order.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Stages that are never written.
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    /// Objects are written without the owners of their fields.
    #[serde(default)]
    pub omit_managed_fields: bool,
}

/// What a policy calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// One rule. What it does not say fits every request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// How much is written.
    pub level: Level,
    /// Users by name, as they have proved to be.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups; one of them is enough.
    #[serde(default)]
    pub user_groups: Vec<String>,
    /// Verbs of the API, or methods in lower case.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// Kinds of objects.
    #[serde(default)]
    pub resources: Vec<GroupResources>,
    /// Namespaces; empty text = objects without one.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Paths that are no resources; `*` stands at the end.
    #[serde(default, rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
    /// Stages that are not written, besides those of the policy.
    #[serde(default)]
    pub omit_stages: Vec<Stage>,
    /// What counts instead of the policy's word.
    #[serde(default)]
    pub omit_managed_fields: Option<bool>,
}

/// Resources of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupResources {
    /// The group; empty for core.
    #[serde(default)]
    pub group: String,
    /// `pods`, `pods/log`, `pods/*`, `*/scale`, `*`; none = all.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Objects by name; none = all.
    #[serde(default)]
    pub resource_names: Vec<String>,
}

/// What is written of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How much.
    pub level: Level,
    /// When not.
    pub omit_stages: Vec<Stage>,
    /// Objects are written without the owners of their fields.
    pub omit_managed_fields: bool,
}

impl Verdict {
    /// Is anything written at this stage?
    #[must_use]
    pub fn writes(&self, stage: Stage) -> bool {
        self.level > Level::None && !self.omit_stages.contains(&stage)
    }
}

impl Policy {
    /// What is wrong with the policy, in upstream's words; empty when it can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.api_version != "audit.k8s.io/v1" || self.kind != "Policy" {
            found.push(format!(
                "unknown group version field {}/{} in policy",
                self.api_version, self.kind
            ));
        }
        if self.rules.is_empty() {
            found.push("loaded illegal policy with 0 rules".to_owned());
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.problems(&format!("rules[{index}]"), &mut found);
        }
        found
    }

    /// What is written of a request of this user, who has not become somebody else yet.
    #[must_use]
    pub fn verdict(&self, attributes: &Attributes<'_>) -> Verdict {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(attributes)) else {
            return Verdict {
                level: Level::None,
                omit_stages: self.omit_stages.clone(),
                omit_managed_fields: self.omit_managed_fields,
            };
        };
        Verdict {
            level: rule.level,
            omit_stages: [self.omit_stages.as_slice(), &rule.omit_stages].concat(),
            omit_managed_fields: rule.omit_managed_fields.unwrap_or(self.omit_managed_fields),
        }
    }
}

/// An empty list fits everything.
fn allows(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one == value)
}

impl Rule {
    fn problems(&self, path: &str, found: &mut Vec<String>) {
        if !self.non_resource_urls.is_empty() {
            if !self.resources.is_empty() || !self.namespaces.is_empty() {
                found.push(format!(
                    "{path}.nonResourceURLs: Invalid value: rules cannot apply to both regular resources and \
                     non-resource URLs"
                ));
            }
            for (index, url) in self.non_resource_urls.iter().enumerate() {
                let path = format!("{path}.nonResourceURLs[{index}]");
                if url != "*" && !url.starts_with('/') {
                    found.push(format!(
                        "{path}: Invalid value: {url:?}: non-resource URL rules must begin with a '/' character"
                    ));
                }
                if url.chars().rev().skip(1).any(|character| character == '*') {
                    found.push(format!(
                        "{path}: Invalid value: {url:?}: non-resource URL wildcards '*' must be the final character of \
                         the rule"
                    ));
                }
            }
        }
        for (index, resource) in self.resources.iter().enumerate() {
            if !resource.resource_names.is_empty() && resource.resources.is_empty() {
                found.push(format!(
                    "{path}.resources[{index}].resourceNames: Invalid value: using resourceNames requires at least one \
                     resource"
                ));
            }
            if resource.group.contains('/') {
                found.push(format!(
                    "{path}.resources[{index}].group: Invalid value: {:?}: group must not contain a version",
                    resource.group
                ));
            }
        }
    }

    fn fits(&self, attributes: &Attributes<'_>) -> bool {
        let user = attributes.user;
        let grouped = self.user_groups.is_empty() || self.user_groups.iter().any(|group| user.in_group(group));
        if !allows(&self.users, &user.name) || !grouped || !allows(&self.verbs, attributes.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return self.fits_resource(attributes);
        }
        if self.non_resource_urls.is_empty() {
            return true;
        }
        let paths = &mut self.non_resource_urls.iter();
        attributes.resource.is_none() && paths.any(|url| fits_path(url, attributes.path))
    }

    fn fits_resource(&self, attributes: &Attributes<'_>) -> bool {
        let Some(wanted) = &attributes.resource else {
            return false;
        };
        let of_group = |rule: &GroupResources| {
            let fits = |resource: &String| {
                allows(&rule.resource_names, wanted.name) && fits_name(resource, wanted.resource, wanted.subresource)
            };
            rule.group == wanted.group && (rule.resources.is_empty() || rule.resources.iter().any(fits))
        };
        allows(&self.namespaces, wanted.namespace) && (self.resources.is_empty() || self.resources.iter().any(of_group))
    }
}

fn fits_name(rule: &str, resource: &str, subresource: &str) -> bool {
    match rule.split_once('/') {
        None => rule == "*" || (rule == resource && subresource.is_empty()),
        Some((of, "*")) => of == resource,
        Some(("*", below)) => !subresource.is_empty() && below == subresource,
        Some((of, below)) => of == resource && below == subresource,
    }
}

fn fits_path(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|start| path.starts_with(start))
}
