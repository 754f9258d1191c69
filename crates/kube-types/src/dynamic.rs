//! The only home of untyped JSON: the value types, the `json!` macro, and objects whose kind is known at run time only.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use serde_json::{Map, Value, json};

use crate::{GroupVersionKind, ObjectKey};

/// A JSON object with Kubernetes metadata, of a kind known at run time only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Map<String, Value>);

/// Why a conversion between typed and untyped form failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The typed value could not be written as JSON.
    #[error("encode typed object")]
    Encode(#[source] serde_json::Error),
    /// The JSON does not have the form of the type.
    #[error("decode object as {kind}")]
    Decode {
        /// Kind that was wanted.
        kind: &'static str,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON is not an object.
    #[error("value is not a JSON object")]
    NotAnObject,
}

impl Object {
    /// Wraps a value that is a JSON object.
    ///
    /// # Errors
    /// When the value is anything else.
    pub fn from_value(value: Value) -> Result<Self, ObjectError> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(ObjectError::NotAnObject),
        }
    }

    /// The untyped form of a typed object.
    ///
    /// # Errors
    /// When the type does not serialise as a JSON object.
    pub fn from_typed<T: Serialize>(typed: &T) -> Result<Self, ObjectError> {
        Self::from_value(serde_json::to_value(typed).map_err(ObjectError::Encode)?)
    }

    /// The typed form of this object.
    ///
    /// # Errors
    /// When a field has another type than `T` wants.
    pub fn to_typed<T: DeserializeOwned + k8s_openapi::Resource>(&self) -> Result<T, ObjectError> {
        T::deserialize(Value::Object(self.0.clone())).map_err(|source| ObjectError::Decode { kind: T::KIND, source })
    }

    /// `apiVersion` and `kind`; empty strings where they are missing.
    pub fn gvk(&self) -> GroupVersionKind {
        let text = |field: &str| self.0.get(field).and_then(Value::as_str).unwrap_or_default();
        GroupVersionKind::from_api_version(text("apiVersion"), text("kind"))
    }

    /// Namespace and name from the metadata.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace().map(str::to_owned),
            name: self.name().unwrap_or_default().to_owned(),
        }
    }

    /// The metadata object, when there is one.
    pub fn metadata(&self) -> Option<&Map<String, Value>> {
        self.0.get("metadata").and_then(Value::as_object)
    }

    /// The metadata object, made when it is missing.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        let slot = self.0.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut().expect("the slot was made an object above")
    }

    /// A string field of the metadata; an empty string counts as absent.
    pub fn metadata_text(&self, field: &str) -> Option<&str> {
        self.metadata()?.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// `metadata.name`.
    pub fn name(&self) -> Option<&str> {
        self.metadata_text("name")
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata_text("namespace")
    }

    /// `metadata.uid`.
    pub fn uid(&self) -> Option<&str> {
        self.metadata_text("uid")
    }

    /// `metadata.resourceVersion`.
    pub fn resource_version(&self) -> Option<&str> {
        self.metadata_text("resourceVersion")
    }

    /// `metadata.labels`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.string_map("labels")
    }

    /// `metadata.annotations`.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.string_map("annotations")
    }

    /// `metadata.finalizers`.
    pub fn finalizers(&self) -> Vec<String> {
        let list = self
            .metadata()
            .and_then(|m| m.get("finalizers"))
            .and_then(Value::as_array);
        list.map(|items| items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// True once deletion was asked for.
    pub fn is_deleting(&self) -> bool {
        self.metadata_text("deletionTimestamp").is_some()
    }

    fn string_map(&self, field: &str) -> BTreeMap<String, String> {
        let map = self.metadata().and_then(|m| m.get(field)).and_then(Value::as_object);
        map.map(|entries| {
            entries
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect()
        })
        .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn typed_and_untyped_forms_carry_the_same_metadata() {
        let object = Object::from_value(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "b", "labels": {"x": "y"}, "finalizers": ["f"]}}))
        .unwrap();
        assert_eq!(object.gvk(), GroupVersionKind::of::<Pod>());
        assert_eq!(object.key(), ObjectKey::namespaced("b", "a"));
        assert_eq!(object.labels(), BTreeMap::from([("x".to_owned(), "y".to_owned())]));
        assert_eq!(object.finalizers(), ["f"]);
        let pod: Pod = object.to_typed().unwrap();
        assert_eq!(ObjectKey::of(&pod), object.key());
        assert_eq!(Object::from_typed(&pod).unwrap(), object);
    }
}
