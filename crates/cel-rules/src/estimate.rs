//! What an expression may cost at most, from how large what it reads can be.
//!
//! Source: cel-go's `checker/cost.go` with the estimates of `apiserver/pkg/cel/library/cost.go`. Only the upper bounds are
//! kept. One is lower than upstream's: texts made from numbers have a length here, so that messages may contain them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::cost::Cost;
use crate::functions::Function;
use crate::lower::{Collect, Kind, Loop, Node};
use crate::parse::Mode;
use crate::program::Program;
use crate::types::Type;
use crate::value::Value;

/// Reading a character, an element of a text.
const TRAVERSAL: f64 = 0.1;
/// Matching a character of a pattern.
const PATTERN: f64 = 0.25;
const NEW_LIST: u64 = 10;
const NEW_MAP: u64 = 30;
/// The longest text of a number, a truth or a time.
const SCALAR_TEXT: u64 = 64;
/// The longest pattern of a named format.
const NAMED_PATTERN: u64 = 128;
/// Functions that read a text once.
const PARSERS: &[&str] = &[
    "url",
    "isURL",
    "ip",
    "isIP",
    "cidr",
    "isCIDR",
    "quantity",
    "isQuantity",
    "semver",
    "isSemver",
    "strings.quote",
];

/// How large a value can be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extent {
    /// Characters of a text, bytes, elements or entries, at most.
    pub size: u64,
    /// The value is a number, a truth or a time.
    pub scalar: bool,
    /// What is inside.
    pub inside: Inside,
}

/// What is inside a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Inside {
    /// Nothing that can be reached.
    #[default]
    Nothing,
    /// Elements.
    Items(Box<Extent>),
    /// Values under keys.
    Values(Box<Extent>),
    /// Fields, by the names that expressions use.
    Fields(BTreeMap<String, Extent>),
}

/// A part of an expression: what it costs to have it, and how large it is.
#[derive(Clone)]
struct Part<'x> {
    cost: u64,
    size: u64,
    scalar: bool,
    /// The declared value that it is.
    extent: Option<&'x Extent>,
    /// How large elements of what was made in the expression are.
    element: Option<u64>,
}

impl Program {
    /// The most that evaluating may cost when variables are as large as they can be.
    pub fn most<'x>(&self, variables: &'x dyn Fn(&str) -> Option<&'x Extent>) -> u64 {
        let mut estimate = Estimate {
            variables,
            locals: Vec::new(),
        };
        estimate.part(&self.node).cost
    }
}

fn scaled(size: u64, factor: f64) -> u64 {
    // What is larger than the type saturates.
    (size as f64 * factor).ceil() as u64
}

impl<'x> Part<'x> {
    /// A number, a truth or a time.
    fn scalar(cost: u64) -> Self {
        Self {
            size: 1,
            scalar: true,
            ..Self::unknown(cost)
        }
    }

    fn unknown(cost: u64) -> Self {
        Self {
            cost,
            size: u64::MAX,
            scalar: false,
            extent: None,
            element: None,
        }
    }

    fn sized(cost: u64, size: u64) -> Self {
        Self {
            size,
            ..Self::unknown(cost)
        }
    }

    fn of(cost: u64, extent: Option<&'x Extent>) -> Self {
        match extent {
            None => Self::unknown(cost),
            Some(known) => Self {
                cost,
                size: known.size,
                scalar: known.scalar,
                extent,
                element: None,
            },
        }
    }

    fn add(mut self, cost: u64) -> Self {
        self.cost = self.cost.saturating_add(cost);
        self
    }

    /// What a loop sees of it: key or index, and element or value.
    fn entries(&self) -> (Self, Self) {
        match self.extent.map(|extent| &extent.inside) {
            Some(Inside::Items(items)) => (Self::scalar(1), Self::of(1, Some(items))),
            // Keys have no length of their own, as upstream.
            Some(Inside::Values(values)) => (Self::sized(1, 0), Self::of(1, Some(values))),
            _ => match self.element {
                Some(size) => (Self::scalar(1), Self::sized(1, size)),
                None => (Self::unknown(1), Self::unknown(1)),
            },
        }
    }

