//! What the user data of an instance says to EKS's images: which cluster the node is to join, and how.
//!
//! Three writers are understood: nodeadm's NodeConfig (YAML, or parts of a MIME message), the arguments of `bootstrap.sh`
//! (Amazon Linux 2), and Bottlerocket's settings. Whatever else user data does is not carried out.

mod settings;
mod shell;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a node is told about its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's endpoint, where it is written.
    pub endpoint: Option<String>,
    /// Labels with which the node registers.
    pub labels: BTreeMap<String, String>,
    /// Taints with which the node registers: key, value, effect in Kubernetes' spelling.
    pub taints: Vec<(String, String, String)>,
    /// The most pods, if said.
    pub max_pods: Option<u32>,
}

impl Bootstrap {
    /// Takes in one of the kubelet's flags, such as `--node-labels=a=b`. Flags that say nothing about the Node are passed over.
    fn flag(&mut self, flag: &str) {
        let Some((name, value)) = flag.trim_start_matches('-').split_once('=') else {
            return;
        };
        match name {
            "node-labels" => self.labels.extend(pairs(value)),
            "register-with-taints" => self.taints.extend(value.split(',').filter_map(taint)),
            "max-pods" => self.max_pods = value.parse().ok().or(self.max_pods),
            _ => {}
        }
    }
}

/// `a=b,c=d`.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

/// `key=value:Effect` or `key:Effect`.
fn taint(text: &str) -> Option<(String, String, String)> {
    let (name, effect) = text.rsplit_once(':')?;
    let (key, value) = name.split_once('=').unwrap_or((name, ""));
    Some((key.to_owned(), value.to_owned(), effect.to_owned()))
}

/// What user data (decoded) says of a cluster; `None` when it names none.
#[must_use]
pub fn read(text: &str) -> Option<Bootstrap> {
    let mut found = Bootstrap::default();
    for part in parts(text) {
        let trimmed = part.trim_start();
        if trimmed.contains("node.eks.aws/") {
            trimmed
                .split("\n---")
                .for_each(|document| node_config(document, &mut found));
        } else if trimmed.contains("[settings") || trimmed.starts_with("settings.") {
            settings::read(trimmed, &mut found);
        } else if trimmed.contains("bootstrap.sh") {
            shell::read(trimmed, &mut found);
        }
    }
    (!found.cluster.is_empty()).then_some(found)
}

/// The bodies of a MIME message, or the text itself.
fn parts(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let header_end = text.find("\n\n").unwrap_or(text.len());
    let header = &text[..header_end];
    let is_mime = header
        .lines()
        .any(|line| line.to_ascii_lowercase().starts_with("content-type: multipart/"));
    let boundary = header.split_once("boundary=").map(|(_, rest)| {
        rest.trim_start_matches('"')
            .split(['"', '\n', ';'])
            .next()
            .unwrap_or_default()
    });
    match boundary.filter(|boundary| is_mime && !boundary.is_empty()) {
        None => vec![text],
        Some(boundary) => text[header_end..]
            .split(&format!("--{boundary}"))
            .skip(1)
            .filter(|part| !part.starts_with("--"))
            .map(|part| part.split_once("\n\n").map_or(part, |(_, body)| body).to_owned())
            .collect(),
    }
}

#[derive(Deserialize)]
struct NodeConfig {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    spec: NodeConfigSpec,
}

#[derive(Default, Deserialize)]
struct NodeConfigSpec {
    #[serde(default)]
    cluster: ClusterDetails,
    #[serde(default)]
    kubelet: Kubelet,
}

#[derive(Default, Deserialize)]
struct ClusterDetails {
    #[serde(default)]
    name: String,
    #[serde(rename = "apiServerEndpoint")]
    endpoint: Option<String>,
}

#[derive(Default, Deserialize)]
struct Kubelet {
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    config: KubeletConfig,
}

#[derive(Default, Deserialize)]
struct KubeletConfig {
    #[serde(rename = "maxPods")]
    max_pods: Option<u32>,
    #[serde(rename = "registerWithTaints", default)]
    taints: Vec<KubeletTaint>,
}

#[derive(Deserialize)]
struct KubeletTaint {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

/// nodeadm merges documents in their order; what cannot be read is no NodeConfig.
fn node_config(document: &str, found: &mut Bootstrap) {
    let Ok(config) = serde_saphyr::from_str::<NodeConfig>(document) else {
        return;
    };
    if config.kind != "NodeConfig" || !config.api_version.starts_with("node.eks.aws/") {
        return;
    }
    let NodeConfigSpec { cluster, kubelet } = config.spec;
    if !cluster.name.is_empty() {
        found.cluster = cluster.name;
    }
    found.endpoint = cluster.endpoint.or(found.endpoint.take());
    found.max_pods = kubelet.config.max_pods.or(found.max_pods);
    let taints = kubelet.config.taints.into_iter();
    found
        .taints
        .extend(taints.map(|taint| (taint.key, taint.value, taint.effect)));
    kubelet.flags.iter().for_each(|flag| found.flag(flag));
}

#[cfg(test)]
mod tests;
