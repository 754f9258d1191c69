//! Kubernetes' protobuf form of objects, to and from the JSON form that everything else works on.
//!
//! Which field has which number, and which zero values are written, is an extracted table; what else differs between
//! the two forms is here. Custom resources have no protobuf form.

mod decode;
mod encode;
mod scalars;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use std::ops::Range;

use crate::dynamic::{Map, Value};

pub use decode::decode;

/// The media type of this form.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";
/// Encoding and media type of the content, which are never set: the last bytes of every envelope.
const TAIL: &[u8] = &[0x1a, 0, 0x22, 0];
/// Number of the field of an envelope that holds the object, and of the field of a list that holds an item.
const CONTENT: u32 = 2;

/// Why an object cannot be brought from one form into the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
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
    /// A JSON value is not of the field's type.
    #[error("{0} has a value of another type")]
    Mismatch(String),
}

/// Does a kind have a protobuf form?
#[must_use]
pub fn knows(api_version: &str, kind: &str) -> bool {
    table::kind(api_version, kind).is_some()
}

/// An object in its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The whole.
    pub bytes: Vec<u8>,
    /// The field that holds the object, its number and length included: an item of a list looks the same.
    pub content: Range<usize>,
}

/// Writes an object, of the kind that it names.
///
/// # Errors
/// When its kind is not known, or a value is not of the type of its field.
pub fn encode(object: &Map<String, Value>) -> Result<Envelope, ProtobufError> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let of = known(api_version, kind)?;
    let mut bytes = head(api_version, kind);
    let start = bytes.len();
    wire::write_nested(&mut bytes, CONTENT, |bytes| {
        encode::write_message(bytes, Some(object), of)
    })?;
    let content = start..bytes.len();
    bytes.extend_from_slice(TAIL);
    Ok(Envelope { bytes, content })
}

/// What stands before and after the items of a list of a known kind. `items` is the length of all items, each as
/// [`Envelope::content`] has it.
///
/// # Errors
/// When a value of the metadata is not of the type of its field.
pub fn list_frame(
    api_version: &str,
    kind: &str,
    metadata: &Map<String, Value>,
    items: usize,
) -> Result<(Vec<u8>, &'static [u8]), ProtobufError> {
    let of = known("v1", "List")?;
    let mut before = Vec::new();
    let list = Map::from_iter([("metadata".to_owned(), Value::Object(metadata.clone()))]);
    encode::write_message(&mut before, Some(&list), of)?;
    let mut bytes = head(api_version, kind);
    wire::write_key(&mut bytes, CONTENT, wire::BYTES);
    wire::write_varint(&mut bytes, (before.len() + items) as u64);
    bytes.extend_from_slice(&before);
    Ok((bytes, TAIL))
}

/// One event of a watch as a length-delimited frame. `object` is a whole envelope.
#[must_use]
pub fn watch_frame(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    wire::write_bytes(&mut raw, 1, object);
    let mut frame = Vec::with_capacity(raw.len() + kind.len() + 16);
    frame.extend_from_slice(&[0; 4]);
    wire::write_bytes(&mut frame, 1, kind.as_bytes());
    wire::write_bytes(&mut frame, 2, &raw);
    // A frame of more than 4 GiB would hold an object of that size; objects have at most a few MiB.
    let length = u32::try_from(frame.len() - 4).unwrap_or(u32::MAX);
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn known(api_version: &str, kind: &str) -> Result<&'static table::Message, ProtobufError> {
    table::kind(api_version, kind).ok_or_else(|| ProtobufError::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    })
}

/// The magic number and the type of what follows.
fn head(api_version: &str, kind: &str) -> Vec<u8> {
    let mut types = Vec::with_capacity(api_version.len() + kind.len() + 4);
    wire::write_bytes(&mut types, 1, api_version.as_bytes());
    wire::write_bytes(&mut types, 2, kind.as_bytes());
    let mut bytes = Vec::with_capacity(1024);
    bytes.extend_from_slice(MAGIC);
    wire::write_bytes(&mut bytes, 1, &types);
    bytes
}
