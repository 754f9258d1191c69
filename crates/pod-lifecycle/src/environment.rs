//! The environment, command and arguments of a container.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, EnvVarSource, Pod, Secret};
use kube_types::quantity::Amount;

use crate::downward::{self, Addresses, DownwardError};
use crate::expansion::expand;

/// The ConfigMaps and Secrets of the pod's namespace that it refers to, by name. One that is not here does not exist.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// By name.
    pub config_maps: BTreeMap<String, ConfigMap>,
    /// By name.
    pub secrets: BTreeMap<String, Secret>,
}

/// Why a container cannot be given its environment: its status says CreateContainerConfigError with this text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvironmentError {
    /// A ConfigMap that must exist does not.
    #[error("configmap {0:?} not found")]
    ConfigMap(String),
    /// A Secret that must exist does not.
    #[error("secret {0:?} not found")]
    Secret(String),
    /// A key that must exist does not.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    Key {
        /// The key.
        key: String,
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Of the pod.
        namespace: String,
        /// Of the object.
        name: String,
    },
    /// A field or resource reference that has no value.
    #[error(transparent)]
    Downward(#[from] DownwardError),
    /// A kind of source that is not served yet.
    #[error("environment variable {0}: source fileKeyRef is not supported")]
    Source(String),
}

/// What an environment is made from.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// What it refers to.
    pub objects: &'a Objects,
    /// Variables of services.
    pub services: &'a BTreeMap<String, String>,
    /// Its addresses and the machine's.
    pub addresses: &'a Addresses,
    /// What the node has, for limits that are not set.
    pub node: &'a BTreeMap<String, Amount>,
}

/// Name and value of every variable, in the order: spec, sources, services.
///
/// # Errors
/// When something referred to does not exist and is not optional.
pub fn variables(container: &Container, sources: &Sources<'_>) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut set = |known: &mut BTreeMap<String, String>, name: &str, value: String| {
        if known.insert(name.to_owned(), value).is_none() {
            order.push(name.to_owned());
        }
    };
    for (name, value) in imported(container, sources)? {
        set(&mut known, &name, value);
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &|name| {
                known.get(name).or_else(|| sources.services.get(name)).cloned()
            })),
            Some(source) => from_source(variable, source, container, sources)?,
        };
        if let Some(value) = value {
            set(&mut known, &variable.name, value);
        }
    }
    for (name, value) in sources.services {
        if !known.contains_key(name) {
            set(&mut known, name, value.clone());
        }
    }
    Ok(order
        .into_iter()
        .map(|name| (name.clone(), known.remove(&name).unwrap_or_default()))
        .collect())
}

/// `envFrom`: every key of a map that is a legal variable name.
fn imported(container: &Container, sources: &Sources<'_>) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut variables = Vec::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let mut add = |key: &str, value: String| {
            let name = format!("{prefix}{key}");
            if is_variable_name(&name) {
                variables.push((name, value));
            }
        };
        if let Some(reference) = &source.config_map_ref {
            match sources.objects.config_maps.get(&reference.name) {
                Some(map) => map
                    .data
                    .iter()
                    .flatten()
                    .for_each(|(key, value)| add(key, value.clone())),
                None if reference.optional == Some(true) => {}
                None => return Err(EnvironmentError::ConfigMap(reference.name.clone())),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match sources.objects.secrets.get(&reference.name) {
                Some(secret) => secret
                    .data
                    .iter()
                    .flatten()
                    .for_each(|(key, value)| add(key, lossy(&value.0))),
                None if reference.optional == Some(true) => {}
                None => return Err(EnvironmentError::Secret(reference.name.clone())),
            }
        }
    }
    Ok(variables)
}

fn from_source(
    variable: &EnvVar,
    source: &EnvVarSource,
    container: &Container,
    sources: &Sources<'_>,
) -> Result<Option<String>, EnvironmentError> {
    if let Some(reference) = &source.field_ref {
        return Ok(Some(downward::field(
            sources.pod,
            &reference.field_path,
            sources.addresses,
        )?));
    }
    if let Some(reference) = &source.resource_field_ref {
        return Ok(Some(downward::resource(
            sources.pod,
            Some(container),
            reference,
            sources.node,
        )?));
    }
    let missing_key = |kind, key: &str, name: &str| EnvironmentError::Key {
        key: key.to_owned(),
        kind,
        namespace: sources.pod.metadata.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
    };
    if let Some(reference) = &source.config_map_key_ref {
        let map = sources.objects.config_maps.get(&reference.name);
        let value = map.and_then(|map| map.data.as_ref()?.get(&reference.key).cloned());
        return match (value, map) {
            (Some(value), _) => Ok(Some(value)),
            _ if reference.optional == Some(true) => Ok(None),
            (None, Some(_)) => Err(missing_key("ConfigMap", &reference.key, &reference.name)),
            (None, None) => Err(EnvironmentError::ConfigMap(reference.name.clone())),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let secret = sources.objects.secrets.get(&reference.name);
        let value = secret.and_then(|secret| secret.data.as_ref()?.get(&reference.key).map(|value| lossy(&value.0)));
        return match (value, secret) {
            (Some(value), _) => Ok(Some(value)),
            _ if reference.optional == Some(true) => Ok(None),
            (None, Some(_)) => Err(missing_key("Secret", &reference.key, &reference.name)),
            (None, None) => Err(EnvironmentError::Secret(reference.name.clone())),
        };
    }
    Err(EnvironmentError::Source(variable.name.clone()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Upstream's relaxed rule: printable ASCII without `=`.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=')
}

/// Command and arguments with references to the environment expanded.
pub fn command(container: &Container, variables: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let lookup = |name: &str| {
        variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    };
    let expand_all = |list: &Option<Vec<String>>| list.iter().flatten().map(|text| expand(text, &lookup)).collect();
    (expand_all(&container.command), expand_all(&container.args))
}

/// Names of the ConfigMaps and Secrets that a pod's containers and volumes refer to.
pub fn references(pod: &Pod) -> (Vec<String>, Vec<String>) {
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    let Some(spec) = &pod.spec else { return (maps, secrets) };
    for container in spec.containers.iter().chain(crate::spec::init_containers(spec)) {
        for source in container.env_from.iter().flatten() {
            maps.extend(source.config_map_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(source.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for source in container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| variable.value_from.as_ref())
        {
            maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
    for volume in spec.volumes.iter().flatten() {
        maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        for source in volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten())
        {
            maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        }
    }
    secrets.extend(
        spec.image_pull_secrets
            .iter()
            .flatten()
            .map(|reference| reference.name.clone()),
    );
    for list in [&mut maps, &mut secrets] {
        list.sort();
        list.dedup();
    }
    (maps, secrets)
}

#[cfg(test)]
mod tests;
