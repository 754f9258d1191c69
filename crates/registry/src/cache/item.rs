//! One object as it is stored and sent, with what selectors and the pipeline ask of it.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use kube_types::dynamic::{Map, Object, Value};
use kube_types::protobuf::{self, ProtobufError};
use kube_types::selector::{FieldSelector, LabelSelector};
use store::Revision;

use crate::encryption::Encryption;
use crate::kinds::ResourceKind;

const METADATA: &[u8] = b"\"metadata\":{";

/// What is read out of an object once, when it is written or loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extract {
    pub namespace: Option<Box<str>>,
    pub name: Box<str>,
    pub uid: Box<str>,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// Values of the kind's selectable fields, in the kind's order.
    fields: Box<[Box<str>]>,
}

impl Extract {
    pub fn of(kind: &ResourceKind, object: &Map<String, Value>) -> Self {
        let metadata = object.get("metadata").and_then(Value::as_object);
        let text = |field: &str| {
            metadata
                .and_then(|m| m.get(field))
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let labels = metadata.and_then(|m| m.get("labels")).and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        Self {
            namespace: kind.namespaced.then(|| text("namespace").into()),
            name: text("name").into(),
            uid: text("uid").into(),
            labels: labels
                .map(|(key, value)| (key.as_str().into(), value.as_str().unwrap_or_default().into()))
                .collect(),
            fields: kind
                .fields
                .iter()
                .map(|field| selectable(field.path.find(object), field.absent))
                .collect(),
        }
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(name, _)| &**name == key)
            .map(|(_, value)| &**value)
    }
}

fn selectable(value: Option<&Value>, absent: &str) -> Box<str> {
    match value {
        Some(Value::String(text)) => text.as_str().into(),
        Some(Value::Bool(truth)) => truth.to_string().into(),
        Some(Value::Number(number)) => number.to_string().into(),
        _ => absent.into(),
    }
}

/// Why a stored object cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is encrypted, and cannot be decrypted.
    #[error("unable to transform key {0:?}: {1}")]
    Transform(String, String),
    /// It is no JSON object.
    #[error("{0}")]
    Decode(#[from] serde_json::Error),
}

/// An object at a revision.
#[derive(Debug)]
pub(crate) struct Item {
    pub extract: Arc<Extract>,
    pub revision: Revision,
    /// The whole object, resourceVersion included.
    pub bytes: Bytes,
    /// The chain of providers that would write the stored form as it is; what another one is in force for is stale.
    sealed_by: Option<u64>,
    /// Where the fields after `kind` and `apiVersion` begin.
    body_at: usize,
    /// The object as it was read, once somebody wanted to share it.
    read: OnceLock<Arc<Object>>,
    /// A custom resource in other versions, made when they were asked for.
    views: OnceLock<Box<Mutex<Views>>>,
    /// The protobuf form, made when it is first asked for.
    protobuf: OnceLock<Box<Result<Encoded, ProtobufError>>>,
}

/// An object in protobuf.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// With its envelope.
    pub bytes: Bytes,
    /// The part that is an item of a list.
    content: Range<usize>,
}

impl Encoded {
    /// The object as an item of a list.
    pub fn item(&self) -> Bytes {
        self.bytes.slice(self.content.clone())
    }
}

/// The same object in other versions, by `apiVersion`.
type Views = Vec<(Box<str>, Arc<Item>)>;

impl Item {
    /// An item from what the store has under a key.
    pub fn opened(kind: &ResourceKind, encryption: &Encryption, entry: &store::KeyValue) -> Result<Self, Unreadable> {
        let chain = encryption.chain(&kind.group, &kind.plural);
        let opened = chain.open(&entry.key, &entry.value);
        let opened = opened
            .map_err(|problem| Unreadable::Transform(String::from_utf8_lossy(&entry.key).into_owned(), problem))?;
        let item = Self::stored(kind, &opened.value, entry.mod_revision)?;
        Ok(item.sealed_by(chain.mark(opened.fresh)))
    }

    /// The same item, stored as this chain would write it, or stale.
    pub fn sealed_by(self, chain: Option<u64>) -> Self {
        Self {
            sealed_by: chain,
            ..self
        }
    }

