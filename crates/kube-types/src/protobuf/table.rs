//! Which field of which message has which number: the extracted table, looked up line by line.

use std::collections::BTreeMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("messages.txt");

/// A message type of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageType {
    name: &'static str,
    fields: &'static str,
}

/// What a field, an element of a list or a value of a map holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Bytes,
    Double,
    Message(MessageType),
}

/// How often a field holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    One,
    List,
    /// By text keys.
    Map,
    /// Once, and its fields stand in the owner itself.
    Inline,
}

/// A field of a message.
pub(super) struct FieldType {
    pub(super) name: &'static str,
    pub(super) count: Count,
    pub(super) kind: Kind,
}

struct Index {
    kinds: BTreeMap<&'static str, &'static str>,
    messages: BTreeMap<&'static str, &'static str>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index {
            kinds: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
            if head == "kind" {
                index.kinds.extend(rest.split_once(' '));
            } else {
                index.messages.insert(head, rest);
            }
        }
        index
    })
}

/// The message of a kind. The options of a deletion belong to every group.
pub(super) fn kind(api_version: &str, kind: &str) -> Option<MessageType> {
    if kind == "DeleteOptions" {
        return message("meta/v1.DeleteOptions");
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    message(index().kinds.get(format!("{group}/{version}/{kind}").as_str())?)
}

fn message(name: &str) -> Option<MessageType> {
    let (name, fields) = index().messages.get_key_value(name)?;
    Some(MessageType { name, fields })
}

impl MessageType {
    /// As `core/v1.Pod`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The field of a number.
    pub(super) fn field(&self, tag: u32) -> Option<FieldType> {
        self.fields.split(' ').find_map(|entry| {
            let (name, rest) = entry.split_once('=')?;
            let letter = rest.find(|character: char| !character.is_ascii_digit())?;
            let number: u32 = rest[..letter].parse().ok()?;
            if number != tag {
                return None;
            }
            let (count, kind) = self.kind(&rest[letter..])?;
            Some(FieldType { name, count, kind })
        })
    }

    fn kind(&self, text: &'static str) -> Option<(Count, Kind)> {
        let (letter, of) = text.split_at(1);
        let count = match letter {
            "x" => Count::Inline,
            "t" | "u" | "v" => Count::Map,
            _ if letter.chars().all(char::is_uppercase) => Count::List,
            _ => Count::One,
        };
        let kind = match letter.to_ascii_lowercase().as_str() {
            "s" | "t" => Kind::Text,
            "i" => Kind::Integer,
            "b" => Kind::Boolean,
            "y" | "u" => Kind::Bytes,
            "d" => Kind::Double,
            "o" | "x" | "v" => Kind::Message(self.resolve(of)?),
            _ => return None,
        };
        Some((count, kind))
    }

    /// A name that begins with a dot is of the same package. Types with a JSON form of their own have no line.
    fn resolve(&self, of: &'static str) -> Option<MessageType> {
        match of.strip_prefix('.') {
            None => Some(message(of).unwrap_or(MessageType { name: of, fields: "" })),
            Some(_) => {
                let package = self.name.rsplit_once('.').map_or("", |(package, _)| package);
                message(&format!("{package}{of}"))
            }
        }
    }
}
