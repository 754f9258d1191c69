//! The downward API: what a pod may learn of itself by `fieldRef` and `resourceFieldRef`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use kube_types::quantity::{self, Amount};

use crate::spec;

/// A reference that has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DownwardError {
    /// The path is not one that this version knows.
    #[error("unsupported fieldPath: {0}")]
    Field(String),
    /// The resource is not one that can be referred to.
    #[error("unsupported container resource : {0}")]
    Resource(String),
    /// `containerName` names no container.
    #[error("container {0} not found")]
    Container(String),
    /// The divisor is not a quantity.
    #[error("divisor {0}")]
    Divisor(String),
}

/// Addresses that are only known on the node.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// `status.hostIPs`.
    pub host_ips: Vec<String>,
    /// `status.podIPs`.
    pub pod_ips: Vec<String>,
}

/// The value of `path` for an environment variable or a file; whole maps come one `key="value"` a line.
///
/// # Errors
/// When there is no such field.
pub fn field(pod: &Pod, path: &str, addresses: &Addresses) -> Result<String, DownwardError> {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(DownwardError::Field(path.to_owned())),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let pod_spec = pod.spec.clone().unwrap_or_default();
    Ok(match path {
        "metadata.name" => text(&meta.name),
        "metadata.namespace" => text(&meta.namespace),
        "metadata.uid" => text(&meta.uid),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => text(&pod_spec.node_name),
        "spec.serviceAccountName" => text(&pod_spec.service_account_name),
        "status.hostIP" => addresses.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => addresses.host_ips.join(","),
        "status.podIP" => addresses.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => addresses.pod_ips.join(","),
        _ => return Err(DownwardError::Field(path.to_owned())),
    })
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.split_once('[')?;
    let key = key.strip_suffix(']')?;
    Some((map, key.trim_matches(|quote| quote == '\'' || quote == '"')))
}

fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    lines.join("\n")
}

/// The value of a resource reference. `node` is what the node has: a limit that is not set is the node's.
///
/// # Errors
/// When the container, the resource or the divisor is not one.
pub fn resource(
    pod: &Pod,
    container: Option<&Container>,
    selector: &ResourceFieldSelector,
    node: &BTreeMap<String, Amount>,
) -> Result<String, DownwardError> {
    let named = match (&selector.container_name, container) {
        (Some(name), _) => pod.spec.as_ref().and_then(|pod_spec| spec::find(pod_spec, name)),
        (None, given) => given.map(Cow::Borrowed),
    };
    let found = named.ok_or_else(|| DownwardError::Container(selector.container_name.clone().unwrap_or_default()))?;
    let unsupported = || DownwardError::Resource(selector.resource.clone());
    let (list, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let resources = found.resources.clone().unwrap_or_default();
    let value = |map: &Option<BTreeMap<String, _>>| map.as_ref().and_then(|map| quantity_of(map.get(name)?));
    let amount = match list {
        "limits" => value(&resources.limits)
            .filter(|amount| !amount.is_zero())
            .or_else(|| node.get(name).copied()),
        "requests" => value(&resources.requests).or_else(|| value(&resources.limits)),
        _ => return Err(unsupported()),
    };
    let divisor = match &selector.divisor {
        Some(text) => quantity::parse(&text.0).map_err(|error| DownwardError::Divisor(error.to_string()))?,
        None => Amount::from_value(1, quantity::Format::DecimalSi),
    };
    let divisor = if divisor.is_zero() {
        Amount::from_value(1, quantity::Format::DecimalSi)
    } else {
        divisor
    };
    let amount = amount.unwrap_or_else(|| Amount::from_value(0, quantity::Format::DecimalSi));
    let (part, whole) = if name == "cpu" {
        (amount.milli(), divisor.milli())
    } else {
        (amount.value(), divisor.value())
    };
    Ok((part + whole - 1).div_euclid(whole).to_string())
}

fn quantity_of(quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity) -> Option<Amount> {
    quantity::parse(&quantity.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_str(
            r#"{"metadata":{"name":"p","namespace":"n","uid":"u","labels":{"a":"x\"y","b":"2"}},
                "spec":{"nodeName":"node","containers":[{"name":"c","resources":{"limits":{"cpu":"1500m","memory":"65Mi"}}}]}}"#,
        )
        .unwrap()
    }

    #[test]
    fn fields() {
        let addresses = Addresses {
            pod_ips: vec!["10.0.0.1".into(), "::1".into()],
            ..Addresses::default()
        };
        for (path, expected) in [
            ("metadata.name", "p"),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['none']", ""),
            ("metadata.labels", "a=\"x\\\"y\"\nb=\"2\""),
            ("spec.nodeName", "node"),
            ("status.podIPs", "10.0.0.1,::1"),
        ] {
            assert_eq!(field(&pod(), path, &addresses).unwrap(), expected, "{path}");
        }
        assert_eq!(
            field(&pod(), "spec.tolerations", &addresses).unwrap_err().to_string(),
            "unsupported fieldPath: spec.tolerations"
        );
    }

    #[test]
    fn resources() {
        let node = [("ephemeral-storage".to_owned(), quantity::parse("20Gi").unwrap())].into();
        for (resource_name, divisor, expected) in [
            ("limits.cpu", "0", "2"),
            ("limits.cpu", "1m", "1500"),
            ("limits.memory", "1Mi", "65"),
            ("requests.memory", "1Gi", "1"),
            ("limits.ephemeral-storage", "1Gi", "20"),
            ("requests.ephemeral-storage", "1", "0"),
        ] {
            let json = format!(r#"{{"containerName":"c","resource":"{resource_name}","divisor":"{divisor}"}}"#);
            let selector = serde_json::from_str(&json).unwrap();
            assert_eq!(resource(&pod(), None, &selector, &node).unwrap(), expected, "{json}");
        }
    }
}
