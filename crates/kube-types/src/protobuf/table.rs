//! Which field of which message has which number: the extracted table. A message's line is read when it is first met.

use std::collections::HashMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("messages.txt");

/// A message type.
pub(super) struct Message {
    name: &'static str,
    pub(super) form: Form,
    line: &'static str,
    /// In the order of their numbers.
    fields: OnceLock<Box<[Field]>>,
}

/// What stands for a message in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// An object of its fields.
    Plain,
    /// The text or number of a quantity.
    Quantity,
    /// A number or a text.
    IntOrString,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Any JSON value, written as JSON in protobuf too.
    RawJson,
    /// The list that is its only field.
    Items,
    /// One of several alternatives, told apart by the type of the JSON value.
    Alternatives,
}

/// A field of a message.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) tag: u32,
    pub(super) count: Count,
    pub(super) kind: Kind,
    /// Absence differs from the zero value, which is otherwise written.
    pub(super) pointer: bool,
    /// JSON has the zero value too.
    pub(super) always: bool,
}

/// How often a field holds a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    One,
    List,
    /// By text keys.
    Map,
    /// Once, and its fields stand in the owner itself.
    Inline,
}

/// What a field, an element of a list or a value of a map holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
    Bytes,
    Double,
    Message(&'static Message),
}

struct Index {
    kinds: HashMap<&'static str, &'static str>,
    messages: HashMap<&'static str, Message>,
}

/// Types that the table names without a line of their own; all others of these are empty messages.
const FORMS: &[(&str, Form)] = &[
    ("resource.Quantity", Form::Quantity),
    ("intstr.IntOrString", Form::IntOrString),
    ("meta/v1.Time", Form::Time),
    ("meta/v1.MicroTime", Form::MicroTime),
    ("meta/v1.FieldsV1", Form::RawJson),
    ("runtime.RawExtension", Form::RawJson),
    ("apiextensions/v1.JSON", Form::RawJson),
    ("apiextensions/v1beta1.JSON", Form::RawJson),
];

/// A message without fields, which some alternatives are.
static EMPTY: Message = Message {
    name: "an empty message",
    form: Form::Plain,
    line: "",
    fields: OnceLock::new(),
};

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index {
            kinds: HashMap::new(),
            messages: HashMap::new(),
        };
        for (name, form) in FORMS {
            index.messages.insert(name, message_of(name, *form, ""));
        }
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
            if head == "kind" {
                index.kinds.extend(rest.split_once(' '));
            } else {
                let form = if rest == "items=1S" {
                    Form::Items
                } else if head.contains(".JSONSchemaPropsOr") {
                    Form::Alternatives
                } else {
                    Form::Plain
                };
                index.messages.insert(head, message_of(head, form, rest));
            }
        }
        index
    })
}

fn message_of(name: &'static str, form: Form, line: &'static str) -> Message {
    Message {
        name,
        form,
        line,
        fields: OnceLock::new(),
    }
}

/// The message of a kind. Options and errors belong to every group.
pub(super) fn kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kinds = &index().kinds;
    let name = kinds.get(format!("{group}/{version}/{kind}").as_str()).or_else(|| {
        let shared = matches!(
            kind,
            "DeleteOptions" | "CreateOptions" | "UpdateOptions" | "PatchOptions"
        );
        kinds.get(format!("/v1/{kind}").as_str()).filter(|_| shared)
    });
    index().messages.get(name?)
}

impl Message {
    /// As `core/v1.Pod`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// All fields in the order of their numbers.
    pub(super) fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| {
            let entries = self.line.split(' ').filter(|entry| !entry.is_empty());
            entries.filter_map(|entry| self.read(entry)).collect()
        })
    }

    /// The field of a number.
    pub(super) fn field(&self, tag: u32) -> Option<&Field> {
        let fields = self.fields();
        let index = fields.binary_search_by_key(&tag, |field| field.tag).ok()?;
        Some(&fields[index])
    }

    /// An entry as `replicas=1i?` or `template=3ocore/v1.PodTemplateSpec`.
    fn read(&self, entry: &'static str) -> Option<Field> {
        let (name, rest) = entry.split_once('=')?;
        let at = rest.find(|character: char| !character.is_ascii_digit())?;
        let (tag, rest) = rest.split_at(at);
        let (letter, rest) = rest.split_at(1);
        let (pointer, always) = (rest.starts_with('?'), rest.starts_with('!'));
        let of = rest.trim_start_matches(['?', '!']);
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
            "o" | "x" | "v" => Kind::Message(self.resolve(of)),
            _ => return None,
        };
        let tag = tag.parse().ok()?;
        Some(Field {
            name,
            tag,
            count,
            kind,
            pointer,
            always,
        })
    }

    /// A name that begins with a dot is of the same package.
    fn resolve(&self, of: &'static str) -> &'static Message {
        let package = self.name.rsplit_once('.').map_or("", |(package, _)| package);
        let messages = &index().messages;
        let found = match of.strip_prefix('.') {
            None => messages.get(of),
            Some(_) => messages.get(format!("{package}{of}").as_str()),
        };
        found.unwrap_or(&EMPTY)
    }
}
