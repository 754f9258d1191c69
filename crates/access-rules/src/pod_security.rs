//! Pod security standards: what a pod may ask for at the levels baseline and restricted, in upstream's words.
//!
//! Source: `k8s.io/pod-security-admission/policy`. The rules of the newest version are applied, whichever is named.

mod baseline;
mod restricted;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Capabilities, ContainerPort, Lifecycle, PodSpec, Probe, SecurityContext};

/// How much a pod may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything.
    #[default]
    Privileged,
    /// What gives no known way out of the container.
    Baseline,
    /// What is good practice.
    Restricted,
}

/// A level and the version that the label names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standard {
    /// The level.
    pub level: Level,
    /// `latest` or `v1.N`.
    pub version: String,
}

/// What a namespace's labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Pods that violate it are refused.
    pub enforce: Standard,
    /// Violations are noted in the audit log.
    pub audit: Standard,
    /// The client is warned of violations.
    pub warn: Standard,
}

impl Policy {
    /// Reads a namespace's labels. A level that does not exist counts as restricted, as upstream's does.
    #[must_use]
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        let standard = |mode: &str| {
            let label = |what: &str| labels.get(&format!("pod-security.kubernetes.io/{mode}{what}"));
            let level = match label("").map(String::as_str) {
                None | Some("privileged") => Level::Privileged,
                Some("baseline") => Level::Baseline,
                Some(_) => Level::Restricted,
            };
            let version = label("-version").cloned().unwrap_or_else(|| "latest".to_owned());
            Standard { level, version }
        };
        Self {
            enforce: standard("enforce"),
            audit: standard("audit"),
            warn: standard("warn"),
        }
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        [&self.enforce, &self.audit, &self.warn]
            .iter()
            .all(|standard| standard.level == Level::Privileged)
    }
}

impl std::fmt::Display for Standard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        write!(f, "{level}:{}", self.version)
    }
}

impl Standard {
    /// Upstream's sentence about a pod that violates the standard, after `violates PodSecurity `; `None` if it does not.
    #[must_use]
    pub fn violation(&self, annotations: &BTreeMap<String, String>, spec: &PodSpec) -> Option<String> {
        let level = match self.level {
            Level::Privileged => return None,
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        let pod = Pod {
            annotations,
            spec,
            containers: containers(spec),
        };
        let mut found = Vec::new();
        baseline::check(&pod, self.level, &mut found);
        if self.level == Level::Restricted {
            restricted::check(&pod, &mut found);
        }
        if found.is_empty() {
            return None;
        }
        let shown: Vec<String> = found
            .iter()
            .map(|(reason, detail)| {
                if detail.is_empty() {
                    (*reason).to_owned()
                } else {
                    format!("{reason} ({detail})")
                }
            })
            .collect();
        Some(format!("\"{level}:{}\": {}", self.version, shown.join(", ")))
    }
}

/// Reason and detail of each rule that is broken.
type Found = Vec<(&'static str, String)>;

struct Pod<'a> {
    annotations: &'a BTreeMap<String, String>,
    spec: &'a PodSpec,
    containers: Vec<Container<'a>>,
}

/// What is looked at in containers of all sorts.
struct Container<'a> {
    name: &'a str,
    security: Option<&'a SecurityContext>,
    ports: &'a [ContainerPort],
    probes: Vec<&'a Probe>,
    lifecycle: Option<&'a Lifecycle>,
}

impl<'a> Container<'a> {
    fn capabilities(&self) -> Option<&'a Capabilities> {
        self.security?.capabilities.as_ref()
    }
}

impl Pod<'_> {
    fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
    }

    /// The containers for which something holds.
    fn containers_with(&self, holds: impl Fn(&Container<'_>) -> bool) -> Vec<&str> {
        let found = self.containers.iter().filter(|container| holds(container));
        found.map(|container| container.name).collect()
    }
}

macro_rules! container {
    ($of:expr) => {
        Container {
            name: &$of.name,
            security: $of.security_context.as_ref(),
            ports: $of.ports.as_deref().unwrap_or_default(),
            probes: [&$of.liveness_probe, &$of.readiness_probe, &$of.startup_probe]
                .into_iter()
                .flatten()
                .collect(),
            lifecycle: $of.lifecycle.as_ref(),
        }
    };
}

/// Init containers, containers, ephemeral containers.
fn containers(spec: &PodSpec) -> Vec<Container<'_>> {
    let mut all: Vec<Container<'_>> = Vec::new();
    all.extend(spec.init_containers.iter().flatten().map(|one| container!(one)));
    all.extend(spec.containers.iter().map(|one| container!(one)));
    all.extend(spec.ephemeral_containers.iter().flatten().map(|one| container!(one)));
    all
}

/// `container "a"`, or `containers "a", "b"`.
fn named(names: &[&str]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// Each once, in the order they come.
fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let mut shown: Vec<String> = Vec::new();
    for name in names {
        let name = format!("{:?}", name.as_ref());
        if !shown.contains(&name) {
            shown.push(name);
        }
    }
    shown.join(", ")
}