    /// Whether it is stored as a chain would write it now.
    pub fn is_sealed_by(&self, chain: u64) -> bool {
        self.sealed_by == Some(chain)
    }

    /// An item from its stored form.
    pub fn stored(kind: &ResourceKind, value: &[u8], revision: Revision) -> Result<Self, serde_json::Error> {
        let mut object: Map<String, Value> = serde_json::from_slice(value)?;
        if let Some(custom) = &kind.custom {
            // The schema may have got defaults since the object was written, and it may be of an older version.
            let api_version = object
                .get("apiVersion")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            let name = api_version.rsplit('/').next().unwrap_or_default();
            let version = custom.definition.version(name);
            if version.is_some_and(|version| version.fill_stored(&mut object)) {
                let filled = encode(&kind.kind, &api_version, &object)?;
                return Ok(Self::assemble(Arc::new(Extract::of(kind, &object)), &filled, revision));
            }
        }
        Ok(Self::assemble(Arc::new(Extract::of(kind, &object)), value, revision))
    }

    /// An item whose parts are known, from the stored form that [`encode`] made.
    pub fn assemble(extract: Arc<Extract>, value: &[u8], revision: Revision) -> Self {
        let metadata_at = value
            .windows(METADATA.len())
            .position(|window| window == METADATA)
            .unwrap_or(0);
        let inner_at = metadata_at + METADATA.len();
        let mut bytes = Vec::with_capacity(value.len() + 44);
        bytes.extend_from_slice(&value[..inner_at]);
        bytes.extend_from_slice(b"\"resourceVersion\":\"");
        bytes.extend_from_slice(revision.to_string().as_bytes());
        bytes.extend_from_slice(b"\",");
        bytes.extend_from_slice(&value[inner_at..]);
        Self {
            extract,
            revision,
            bytes: bytes.into(),
            sealed_by: None,
            body_at: metadata_at,
            read: OnceLock::new(),
            views: OnceLock::new(),
            protobuf: OnceLock::new(),
        }
    }

    /// The same object as the event of a later revision shows it, as deletions do.
    pub fn at_revision(&self, revision: Revision) -> Self {
        let inner_at = self.body_at + METADATA.len();
        let old = b"\"resourceVersion\":\"".len() + self.revision.to_string().len() + 2;
        let mut bytes = Vec::with_capacity(self.bytes.len() + 8);
        bytes.extend_from_slice(&self.bytes[..inner_at]);
        bytes.extend_from_slice(b"\"resourceVersion\":\"");
        bytes.extend_from_slice(revision.to_string().as_bytes());
        bytes.extend_from_slice(b"\",");
        bytes.extend_from_slice(&self.bytes[inner_at + old..]);
        Self {
            extract: self.extract.clone(),
            revision,
            bytes: bytes.into(),
            sealed_by: self.sealed_by,
            body_at: self.body_at,
            read: OnceLock::new(),
            views: OnceLock::new(),
            protobuf: OnceLock::new(),
        }
    }