    fn is_map(&self) -> bool {
        matches!(self.extent.map(|extent| &extent.inside), Some(Inside::Values(_)))
    }
}

struct Estimate<'x> {
    variables: &'x dyn Fn(&str) -> Option<&'x Extent>,
    locals: Vec<Part<'x>>,
}

impl<'x> Estimate<'x> {
    fn part(&mut self, node: &Node) -> Part<'x> {
        match &node.kind {
            Kind::Unknown => Part::unknown(0),
            Kind::Literal(value) => literal(value),
            Kind::Variable(name) => Part::of(1, (self.variables)(name)),
            Kind::Local(place) => self.locals.get(*place).cloned().unwrap_or(Part::unknown(1)),
            Kind::Select { of, field, mode } => self.select(of, field, *mode),
            Kind::List(items) => {
                let parts: Vec<Part<'x>> = items.iter().map(|(item, _)| self.part(item)).collect();
                let element = parts.iter().map(|part| part.size).max().unwrap_or(0);
                Part {
                    element: Some(element),
                    ..Part::sized(sum(&parts).saturating_add(NEW_LIST), parts.len() as u64)
                }
            }
            Kind::Map(entries) => {
                let keys = entries.iter().map(|(key, value, _)| [key, value]);
                let parts: Vec<Part<'x>> = keys.flatten().map(|one| self.part(one)).collect();
                Part::sized(sum(&parts).saturating_add(NEW_MAP), entries.len() as u64)
            }
            Kind::And(sides) | Kind::Or(sides) => {
                let parts: Vec<Part<'x>> = sides.iter().map(|side| self.part(side)).collect();
                Part::scalar(sum(&parts))
            }
            Kind::If(parts) => {
                let [condition, yes, no] = &**parts;
                let (condition, yes, no) = (self.part(condition), self.part(yes), self.part(no));
                either(yes, no).add(condition.cost)
            }
            Kind::Matches(subject, pattern) => {
                let subject = self.part(subject);
                let length = pattern.as_str().chars().count() as u64;
                Part::scalar(matching(&subject, length).saturating_add(subject.cost))
            }
            Kind::Call {
                function, arguments, ..
            } => {
                let parts: Vec<Part<'x>> = arguments.iter().map(|argument| self.part(argument)).collect();
                called(function, &parts)
            }
            Kind::Loop(parts) => self.looped(parts),
            Kind::Bind(parts) => {
                let [value, body] = &**parts;
                let value = self.part(value);
                let cost = value.cost.saturating_add(NEW_LIST);
                self.within(vec![Part { cost: 1, ..value }], body).add(cost)
            }
            Kind::OptMap { of, body, .. } => {
                let of = self.part(of);
                // Whether there is a value is asked, then the value; the rest is making and binding.
                let cost = of.cost.saturating_mul(2).saturating_add(3 + NEW_LIST);
                self.within(vec![Part { cost: 1, ..of }], body).add(cost)
            }
        }
    }

    fn within(&mut self, locals: Vec<Part<'x>>, body: &Node) -> Part<'x> {
        let outer = self.locals.len();
        self.locals.extend(locals);
        let found = self.part(body);
        self.locals.truncate(outer);
        found
    }

    fn select(&mut self, of: &Node, field: &str, mode: Mode) -> Part<'x> {
        let of = self.part(of);
        if mode == Mode::Test {
            return Part::scalar(of.cost);
        }
        let cost = of.cost.saturating_add(1);
        let found = match of.extent.map(|extent| &extent.inside) {
            Some(Inside::Fields(fields)) => fields.get(field),
            Some(Inside::Values(values)) => Some(&**values),
            _ => None,
        };
        Part::of(cost, found)
    }

    /// The costs of what cel-go's macros are expanded to.
    fn looped(&mut self, parts: &Loop) -> Part<'x> {
        let over = self.part(&parts.over);
        let (first, second) = over.entries();
        let locals = match (parts.pairs, over.is_map()) {
            (true, _) => vec![first, second],
            (false, true) => vec![first],
            (false, false) => vec![second],
        };
        let filter = parts.filter.as_ref();
        let filter = filter.map_or(0, |filter| self.within(locals.clone(), filter).cost);
        let body = self.within(locals, &parts.body);
        let (each, once, is_scalar) = match parts.result {
            Collect::All => (3, 1, true),
            Collect::Exists => (4, 1, true),
            Collect::ExistsOne => (2, 2, true),
            Collect::List => (2 + NEW_LIST, NEW_LIST + 1, false),
            Collect::Filter => (3 + NEW_LIST, NEW_LIST + 1, false),
            Collect::Map | Collect::Entries => (3, NEW_MAP + 1, false),
            Collect::SortBy => (2 + NEW_LIST, NEW_LIST + 1, false),
        };
        let each = body.cost.saturating_add(filter).saturating_add(each);
        let cost = over
            .cost
            .saturating_add(once)
            .saturating_add(over.size.saturating_mul(each));
        if is_scalar {
            return Part::scalar(cost);
        }
        Part {
            element: Some(body.size).filter(|_| parts.result == Collect::List),
            ..Part::sized(cost, over.size)
        }
    }
}

