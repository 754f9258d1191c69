//! One event of the audit log, in the form of `audit.k8s.io/v1`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use access_rules::User;
use access_rules::audit::{Level, Stage};
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use kube_types::protobuf;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::request_info::RequestInfo;

/// A line of the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) kind: &'static str,
    pub(super) api_version: &'static str,
    pub(super) level: Level,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    pub(super) stage: Option<Stage>,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: String,
    pub(super) verb: String,
    pub(super) user: UserInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<UserInfo>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub(super) source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_object: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_object: Option<Value>,
    pub(super) request_received_timestamp: String,
    pub(super) stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: Level::None,
            audit_id: String::new(),
            stage: None,
            request_uri: String::new(),
            verb: String::new(),
            user: UserInfo::default(),
            impersonated_user: None,
            source_ips: Vec::new(),
            user_agent: String::new(),
            object_ref: None,
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: String::new(),
            stage_timestamp: String::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// A user as `authentication.k8s.io/v1` writes one.
#[derive(Debug, Default, Serialize)]
pub(super) struct UserInfo {
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    pub(super) fn of(user: &User) -> Self {
        Self {
            username: user.name.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
        }
    }
}

/// The object that a request is about.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    subresource: String,
}

impl ObjectReference {
    pub(super) fn of(info: &RequestInfo) -> Self {
        Self {
            resource: info.resource.clone(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            api_group: info.group.clone(),
            api_version: info.version.clone(),
            subresource: info.subresource.clone(),
            ..Self::default()
        }
    }
}

/// As much of an object as names it.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    metadata: Names,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Names {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
}

impl Event {
    /// What the path does not say of the object, its body does.
    pub(super) fn complete_reference(&mut self, body: &[u8]) {
        let Some(reference) = &mut self.object_ref else { return };
        let Ok(named) = serde_json::from_slice::<Named>(body) else {
            return;
        };
        let names = named.metadata;
        for (known, said) in [
            (&mut reference.name, names.name),
            (&mut reference.namespace, names.namespace),
            (&mut reference.uid, names.uid),
            (&mut reference.resource_version, names.resource_version),
        ] {
            if known.is_empty() {
                *known = said;
            }
        }
    }
}

/// A moment with microseconds.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The part of a `Status` that every answer has.
pub(super) fn status_of(code: StatusCode) -> Value {
    json!({"metadata": {}, "code": code.as_u16()})
}

/// The JSON of an answer's object; `None` when it is none.
pub(super) fn object(parts: &Parts, bytes: &[u8]) -> Option<Value> {
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    match media_type.unwrap_or_default() {
        protobuf::MEDIA_TYPE => protobuf::decode(bytes).ok().map(Value::Object),
        "application/yaml" => serde_saphyr::from_slice(bytes).ok(),
        media_type if media_type.starts_with("application/json") => serde_json::from_slice(bytes).ok(),
        _ => None,
    }
}

/// Takes the owners of fields out of an object, or out of each of a list.
pub(super) fn forget_owners(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    let items = object.get_mut("items").and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(forget_owners);
}

/// Where a request comes from: what proxies say, and then the other end of the connection.
///
/// Source: `apimachinery/pkg/util/net.SourceIPs`. Components of the server itself are at the loopback address.
pub(super) fn source_addresses(headers: &HeaderMap, peer: Option<IpAddr>) -> Vec<String> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let forwarded = text("x-forwarded-for").split(',').map(str::trim);
    let mut found: Vec<IpAddr> = forwarded.filter_map(|address| address.parse().ok()).collect();
    if let Ok(address) = text("x-real-ip").parse::<IpAddr>()
        && !found.contains(&address)
    {
        found.push(address);
    }
    let peer = peer.unwrap_or(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST));
    if found.last() != Some(&peer) {
        found.push(peer);
    }
    found.iter().map(ToString::to_string).collect()
}
