//! Protobuf's wire form: numbered fields of four kinds.

use super::ProtobufError;

/// A value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// The fields of one message, in order.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    what: &'a str,
    failed: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'a str) -> Self {
        Self {
            rest: bytes,
            what,
            failed: false,
        }
    }

    fn field(&mut self) -> Option<(u32, WireValue<'a>)> {
        let key = varint(&mut self.rest)?;
        let tag = u32::try_from(key >> 3).ok().filter(|tag| *tag != 0)?;
        let value = match key & 7 {
            0 => WireValue::Varint(varint(&mut self.rest)?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                WireValue::Bytes(self.take(length)?)
            }
            5 => WireValue::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((tag, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, WireValue<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        self.failed = field.is_none();
        Some(field.ok_or_else(|| ProtobufError::Malformed(self.what.to_owned())))
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Numbers written one after another without tags.
pub(super) fn packed(mut bytes: &[u8]) -> Option<Vec<i64>> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(varint(&mut bytes)?.cast_signed());
    }
    Some(numbers)
}

/// The bytes of one field of a message; the last counts.
pub(super) fn bytes_field(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, ProtobufError> {
    let mut found = None;
    for field in Reader::new(message, "a scalar") {
        if let (tag, WireValue::Bytes(bytes)) = field?
            && tag == wanted
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

/// The number of one field of a message; the last counts.
pub(super) fn varint_field(message: &[u8], wanted: u32) -> Result<Option<u64>, ProtobufError> {
    let mut found = None;
    for field in Reader::new(message, "a scalar") {
        if let (tag, WireValue::Varint(number)) = field?
            && tag == wanted
        {
            found = Some(number);
        }
    }
    Ok(found)
}

/// Wire type of a number.
pub(super) const VARINT: u8 = 0;
/// Wire type of eight bytes.
pub(super) const FIXED64: u8 = 1;
/// Wire type of what has a length.
pub(super) const BYTES: u8 = 2;

pub(super) fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(super) fn write_key(bytes: &mut Vec<u8>, tag: u32, wire_type: u8) {
    write_varint(bytes, u64::from(tag) << 3 | u64::from(wire_type));
}

/// A field that is a number.
pub(super) fn write_number(bytes: &mut Vec<u8>, tag: u32, value: u64) {
    write_key(bytes, tag, VARINT);
    write_varint(bytes, value);
}

/// A field of given bytes.
pub(super) fn write_bytes(bytes: &mut Vec<u8>, tag: u32, content: &[u8]) {
    write_key(bytes, tag, BYTES);
    write_varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

/// A field whose content `write` appends; its length is put before it afterwards.
pub(super) fn write_nested(
    bytes: &mut Vec<u8>,
    tag: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ProtobufError>,
) -> Result<(), ProtobufError> {
    write_key(bytes, tag, BYTES);
    let start = bytes.len();
    write(bytes)?;
    let length = bytes.len() - start;
    write_varint(bytes, length as u64);
    // What was written as the length stands behind the content now; it belongs before it.
    bytes[start..].rotate_left(length);
    Ok(())
}