fn sum(parts: &[Part<'_>]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.cost))
}

fn either<'x>(one: Part<'x>, other: Part<'x>) -> Part<'x> {
    Part {
        cost: one.cost.max(other.cost),
        size: one.size.max(other.size),
        scalar: one.scalar && other.scalar,
        extent: one.extent.filter(|extent| other.extent == Some(extent)),
        element: one.element.zip(other.element).map(|(one, other)| one.max(other)),
    }
}

fn literal<'x>(value: &Value<'static>) -> Part<'x> {
    match value {
        Value::String(_) | Value::Bytes(_) => Part::sized(0, value.size()),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) => Part::scalar(0),
        _ => Part::unknown(0),
    }
}

/// Matching a text with a pattern of a length.
fn matching(subject: &Part<'_>, pattern: u64) -> u64 {
    let text = scaled(subject.size.saturating_add(1), TRAVERSAL);
    text.saturating_mul(scaled(pattern, PATTERN))
}

/// What a call costs with its arguments, and how large its result is.
fn called<'x>(function: &Function, arguments: &[Part<'x>]) -> Part<'x> {
    let read = |index: usize| arguments.get(index).map_or(0, |part| scaled(part.size, TRAVERSAL));
    let own = operated(function.name, arguments).or_else(|| of_text(function.name, arguments));
    let own = own.unwrap_or_else(|| {
        let cost = match (function.name, arguments) {
            ("validate", [_, text]) => matching(text, NAMED_PATTERN),
            ("ip.isCanonical", [text]) => scaled(text.size, 2.0 * TRAVERSAL),
            (name, _) if PARSERS.contains(&name) => read(0),
            _ => by_table(function.cost, arguments),
        };
        if function.overloads.iter().all(|overload| is_scalar(&overload.result)) {
            Part::scalar(cost)
        } else {
            Part::unknown(cost)
        }
    });
    own.add(sum(arguments))
}

