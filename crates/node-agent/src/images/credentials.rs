//! Registry credentials from the pod's image pull secrets (`kubernetes.io/dockerconfigjson`, `kubernetes.io/dockercfg`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cri_api::v1 as cri;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

/// Credentials that fit the image's registry.
pub(super) fn candidates(image: &str, secrets: &[Secret]) -> Vec<cri::AuthConfig> {
    let registry = registry(image);
    let mut found = Vec::new();
    for secret in secrets {
        for (server, login) in logins(secret) {
            if host(&server) == registry || (registry == "docker.io" && host(&server).ends_with("docker.io")) {
                found.push(credential(server, login));
            }
        }
    }
    found
}

fn logins(secret: &Secret) -> BTreeMap<String, Login> {
    let data = secret.data.as_ref();
    let bytes = |key: &str| data.and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    let parsed = match (bytes(".dockerconfigjson"), bytes(".dockercfg")) {
        (Some(json), _) => serde_json::from_slice::<DockerConfig>(json).map(|config| config.auths),
        (None, Some(json)) => serde_json::from_slice(json),
        (None, None) => return BTreeMap::new(),
    };
    parsed.unwrap_or_else(|error| {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        tracing::warn!(secret = name, %error, "image pull secret is not a docker configuration");
        BTreeMap::new()
    })
}

fn credential(server: String, login: Login) -> cri::AuthConfig {
    let decoded = STANDARD
        .decode(&login.auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let from_auth = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (username, password) = match from_auth {
        Some((username, password)) if login.username.is_empty() => (username.to_owned(), password.to_owned()),
        _ => (login.username, login.password),
    };
    cri::AuthConfig {
        username,
        password,
        server_address: server,
        identity_token: login.identity_token,
        ..Default::default()
    }
}

fn host(server: &str) -> &str {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The registry of an image reference; `docker.io` when it names none.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_matched_by_registry() {
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"r.example:5000":{"username":"a","password":"b"}}}"#;
        let data = [(".dockerconfigjson".to_owned(), k8s_openapi::ByteString(json.into()))].into();
        let secrets = [Secret {
            data: Some(data),
            ..Secret::default()
        }];
        let found = |image| {
            let list = candidates(image, &secrets);
            list.iter()
                .map(|auth| format!("{}:{}", auth.username, auth.password))
                .collect::<Vec<_>>()
        };
        assert_eq!(found("nginx"), ["u:p"]);
        assert_eq!(found("r.example:5000/x/y:1"), ["a:b"]);
        assert!(found("quay.io/x").is_empty());
    }
}