    /// The fields after `kind` and `apiVersion`, closing brace included; lists leave those two out.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.body_at..)
    }

    /// `apiVersion` of the bytes.
    pub fn api_version(&self) -> &str {
        const FIELD: &str = "\"apiVersion\":\"";
        let head = std::str::from_utf8(&self.bytes[..self.body_at]).unwrap_or_default();
        let start = head.find(FIELD).map_or(head.len(), |at| at + FIELD.len());
        head[start..].split('"').next().unwrap_or_default()
    }

    /// The object in another version, if it was kept.
    pub fn view(&self, api_version: &str) -> Option<Arc<Self>> {
        let views = self.views.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        let found = views.iter().find(|(of, _)| &**of == api_version);
        found.map(|(_, item)| item.clone())
    }

    /// Keeps the object in another version.
    pub fn keep_view(&self, api_version: &str, view: Arc<Self>) {
        let views = self.views.get_or_init(Box::default);
        let mut views = views.lock().unwrap_or_else(PoisonError::into_inner);
        if !views.iter().any(|(of, _)| &**of == api_version) {
            views.push((api_version.into(), view));
        }
    }

    /// The object, read again.
    pub fn object(&self) -> Object {
        // The bytes were made by `encode`, or were read once by `stored`.
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The object, read once and kept as long as the item. For objects that every other request looks at.
    pub fn shared(&self) -> Arc<Object> {
        self.read.get_or_init(|| Arc::new(self.object())).clone()
    }

    /// The object in protobuf; every reader of it shares the same bytes.
    pub fn protobuf(&self) -> Result<&Encoded, ProtobufError> {
        let encoded = self.protobuf.get_or_init(|| {
            let envelope = protobuf::encode(&self.object().0);
            Box::new(envelope.map(|envelope| Encoded {
                bytes: envelope.bytes.into(),
                content: envelope.content,
            }))
        });
        encoded.as_ref().as_ref().map_err(Clone::clone)
    }

    pub fn matches_labels(&self, selector: Option<&LabelSelector>) -> bool {
        selector.is_none_or(|selector| selector.matches_with(|key| self.extract.label(key)))
    }

    pub fn matches_fields(&self, kind: &ResourceKind, selector: &FieldSelector) -> bool {
        selector.is_empty()
            || selector.matches(|name| match name {
                "metadata.name" => Some(&self.extract.name),
                "metadata.namespace" => self.extract.namespace.as_deref(),
                _ => {
                    let index = kind.fields.iter().position(|field| &*field.name == name)?;
                    self.extract.fields.get(index).map(|value| &**value)
                }
            })
    }
}

/// The stored form: `kind` and `apiVersion` first, then metadata without resourceVersion, then the rest.
///
/// # Errors
/// When a value cannot be written as JSON.
pub(crate) fn encode(kind: &str, api_version: &str, object: &Map<String, Value>) -> Result<Bytes, serde_json::Error> {
    let mut bytes = Vec::with_capacity(1024);
    bytes.extend_from_slice(b"{\"kind\":");
    serde_json::to_writer(&mut bytes, kind)?;
    bytes.extend_from_slice(b",\"apiVersion\":");
    serde_json::to_writer(&mut bytes, api_version)?;
    bytes.extend_from_slice(b",\"metadata\":{");
    let mut first = true;
    for (key, value) in object.get("metadata").and_then(Value::as_object).into_iter().flatten() {
        if key != "resourceVersion" {
            field(&mut bytes, &mut first, key, value)?;
        }
    }
    bytes.push(b'}');
    first = false;
    for (key, value) in object {
        if !matches!(key.as_str(), "kind" | "apiVersion" | "metadata") {
            field(&mut bytes, &mut first, key, value)?;
        }
    }
    bytes.push(b'}');
    Ok(bytes.into())
}

fn field(bytes: &mut Vec<u8>, first: &mut bool, key: &str, value: &Value) -> Result<(), serde_json::Error> {
    if !std::mem::take(first) {
        bytes.push(b',');
    }
    serde_json::to_writer(&mut *bytes, key)?;
    bytes.push(b':');
    serde_json::to_writer(bytes, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_types::dynamic::json;

    #[test]
    fn the_revision_is_spliced_into_the_stored_form() {
        let table = crate::kinds::KindTable::built_in();
        let kind = table
            .by_kind(&kube_types::GroupVersionKind::new("", "v1", "Pod"))
            .unwrap();
        let object = Object::from_value(json!({"metadata": {"name": "a", "namespace": "n", "uid": "u",
            "resourceVersion": "3", "labels": {"x": "metadata\":{"}}, "spec": {"nodeName": "one"},
            "apiVersion": "v1", "kind": "Pod"}))
        .unwrap();
        let stored = encode("Pod", "v1", &object.0).unwrap();
        let item = Item::stored(kind, &stored, 17).unwrap();
        assert_eq!(item.object().resource_version(), Some("17"));
        assert_eq!(item.at_revision(1234).object().resource_version(), Some("1234"));
        assert!(item.body().starts_with(b"\"metadata\":{\"resourceVersion\":\"17\","));
        assert!(item.matches_fields(
            kind,
            &FieldSelector::parse("spec.nodeName=one,metadata.name!=b").unwrap()
        ));
        assert!(!item.matches_fields(kind, &FieldSelector::parse("status.phase=Running").unwrap()));
        assert_eq!(item.extract.label("x"), Some("metadata\":{"));
    }
}
