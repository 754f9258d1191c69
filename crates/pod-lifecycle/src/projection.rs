//! The files of configMap, secret, downwardAPI and projected volumes, before anything is written.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use kube_types::quantity::Amount;

use crate::downward::{self, Addresses, DownwardError};
use crate::environment::Objects;
use crate::volumes;

/// One file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Its owner, when not root.
    pub owner: Option<i64>,
}

/// Files by path below the volume.
pub type Files = BTreeMap<String, File>;

/// A service-account token that a volume needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenRequest {
    /// The audience; empty for the API server's own.
    pub audience: String,
    /// Seconds of life asked for.
    pub expiration_seconds: i64,
}

/// Why a volume cannot be set up: the text of event FailedMount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProjectionError {
    /// A ConfigMap that must exist does not.
    #[error("configmap {0:?} not found")]
    ConfigMap(String),
    /// A Secret that must exist does not.
    #[error("secret {0:?} not found")]
    Secret(String),
    /// An item's key that must exist does not.
    #[error("references non-existent {kind} key: {key}")]
    Key {
        /// `config` or `secret`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// A reference to nothing.
    #[error(transparent)]
    Downward(#[from] DownwardError),
    /// The token has not been fetched (the agent's TokenRequest failed).
    #[error("failed to fetch token: {0}")]
    Token(String),
    /// A path leaves the volume.
    #[error("invalid path: {0}")]
    Path(String),
    /// A source that this version does not serve.
    #[error("projected volume source {0} is not supported")]
    Source(&'static str),
}

/// What files are made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// What it refers to.
    pub objects: &'a Objects,
    /// Tokens, or why there is none.
    pub tokens: &'a BTreeMap<TokenRequest, Result<String, String>>,
    /// Addresses for the downward API.
    pub addresses: &'a Addresses,
    /// What the node has, for limits that are not set.
    pub node: &'a BTreeMap<String, Amount>,
}

const DEFAULT_MODE: i32 = 0o644;

/// The files of one volume; empty for volumes of other kinds.
///
/// # Errors
/// When something referred to does not exist and is not optional.
pub fn files(volume: &Volume, inputs: &Inputs<'_>) -> Result<Files, ProjectionError> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let optional = source.optional == Some(true);
        config_map(
            &mut files,
            &source.name,
            source.items.as_deref(),
            mode,
            optional,
            inputs.objects,
        )?;
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        secret(
            &mut files,
            name,
            source.items.as_deref(),
            mode,
            source.optional == Some(true),
            inputs.objects,
        )?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        downward_files(&mut files, source.items.as_deref().unwrap_or_default(), mode, inputs)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for one in source.sources.iter().flatten() {
            projected(&mut files, one, mode, inputs)?;
        }
    }
    Ok(files)
}

fn projected(
    files: &mut Files,
    source: &VolumeProjection,
    mode: i32,
    inputs: &Inputs<'_>,
) -> Result<(), ProjectionError> {
    if let Some(map) = &source.config_map {
        let optional = map.optional == Some(true);
        return config_map(files, &map.name, map.items.as_deref(), mode, optional, inputs.objects);
    }
    if let Some(one) = &source.secret {
        return secret(
            files,
            &one.name,
            one.items.as_deref(),
            mode,
            one.optional == Some(true),
            inputs.objects,
        );
    }
    if let Some(one) = &source.downward_api {
        return downward_files(files, one.items.as_deref().unwrap_or_default(), mode, inputs);
    }
    if let Some(one) = &source.service_account_token {
        return token(files, one, mode, inputs);
    }
    if source.cluster_trust_bundle.is_some() {
        return Err(ProjectionError::Source("clusterTrustBundle"));
    }
    if source.pod_certificate.is_some() {
        return Err(ProjectionError::Source("podCertificate"));
    }
    Ok(())
}

