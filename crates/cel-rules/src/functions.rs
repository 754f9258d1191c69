//! The one table of all functions: name, signatures, cost and what they do.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::library;
use crate::types::Type;
use crate::value::Value;

/// What a function does.
pub(crate) type Call = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, EvalError>;

/// A row of the table. Signatures read `receiver.(arguments) result`, or without a receiver.
pub(crate) struct Row {
    name: &'static str,
    signatures: &'static [&'static str],
    cost: Cost,
    call: Call,
}

/// A row, as the libraries write it.
pub(crate) const fn row(name: &'static str, signatures: &'static [&'static str], cost: Cost, call: Call) -> Row {
    Row {
        name,
        signatures,
        cost,
        call,
    }
}

/// A function with its signatures understood.
pub(crate) struct Function {
    pub name: &'static str,
    pub overloads: Vec<Overload>,
    pub cost: Cost,
    pub call: Call,
}

/// One signature.
pub(crate) struct Overload {
    /// Called on its first argument.
    pub member: bool,
    pub parameters: Vec<Type>,
    pub result: Type,
}

/// The function of a name; operators are named as cel-go names them, as `_+_`.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    static TABLE: LazyLock<BTreeMap<&'static str, Function>> = LazyLock::new(|| {
        let mut table = BTreeMap::new();
        for row in library::ALL.iter().copied().flatten() {
            let function = Function {
                name: row.name,
                overloads: row.signatures.iter().map(|text| overload(text)).collect(),
                cost: row.cost,
                call: row.call,
            };
            let before = table.insert(row.name, function);
            assert!(before.is_none(), "{} has two rows", row.name);
        }
        table
    });
    TABLE.get(name)
}

fn overload(text: &str) -> Overload {
    let (head, result) = text.rsplit_once(") ").expect("a signature ends with its result");
    let (receiver, arguments) = head.split_once('(').expect("a signature has arguments");
    let receiver = receiver.strip_suffix('.');
    let mut parameters: Vec<Type> = receiver.map(parse_type).into_iter().collect();
    parameters.extend(split(arguments).into_iter().map(parse_type));
    Overload {
        member: receiver.is_some(),
        parameters,
        result: parse_type(result),
    }
}

/// Splits at commas that are in no angle brackets.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (index, character) in text.char_indices() {
        match character {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

fn parse_type(text: &str) -> Type {
    if let Some((outer, inner)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        let mut inner = split(inner).into_iter().map(parse_type);
        let first = inner.next().unwrap_or(Type::Dyn);
        return match outer {
            "list" => Type::list(first),
            "optional" => Type::optional(first),
            _ => Type::Map(first.into(), inner.next().unwrap_or(Type::Dyn).into()),
        };
    }
    match text {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "type" => Type::Type,
        "A" => Type::Param('A'),
        "B" => Type::Param('B'),
        other => Type::Opaque(opaque(other)),
    }
}

/// Full names of the libraries' types.
fn opaque(short: &str) -> &'static str {
    match short {
        "url" => "kubernetes.URL",
        "ip" => "net.IP",
        "cidr" => "net.CIDR",
        "quantity" => "kubernetes.Quantity",
        "semver" => "kubernetes.Semver",
        "format" => "kubernetes.NamedFormat",
        "authorizer" => "kubernetes.authorization.Authorizer",
        "path_check" => "kubernetes.authorization.PathCheck",
        "group_check" => "kubernetes.authorization.GroupCheck",
        "resource_check" => "kubernetes.authorization.ResourceCheck",
        "decision" => "kubernetes.authorization.Decision",
        other => panic!("{other} is no type of a signature"),
    }
}
