//! What is stored of a value in an envelope: upstream's message `EncryptedObject`, and its rules.
//!
//! Source: `apiserver/pkg/storage/value/encrypt/envelope/kmsv2/{v2/api.proto,envelope.go}`.

use std::collections::BTreeMap;

use object_rules::names;

use super::envelope::Wrapped;

/// Numbers of the fields.
const DATA: u64 = 1;
const KEY_ID: u64 = 2;
const WRAPPED: u64 = 3;
const ANNOTATIONS: u64 = 4;
const SOURCE: u64 = 5;
/// Numbers of the fields of an annotation.
const NAME: u64 = 1;
const VALUE: u64 = 2;

/// Most bytes of a wrapped key, of a key's name, and of annotations.
const LONGEST_WRAPPED: usize = 1024;
const LONGEST_KEY_ID: usize = 1024;
const LONGEST_ANNOTATIONS: usize = 32 * 1024;

/// What was wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A key that encrypts values itself, as API servers before 1.29 write.
    Key,
    /// A seed from which a key for every value is made.
    Seed,
}

/// A value in its envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub data: Vec<u8>,
    pub wrapped: Wrapped,
    pub source: Source,
}

impl Message {
    /// Appends its wire form.
    pub fn write(&self, body: &mut Vec<u8>) {
        put_bytes(body, DATA, &self.data);
        put_bytes(body, KEY_ID, self.wrapped.key_id.as_bytes());
        put_bytes(body, WRAPPED, &self.wrapped.cipher);
        for (name, value) in &self.wrapped.annotations {
            let mut entry = Vec::new();
            put_bytes(&mut entry, NAME, name.as_bytes());
            put_bytes(&mut entry, VALUE, value);
            put_bytes(body, ANNOTATIONS, &entry);
        }
        if self.source == Source::Seed {
            put_number(body, SOURCE << 3);
            put_number(body, 1);
        }
    }

    /// Reads the wire form.
    ///
    /// # Errors
    /// When it is none, or breaks the rules.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (mut data, mut wrapped, mut source) = (Vec::new(), Wrapped::default(), 0);
        each_field(bytes, |field, value| {
            match (field, value) {
                (DATA, Value::Bytes(bytes)) => data = bytes.to_vec(),
                (KEY_ID, Value::Bytes(bytes)) => wrapped.key_id = text(bytes)?,
                (WRAPPED, Value::Bytes(bytes)) => wrapped.cipher = bytes.to_vec(),
                (ANNOTATIONS, Value::Bytes(entry)) => annotation(entry, &mut wrapped.annotations)?,
                (SOURCE, Value::Number(number)) => source = number,
                _ => {}
            }
            Some(())
        })
        .ok_or("failed to decode the encrypted object")?;
        let source = match source {
            0 => Source::Key,
            1 => Source::Seed,
            other => return Err(format!("unknown encryptedDEKSourceType: {other}")),
        };
        if data.is_empty() {
            return Err("encrypted data is empty".to_owned());
        }
        check(&wrapped)?;
        Ok(Self { data, wrapped, source })
    }
}

/// What a key service answered must fit into a message.
///
/// # Errors
/// What does not, in upstream's words.
pub(super) fn check(wrapped: &Wrapped) -> Result<(), String> {
    let length = wrapped.cipher.len();
    let problem = match length {
        0 => Some("encrypted DEK source is empty".to_owned()),
        _ if length > LONGEST_WRAPPED => Some(format!(
            "encrypted DEK source is {length} bytes, which exceeds the max size of {LONGEST_WRAPPED}"
        )),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(format!("failed to validate encrypted DEK source: {problem}"));
    }
    let length = wrapped.key_id.len();
    let problem = match length {
        0 => Some("keyID is empty".to_owned()),
        _ if length > LONGEST_KEY_ID => Some(format!(
            "keyID is {length} bytes, which exceeds the max size of {LONGEST_KEY_ID}"
        )),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(format!("failed to validate key id: {problem}"));
    }
    let annotations = &wrapped.annotations;
    if let Some(name) = annotations.keys().find(|name| !is_qualified(name)) {
        return Err(format!(
            "failed to validate annotations: annotations: Invalid value: {name:?}: should be a domain with at least two segments \
             separated by dots"
        ));
    }
    let total: usize = annotations.iter().map(|(name, value)| name.len() + value.len()).sum();
    if total > LONGEST_ANNOTATIONS {
        return Err(format!(
            "failed to validate annotations: total size of annotations is {total}, which exceeds the max size of \
             {LONGEST_ANNOTATIONS}"
        ));
    }
    Ok(())
}

fn is_qualified(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.contains('.') && names::dns_subdomain(name).is_empty()
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn each_field<'a>(mut rest: &'a [u8], mut take: impl FnMut(u64, Value<'a>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let tag = take_number(&mut rest)?;
        let number = take_number(&mut rest)?;
        let value = match tag & 7 {
            0 => Value::Number(number),
            2 => {
                let (bytes, after) = rest.split_at_checked(usize::try_from(number).ok()?)?;
                rest = after;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        take(tag >> 3, value)?;
    }
    Some(())
}

fn annotation(entry: &[u8], annotations: &mut BTreeMap<String, Vec<u8>>) -> Option<()> {
    let (mut name, mut value) = (String::new(), Vec::new());
    each_field(entry, |field, found| {
        match (field, found) {
            (NAME, Value::Bytes(bytes)) => name = text(bytes)?,
            (VALUE, Value::Bytes(bytes)) => value = bytes.to_vec(),
            _ => {}
        }
        Some(())
    })?;
    annotations.insert(name, value);
    Some(())
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_number(body: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        body.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    body.push(number as u8);
}

fn put_bytes(body: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_number(body, field << 3 | 2);
    put_number(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}
