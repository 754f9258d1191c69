//! A pod as the rules look at it, and the words in which they name parts of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    Capabilities, ContainerPort, Lifecycle, PodSecurityContext, PodSpec, Probe, SecurityContext,
};

/// A pod, or the template of one.
pub(super) struct Pod<'a> {
    pub annotations: &'a BTreeMap<String, String>,
    pub spec: &'a PodSpec,
    /// Init containers, containers, ephemeral containers.
    pub containers: Vec<Container<'a>>,
}

/// What is looked at in containers of all sorts.
pub(super) struct Container<'a> {
    pub name: &'a str,
    pub security: Option<&'a SecurityContext>,
    pub ports: &'a [ContainerPort],
    pub probes: [Option<&'a Probe>; 3],
    pub lifecycle: Option<&'a Lifecycle>,
}

impl Container<'_> {
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.security?.capabilities.as_ref()
    }
}

macro_rules! container {
    ($of:expr) => {
        Container {
            name: &$of.name,
            security: $of.security_context.as_ref(),
            ports: $of.ports.as_deref().unwrap_or_default(),
            probes: [
                $of.liveness_probe.as_ref(),
                $of.readiness_probe.as_ref(),
                $of.startup_probe.as_ref(),
            ],
            lifecycle: $of.lifecycle.as_ref(),
        }
    };
}

impl<'a> Pod<'a> {
    pub fn new(annotations: &'a BTreeMap<String, String>, spec: &'a PodSpec) -> Self {
        let mut containers: Vec<Container<'_>> = Vec::new();
        containers.extend(spec.init_containers.iter().flatten().map(|one| container!(one)));
        containers.extend(spec.containers.iter().map(|one| container!(one)));
        containers.extend(spec.ephemeral_containers.iter().flatten().map(|one| container!(one)));
        Self {
            annotations,
            spec,
            containers,
        }
    }

    pub fn security(&self) -> Option<&'a PodSecurityContext> {
        self.spec.security_context.as_ref()
    }

    pub fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
    }

    /// Whether root in the pod is nobody on the node.
    pub fn has_users_of_its_own(&self) -> bool {
        self.spec.host_users == Some(false)
    }

    /// The containers for which something holds, in their order.
    pub fn containers_with(&self, holds: impl Fn(&Container<'_>) -> bool) -> Vec<&'a str> {
        let found = self.containers.iter().filter(|container| holds(container));
        found.map(|container| container.name).collect()
    }
}

/// Who sets a field to a value that is not allowed, and the values.
#[derive(Default)]
pub(super) struct Setters {
    of_pod: bool,
    containers: Vec<String>,
    /// Each once, sorted.
    pub values: BTreeSet<String>,
}

impl Setters {
    /// Looks at a field that the pod and its containers have; `wrong` gives the values that are not allowed.
    pub fn find<V: IntoIterator<Item = String>>(
        pod: &Pod<'_>,
        of_pod: impl Fn(&PodSecurityContext) -> Option<V>,
        of_container: impl Fn(&SecurityContext) -> Option<V>,
    ) -> Self {
        let mut setters = Self::default();
        if let Some(values) = pod.security().and_then(of_pod) {
            setters.of_pod = true;
            setters.values.extend(values);
        }
        for container in &pod.containers {
            if let Some(values) = container.security.and_then(&of_container) {
                setters.containers.push(container.name.to_owned());
                setters.values.extend(values);
            }
        }
        setters
    }

    /// `pod`, `container "a"`.
    pub fn named(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.of_pod {
            all.push("pod".to_owned());
        }
        if !self.containers.is_empty() {
            all.push(containers(&self.containers));
        }
        all
    }

    /// `pod and container "a"`; `None` if there is nobody.
    pub fn joined(&self) -> Option<String> {
        let named = self.named();
        (!named.is_empty()).then(|| named.join(" and "))
    }
}

/// `container "a"`, or `containers "a", "b"`.
pub(super) fn containers<T: AsRef<str>>(names: &[T]) -> String {
    format!("{} {}", plural(names.len(), "container", "containers"), quoted(names))
}

pub(super) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// Between quotes as they are, in the order they come; upstream escapes nothing here.
pub(super) fn quoted<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    let shown: Vec<String> = names.into_iter().map(|name| format!("\"{}\"", name.as_ref())).collect();
    shown.join(", ")
}

/// `key="value"`, the value escaped as Go does it.
pub(super) fn annotation(key: &str, value: &str) -> String {
    let value: String = value.chars().map(escaped).collect();
    format!("{key}=\"{value}\"")
}

fn escaped(c: char) -> String {
    let code = u32::from(c);
    match c {
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\\' | '"' => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\x{code:02x}"),
        c if c.is_control() || c.is_whitespace() && c != ' ' => format!("\\u{code:04x}"),
        c => c.to_string(),
    }
}
