//! Request bodies in Kubernetes' protobuf form, read into the JSON form that everything else works on.
//!
//! Current kubectl sends its typed objects this way. Answers are always JSON, which every client that sends protobuf
//! accepts too. Which field has which number is an extracted table; what differs between the two forms is here.

mod table;
#[cfg(test)]
mod tests;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use table::{Count, Kind, MessageType};
use wire::{Reader, WireValue};

/// The media type of these bodies.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Messages inside messages; deeper ones are no honest request.
const DEEPEST: usize = 64;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtobufError {
    /// It does not begin as Kubernetes' envelope does.
    #[error("provided data does not appear to be a protobuf message, expected prefix {MAGIC:?}")]
    Magic,
    /// It ends in the middle of a value or holds an impossible one.
    #[error("the protobuf message is malformed at {0}")]
    Malformed(String),
    /// Nothing is known of its kind.
    #[error("no kind {kind:?} is registered for version {api_version:?} in the protobuf table")]
    UnknownKind {
        /// The version that it names.
        api_version: String,
        /// The kind that it names.
        kind: String,
    },
}

/// The JSON object that a body stands for.
///
/// # Errors
/// When the body is malformed or of an unknown kind.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(MAGIC).ok_or(ProtobufError::Magic)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Reader::new(envelope, "the envelope") {
        match field? {
            (1, WireValue::Bytes(type_meta)) => {
                for field in Reader::new(type_meta, "the type") {
                    match field? {
                        (1, WireValue::Bytes(text)) => api_version = text_of(text, "apiVersion")?,
                        (2, WireValue::Bytes(text)) => kind = text_of(text, "kind")?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let of = table::kind(&api_version, &kind).ok_or_else(|| ProtobufError::UnknownKind {
        api_version: api_version.clone(),
        kind: kind.clone(),
    })?;
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    read_into(&mut object, raw, of, 0)?;
    Ok(Value::Object(object))
}

fn text_of(bytes: &[u8], field: &str) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| ProtobufError::Malformed(format!("{field}: {error}")))
}

fn read_into(
    object: &mut Map<String, Value>,
    bytes: &[u8],
    of: MessageType,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > DEEPEST {
        return Err(ProtobufError::Malformed(format!("{}: nested too deeply", of.name())));
    }
    for field in Reader::new(bytes, of.name()) {
        let (tag, value) = field?;
        // Fields of later releases are passed over, as upstream's decoder does.
        let Some(field) = of.field(tag) else { continue };
        let malformed = || ProtobufError::Malformed(format!("{}.{}", of.name(), field.name));
        match (field.count, field.kind, value) {
            (Count::Inline, Kind::Message(inner), WireValue::Bytes(bytes)) => {
                read_into(object, bytes, inner, depth + 1)?
            }
            (Count::Map, values, WireValue::Bytes(bytes)) => {
                let (key, value) = map_entry(bytes, values, depth).ok_or_else(malformed)??;
                let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                map.as_object_mut().ok_or_else(malformed)?.insert(key, value);
            }
            (Count::List, kind, value) => {
                let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                let list = list.as_array_mut().ok_or_else(malformed)?;
                match (kind, value) {
                    (Kind::Integer, WireValue::Bytes(bytes)) => {
                        list.extend(wire::packed(bytes).ok_or_else(malformed)?.into_iter().map(Value::from));
                    }
                    _ => list.extend(single(kind, value, depth).ok_or_else(malformed)??),
                }
            }
            (_, kind, value) => {
                let value = single(kind, value, depth).ok_or_else(malformed)??;
                if let Some(value) = value.filter(|value| says_something(field.name, value)) {
                    object.insert(field.name.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

/// Fields that are pointers in Go, where a zero means something else than absence. All others are written even when
/// they are empty, which JSON leaves out.
const POINTERS: &[&str] = &[
    "activeDeadlineSeconds",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "attachRequired",
    "automountServiceAccountToken",
    "backoffLimit",
    "backoffLimitPerIndex",
    "blockOwnerDeletion",
    "completions",
    "controller",
    "defaultMode",
    "enableServiceLinks",
    "exitCode",
    "expirationSeconds",
    "failedJobsHistoryLimit",
    "fsGroup",
    "gracePeriodSeconds",
    "hostUsers",
    "immutable",
    "leaseTransitions",
    "manualSelector",
    "maxFailedIndexes",
    "minReplicas",
    "mode",
    "optional",
    "orphanDependents",
    "parallelism",
    "partition",
    "podInfoOnMount",
    "priority",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "ready",
    "replicas",
    "requiresRepublish",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "serving",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "startingDeadlineSeconds",
    "storageCapacity",
    "successfulJobsHistoryLimit",
    "suspend",
    "terminating",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
];

fn says_something(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() || name == "storageClassName",
        Value::Bool(set) => *set || POINTERS.contains(&name),
        // The value of a PriorityClass is no pointer, but is written in JSON even when it is 0.
        Value::Number(number) => number.as_f64() != Some(0.0) || name == "value" || POINTERS.contains(&name),
        _ => true,
    }
}

/// One value. The outer `None`: the wire has another type than the field. The inner one: the value is absent in JSON.
fn single(kind: Kind, value: WireValue<'_>, depth: usize) -> Option<Result<Option<Value>, ProtobufError>> {
    Some(Ok(Some(match (kind, value) {
        (Kind::Text, WireValue::Bytes(bytes)) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
        (Kind::Bytes, WireValue::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Kind::Integer, WireValue::Varint(number)) => number.cast_signed().into(),
        (Kind::Boolean, WireValue::Varint(number)) => (number != 0).into(),
        (Kind::Double, WireValue::Fixed64(bits)) => f64::from_bits(bits).into(),
        (Kind::Message(of), WireValue::Bytes(bytes)) => return Some(message(bytes, of, depth)),
        _ => return None,
    })))
}

/// A message, or the JSON scalar that stands for it.
fn message(bytes: &[u8], of: MessageType, depth: usize) -> Result<Option<Value>, ProtobufError> {
    let raw_json = || -> Result<Option<Value>, ProtobufError> {
        let raw = wire::bytes_field(bytes, 1)?.unwrap_or_default();
        if raw.is_empty() {
            return Ok(None);
        }
        let parsed = serde_json::from_slice(raw);
        parsed
            .map(Some)
            .map_err(|error| ProtobufError::Malformed(format!("{}: {error}", of.name())))
    };
    match of.name() {
        "resource.Quantity" => {
            let text = text_of(wire::bytes_field(bytes, 1)?.unwrap_or_default(), of.name())?;
            Ok(Some(if text.is_empty() { "0".into() } else { text.into() }))
        }
        "intstr.IntOrString" => int_or_string(bytes),
        "meta/v1.Time" | "meta/v1.MicroTime" => time(bytes, of.name() == "meta/v1.MicroTime"),
        "meta/v1.FieldsV1" | "runtime.RawExtension" | "apiextensions/v1.Json" => raw_json(),
        name if name.ends_with(".ExtraValue") => {
            let mut object = Map::new();
            read_into(&mut object, bytes, of, depth + 1)?;
            Ok(Some(object.remove("items").unwrap_or_else(|| Value::Array(Vec::new()))))
        }
        name if name.starts_with("apiextensions/v1.JsonSchemaPropsOr") => {
            let mut object = Map::new();
            read_into(&mut object, bytes, of, depth + 1)?;
            // One of the two alternatives is set; a lone `allows: false` is the empty message.
            let chosen = object
                .remove("schema")
                .or_else(|| object.into_iter().next().map(|(_, value)| value));
            Ok(Some(chosen.unwrap_or(Value::Bool(false))))
        }
        _ => {
            let mut object = Map::new();
            read_into(&mut object, bytes, of, depth + 1)?;
            Ok(Some(Value::Object(object)))
        }
    }
}

fn int_or_string(bytes: &[u8]) -> Result<Option<Value>, ProtobufError> {
    if wire::varint_field(bytes, 1)?.unwrap_or_default() == 1 {
        let text = wire::bytes_field(bytes, 3)?.unwrap_or_default();
        return Ok(Some(text_of(text, "IntOrString")?.into()));
    }
    Ok(Some(
        wire::varint_field(bytes, 2)?.unwrap_or_default().cast_signed().into(),
    ))
}

/// An empty message is Go's zero time, which JSON writes as null.
fn time(bytes: &[u8], micro: bool) -> Result<Option<Value>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let seconds = wire::varint_field(bytes, 1)?.unwrap_or_default().cast_signed();
    let nanos = wire::varint_field(bytes, 2)?.unwrap_or_default();
    let nanos = i32::try_from(nanos).map_err(|error| ProtobufError::Malformed(format!("time: {error}")))?;
    let time = Timestamp::new(seconds, nanos).map_err(|error| ProtobufError::Malformed(format!("time: {error}")))?;
    let format = if micro {
        "%Y-%m-%dT%H:%M:%S.%6fZ"
    } else {
        "%Y-%m-%dT%H:%M:%SZ"
    };
    Ok(Some(time.strftime(format).to_string().into()))
}

/// Key and value of one map entry; a value that is not written is the empty one.
fn map_entry(bytes: &[u8], values: Kind, depth: usize) -> Option<Result<(String, Value), ProtobufError>> {
    let (mut key, mut value) = (String::new(), None);
    for field in Reader::new(bytes, "a map") {
        match field {
            Ok((1, WireValue::Bytes(text))) => key = String::from_utf8_lossy(text).into_owned(),
            Ok((2, found)) => match single(values, found, depth)? {
                Ok(found) => value = found,
                Err(error) => return Some(Err(error)),
            },
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
    }
    let empty = || match values {
        Kind::Message(of) if of.name() == "resource.Quantity" => "0".into(),
        Kind::Message(of) if of.name().ends_with(".ExtraValue") => Value::Array(Vec::new()),
        Kind::Message(_) => Value::Object(Map::new()),
        _ => "".into(),
    };
    Some(Ok((key, value.unwrap_or_else(empty))))
}
