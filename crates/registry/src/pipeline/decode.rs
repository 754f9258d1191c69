//! From a body to an object of a kind: parse, check the types, say which fields are unknown, convert, default.

use kube_types::dynamic::{Object, Value};
use kube_types::{GroupVersionKind, decode, schema};

use super::Resource;
use crate::cache::Item;
use crate::kinds::ResourceKind;
use crate::options::FieldValidation;
use crate::registry::Registry;
use crate::request::{Context, MediaType, RequestBody, Target};
use crate::status::StatusError;

/// Media types that objects are read from.
const ACCEPTED: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// Kinds that are read in an earlier version too, whose fields are the same, although it is no longer served: eksctl and older
/// kubectls post evictions so. Source: `EvictionREST.AcceptsGroupVersion`.
const EARLIER: &[(&str, &str)] = &[("Eviction", "policy/v1beta1")];

/// Upstream lists at most this many unknown and duplicate fields.
const MOST_FIELDS: usize = 100;

impl Registry {
    /// Reads a body as an object of a kind, in the version asked for.
    pub(crate) fn decode(
        &self,
        context: &Context,
        gvk: &GroupVersionKind,
        body: &RequestBody,
        validation: FieldValidation,
    ) -> Result<Object, StatusError> {
        let unrecognized = |problem: String| {
            StatusError::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): {problem}",
                gvk.kind
            ))
        };
        let decoded = match body.media_type {
            MediaType::Json => decode::json(&body.bytes),
            MediaType::Yaml => decode::yaml(&body.bytes),
            _ => return Err(StatusError::unsupported_media_type(ACCEPTED)),
        };
        let decoded = decoded.map_err(|error| match error {
            decode::DecodeError::Json(error) => {
                unrecognized(format!("couldn't get version/kind; json parse error: {error}"))
            }
            decode::DecodeError::Yaml(error) => unrecognized(format!("couldn't get version/kind; {error}")),
        })?;
        let Value::Object(map) = decoded.value else {
            let found = "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type \
                         struct { APIVersion string; Kind string }";
            return Err(unrecognized(found.to_owned()));
        };
        let mut object = Object(map);
        check_gvk(&object, gvk)?;
        conform(self, context, gvk, &mut object, decoded.duplicates, validation)?;
        Ok(object)
    }
}

/// The body must be of the kind and version that the path names; what it leaves out is taken from the path.
fn check_gvk(object: &Object, wanted: &GroupVersionKind) -> Result<(), StatusError> {
    let text = |field: &str| object.0.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if !kind.is_empty() && kind != wanted.kind {
        let found = GroupVersionKind::from_api_version(api_version, kind);
        return Err(StatusError::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {}: converting ({}.{kind}) to ({}.{}): unknown conversion",
            found.version, wanted.kind, found.version, wanted.version, wanted.kind
        )));
    }
    let earlier = EARLIER.contains(&(wanted.kind.as_str(), api_version));
    if !api_version.is_empty() && api_version != wanted.api_version() && !earlier {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            wanted.api_version()
        )));
    }
    Ok(())
}

/// Checks an object against its schema, drops what it does not know, and reports that as the client wishes.
pub(crate) fn conform(
    registry: &Registry,
    context: &Context,
    gvk: &GroupVersionKind,
    object: &mut Object,
    duplicates: Vec<String>,
    validation: FieldValidation,
) -> Result<(), StatusError> {
    let unhandled = |problem: String| {
        StatusError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {problem}",
            gvk.kind, gvk.version, gvk.kind
        ))
    };
    let kind = registry.kinds().by_kind(gvk).cloned();
    let unknown = match (schema::lookup(gvk), kind.as_ref().and_then(|kind| kind.custom.as_ref())) {
        (Some(schema), _) => {
            schema
                .normalize(&mut object.0)
                .map_err(|error| unhandled(error.to_string()))?
                .0
        }
        (None, Some(custom)) => custom.version().settle(object).map_err(unhandled)?,
        (None, None) => Vec::new(),
    };
    let problems: Vec<String> = duplicates
        .iter()
        .map(|field| format!("duplicate field \"{field}\""))
        .chain(unknown.iter().map(|field| format!("unknown field \"{field}\"")))
        .take(MOST_FIELDS)
        .collect();
    match validation {
        FieldValidation::Strict if !problems.is_empty() => {
            return Err(unhandled(format!("strict decoding error: {}", problems.join(", "))));
        }
        FieldValidation::Warn => problems.into_iter().for_each(|problem| context.warnings.add(problem)),
        FieldValidation::Strict | FieldValidation::Ignore => {}
    }
    object.0.insert("kind".to_owned(), gvk.kind.clone().into());
    object.0.insert("apiVersion".to_owned(), gvk.api_version().into());
    Ok(())
}

impl Resource {
    /// Brings an object from the version asked for into the stored version and fills the defaults.
    pub(crate) fn to_stored(&self, mut object: Object) -> Object {
        if self.kind.converts() {
            object = crate::convert::convert(object, &self.kind, self.stored());
        }
        (self.stored().rules.defaults)(&mut object);
        object
    }

    /// Brings a custom resource into form again after admission has changed it.
    pub(crate) fn settle(&self, object: &mut Object) -> Result<(), StatusError> {
        if let Some(custom) = &self.kind.custom {
            custom.version().settle(object).map_err(StatusError::bad_request)?;
        }
        Ok(())
    }

    /// Whether a custom resource is stored in another version than it would be now.
    pub(crate) fn is_outdated(&self, item: &Item) -> bool {
        self.kind.has_views() && {
            let key = self.cache_key(item.extract.namespace.as_deref(), &item.extract.name);
            let stored = self.cache.get(&key);
            stored.is_some_and(|stored| stored.api_version() != self.stored().api_version())
        }
    }

    /// Brings an object from the stored version into the version asked for.
    pub(crate) fn to_requested(&self, object: Object) -> Object {
        if self.kind.converts() {
            crate::convert::convert(object, self.stored(), &self.kind)
        } else {
            object
        }
    }
}

/// The namespace in the body must be that of the path, or be left out.
pub(crate) fn check_namespace(kind: &ResourceKind, target: &Target, object: &mut Object) -> Result<(), StatusError> {
    let wanted = target.namespace.as_deref().filter(|_| kind.namespaced);
    match (object.namespace(), wanted) {
        (Some(given), Some(wanted)) if given != wanted => Err(StatusError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
        (_, Some(wanted)) => {
            object.metadata_mut().insert("namespace".to_owned(), wanted.into());
            Ok(())
        }
        (_, None) => {
            object.metadata_mut().remove("namespace");
            Ok(())
        }
    }
}

/// The body of a replacement must name the object that the path names. Source: `handlers.checkName`.
pub(crate) fn check_own_name(target: &Target, object: &mut Object) -> Result<(), StatusError> {
    if object.name().is_none() {
        let wanted = target.name.as_deref().unwrap_or_default();
        return Err(StatusError::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        )));
    }
    check_name(target, object)
}

/// The name in the body must be that of the path, or be left out.
pub(crate) fn check_name(target: &Target, object: &mut Object) -> Result<(), StatusError> {
    let wanted = target.name.as_deref().unwrap_or_default();
    match object.name() {
        None => {
            object.metadata_mut().insert("name".to_owned(), wanted.into());
            Ok(())
        }
        Some(given) if given != wanted => Err(StatusError::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({wanted})"
        ))),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