/// Operators and conversions.
fn operated<'x>(name: &str, arguments: &[Part<'x>]) -> Option<Part<'x>> {
    Some(match (name, arguments) {
        ("_[_]", [of, _]) => {
            let found = match of.extent.map(|extent| &extent.inside) {
                Some(Inside::Items(inside) | Inside::Values(inside)) => Part::of(1, Some(inside)),
                _ => of.element.map_or(Part::unknown(1), |size| Part::sized(1, size)),
            };
            Part { cost: 1, ..found }
        }
        ("_+_", [one, other]) if one.scalar || other.scalar => Part::scalar(1),
        ("_+_", [one, other]) => {
            let length = one.size.saturating_add(other.size);
            let is_list = |part: &Part<'_>| {
                part.element.is_some() || matches!(part.extent.map(|of| &of.inside), Some(Inside::Items(_)))
            };
            let joined = is_list(one) || is_list(other);
            let element = one.element.zip(other.element);
            Part {
                element: element.map(|(one, other)| one.max(other)),
                ..Part::sized(if joined { 1 } else { scaled(length, TRAVERSAL) }, length)
            }
        }
        ("@in", [_, of]) => Part::scalar(if of.is_map() { 1 } else { of.size }),
        ("dyn", [one]) => Part { cost: 1, ..one.clone() },
        ("string", [one]) if one.scalar => Part::sized(1, SCALAR_TEXT),
        ("string" | "bytes", [one]) => Part::sized(scaled(one.size, TRAVERSAL), one.size.saturating_mul(4)),
        _ => return None,
    })
}

/// Functions of texts and lists.
fn of_text<'x>(name: &str, arguments: &[Part<'x>]) -> Option<Part<'x>> {
    let (of, rest) = arguments.split_first()?;
    let size = |index: usize| rest.get(index).map_or(0, |part| part.size);
    let read = scaled(of.size, TRAVERSAL);
    Some(match (name, rest) {
        ("lowerAscii" | "upperAscii" | "substring" | "trim", _) => Part::sized(read, of.size),
        ("replace", [old, new, ..]) => Part::sized(scaled(of.size, 2.0 * TRAVERSAL), replaced(of, old, new)),
        ("split", _) => Part {
            element: Some(of.size),
            ..Part::sized(scaled(of.size, 2.0 * TRAVERSAL), of.size)
        },
        ("join", _) => {
            let (_, element) = of.entries();
            let separators = size(0).saturating_mul(of.size.saturating_sub(1));
            let length = of.size.saturating_mul(element.size).saturating_add(separators);
            Part::sized(scaled(length, TRAVERSAL), length)
        }
        ("startsWith" | "endsWith", [part]) => Part::scalar(scaled(part.size, TRAVERSAL)),
        ("contains", [part]) => Part::scalar(read.saturating_mul(scaled(part.size, TRAVERSAL))),
        ("matches", _) => Part::scalar(matching(of, size(0))),
        ("find" | "findAll", _) => Part {
            element: Some(of.size),
            ..Part::sized(matching(of, size(0)), of.size)
        },
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", _) => {
            match of.extent.map(|extent| &extent.inside) {
                Some(Inside::Items(items)) => {
                    let text = if items.scalar { 0 } else { scaled(items.size, TRAVERSAL) };
                    Part::scalar(of.size.saturating_mul(text.saturating_add(1)))
                }
                _ => Part::scalar(read),
            }
        }
        ("format", _) => Part::sized(read, of.size.saturating_add(size(0).saturating_mul(SCALAR_TEXT))),
        _ => return None,
    })
}

/// How long a text can be in which all of `old` was replaced.
fn replaced(text: &Part<'_>, old: &Part<'_>, new: &Part<'_>) -> u64 {
    // Only of what is written in the expression is the length known and not just bounded.
    let is_written = old.extent.is_none() && old.size > 0 && old.size < u64::MAX;
    if is_written && new.size <= old.size {
        return text.size;
    }
    let times = text.size.saturating_add(1);
    times.saturating_mul(new.size.max(1)).saturating_add(text.size)
}

/// The cost of a call of a library that compares or asks; every other call is one step.
fn by_table(cost: Cost, arguments: &[Part<'_>]) -> u64 {
    let size = |index: usize| arguments.get(index).map_or(0, |part| part.size);
    match cost {
        Cost::Compare => scaled(size(0).min(size(1)), TRAVERSAL),
        Cost::Pairs => size(0).saturating_mul(size(1)),
        Cost::Access => cost.of(&[]),
        _ => 1,
    }
}

fn is_scalar(of: &Type) -> bool {
    matches!(
        of,
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Duration | Type::Timestamp | Type::Null
    )
}