fn token(
    files: &mut Files,
    source: &ServiceAccountTokenProjection,
    mode: i32,
    inputs: &Inputs<'_>,
) -> Result<(), ProjectionError> {
    let request = token_request(source);
    let token = match inputs.tokens.get(&request) {
        Some(Ok(token)) => token.clone(),
        Some(Err(reason)) => return Err(ProjectionError::Token(reason.clone())),
        None => return Err(ProjectionError::Token("not requested yet".to_owned())),
    };
    let spec = inputs.pod.spec.clone().unwrap_or_default();
    let owner = volumes::common_user(&spec);
    let private = owner.is_some() || volumes::fs_group(&spec).is_some();
    let mode = if private { 0o600 } else { mode };
    put(files, &source.path, token.into_bytes(), mode, owner)
}

fn token_request(source: &ServiceAccountTokenProjection) -> TokenRequest {
    TokenRequest {
        audience: source.audience.clone().unwrap_or_default(),
        expiration_seconds: source.expiration_seconds.unwrap_or(3600),
    }
}

/// The tokens that a pod's volumes need.
pub fn tokens(pod: &Pod) -> Vec<TokenRequest> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let sources = volumes.flat_map(|volume| {
        volume
            .projected
            .iter()
            .flat_map(|source| source.sources.iter().flatten())
    });
    let mut found: Vec<TokenRequest> = sources
        .filter_map(|source| source.service_account_token.as_ref().map(token_request))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn config_map(
    files: &mut Files,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    objects: &Objects,
) -> Result<(), ProjectionError> {
    let empty = ConfigMap::default();
    let map = match objects.config_maps.get(name) {
        Some(map) => map,
        None if optional => &empty,
        None => return Err(ProjectionError::ConfigMap(name.to_owned())),
    };
    let text = map
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = map
        .binary_data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.0.as_slice()));
    keyed(files, text.chain(binary).collect(), items, mode, optional, "config")
}

fn secret(
    files: &mut Files,
    name: &str,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    objects: &Objects,
) -> Result<(), ProjectionError> {
    let empty = Secret::default();
    let secret = match objects.secrets.get(name) {
        Some(secret) => secret,
        None if optional => &empty,
        None => return Err(ProjectionError::Secret(name.to_owned())),
    };
    let data = secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.0.as_slice()));
    keyed(files, data.collect(), items, mode, optional, "secret")
}

/// All keys, or those that `items` lists under the paths it gives them.
fn keyed(
    files: &mut Files,
    data: BTreeMap<&str, &[u8]>,
    items: Option<&[KeyToPath]>,
    mode: i32,
    optional: bool,
    kind: &'static str,
) -> Result<(), ProjectionError> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return data
            .into_iter()
            .try_for_each(|(key, value)| put(files, key, value.to_vec(), mode, None));
    };
    for item in items {
        match data.get(item.key.as_str()) {
            Some(value) => put(files, &item.path, value.to_vec(), item.mode.unwrap_or(mode), None)?,
            None if optional => {}
            None => {
                return Err(ProjectionError::Key {
                    kind,
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(())
}

fn downward_files(
    files: &mut Files,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    inputs: &Inputs<'_>,
) -> Result<(), ProjectionError> {
    for item in items {
        let value = if let Some(reference) = &item.field_ref {
            downward::field(inputs.pod, &reference.field_path, inputs.addresses)?
        } else if let Some(reference) = &item.resource_field_ref {
            downward::resource(inputs.pod, None, reference, inputs.node)?
        } else {
            continue;
        };
        put(files, &item.path, value.into_bytes(), item.mode.unwrap_or(mode), None)?;
    }
    Ok(())
}

fn put(files: &mut Files, path: &str, data: Vec<u8>, mode: i32, owner: Option<i64>) -> Result<(), ProjectionError> {
    let leaves = path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..");
    if leaves || path.starts_with("..") {
        return Err(ProjectionError::Path(path.to_owned()));
    }
    let mode = u32::try_from(mode).unwrap_or(0o644) & 0o777;
    files.insert(path.to_owned(), File { data, mode, owner });
    Ok(())
}

#[cfg(test)]
mod tests;
