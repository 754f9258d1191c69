//! Static types: what an expression gives, and what in it can never work.

use std::collections::BTreeMap;

use crate::functions::{Function, Overload};
use crate::lower::{Collect, Kind, Loop, Node};
use crate::parse::{Issue, Mode};
use crate::types::Type;
use crate::value::Value;

/// Finds the type of each part.
pub(crate) struct Checker<'e> {
    pub variables: &'e dyn Fn(&str) -> Option<Type>,
    pub locals: Vec<Type>,
    pub issues: Vec<Issue>,
}

impl Checker<'_> {
    /// The type of a part; complaints are noted.
    pub fn type_of(&mut self, node: &Node) -> Type {
        match &node.kind {
            Kind::Unknown => Type::Dyn,
            Kind::Literal(value) => literal(value),
            Kind::Variable(name) => (self.variables)(name).unwrap_or(Type::Dyn),
            Kind::Local(place) => self.locals.get(*place).cloned().unwrap_or(Type::Dyn),
            Kind::Select { of, field, mode } => self.select(node.at, of, field, *mode),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::And(sides) => self.logic(node.at, "_&&_", sides),
            Kind::Or(sides) => self.logic(node.at, "_||_", sides),
            Kind::If(parts) => {
                let [condition, yes, no] = &**parts;
                let condition = self.type_of(condition);
                let (yes, no) = (self.type_of(yes), self.type_of(no));
                let mut bound = BTreeMap::new();
                let same = Type::Param('A');
                if !(Type::Bool.accepts(&condition, &mut bound)
                    && same.accepts(&yes, &mut bound)
                    && same.accepts(&no, &mut bound))
                {
                    return self.no_overload(node.at, "_?_:_", &[condition, yes, no], false);
                }
                same.filled(&bound)
            }
            Kind::Matches(subject, _) => {
                let subject = self.type_of(subject);
                if Type::String.accepts(&subject, &mut BTreeMap::new()) {
                    Type::Bool
                } else {
                    self.no_overload(node.at, "matches", &[subject, Type::String], true)
                }
            }
            Kind::Call {
                function,
                member,
                arguments,
            } => self.call(node.at, function, *member, arguments),
            Kind::Loop(parts) => self.looped(parts),
            Kind::Bind(parts) => {
                let [value, body] = &**parts;
                let value = self.type_of(value);
                self.within(vec![value], body)
            }
            Kind::OptMap { of, body, flat } => {
                let inner = match self.type_of(of) {
                    Type::Optional(inner) => (*inner).clone(),
                    _ => Type::Dyn,
                };
                let made = self.within(vec![inner], body);
                if *flat { made } else { Type::optional(made) }
            }
        }
    }

    fn within(&mut self, locals: Vec<Type>, body: &Node) -> Type {
        let outer = self.locals.len();
        self.locals.extend(locals);
        let found = self.type_of(body);
        self.locals.truncate(outer);
        found
    }

    fn complain(&mut self, at: usize, problem: String) -> Type {
        self.issues.push(Issue { at, problem });
        Type::Dyn
    }

    fn no_overload(&mut self, at: usize, name: &str, given: &[Type], member: bool) -> Type {
        let shown: Vec<String> = given.iter().map(ToString::to_string).collect();
        let shown = match shown.split_first() {
            Some((receiver, rest)) if member => format!("{receiver}.({})", rest.join(", ")),
            _ => format!("({})", shown.join(", ")),
        };
        self.complain(
            at,
            format!("found no matching overload for '{name}' applied to '{shown}'"),
        )
    }

    fn select(&mut self, at: usize, of: &Node, field: &str, mode: Mode) -> Type {
        let mut of = self.type_of(of);
        let mut optional = mode == Mode::Optional;
        if let Type::Optional(inner) = of {
            of = (*inner).clone();
            optional = true;
        }
        let found = match &of {
            Type::Dyn => Type::Dyn,
            Type::Map(_, holds) => (**holds).clone(),
            Type::Object(object) => match object.fields.get(field) {
                Some(field) => field.holds.clone(),
                None => return self.complain(at, format!("undefined field '{field}'")),
            },
            Type::Opaque("kubernetes.authorization.Authorizer") if field == "requestResource" => {
                Type::Opaque("kubernetes.authorization.ResourceCheck")
            }
            other => return self.complain(at, format!("type '{other}' does not support field selection")),
        };
        match mode {
            Mode::Test => Type::Bool,
            _ if optional => Type::optional(found),
            _ => found,
        }
    }

    /// Elements of a literal are of one type.
    fn list(&mut self, elements: &[(Node, bool)]) -> Type {
        let mut of: Option<Type> = None;
        for (element, optional) in elements {
            let found = self.element(element, *optional);
            of = Some(self.same(element.at, of, found));
        }
        Type::list(of.unwrap_or(Type::Dyn))
    }

    /// The values that `format` writes may be of any types.
    fn mixed(&mut self, items: &[(Node, bool)]) -> Type {
        for (item, _) in items {
            self.type_of(item);
        }
        Type::list(Type::Dyn)
    }

    fn map(&mut self, entries: &[(Node, Node, bool)]) -> Type {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        for (key, value, optional) in entries {
            let found = self.type_of(key);
            keys = Some(keys.map_or(found.clone(), |known| known.joined(found)));
            let found = self.element(value, *optional);
            values = Some(values.map_or(found.clone(), |known| known.joined(found)));
        }
        let (keys, values) = (keys.unwrap_or(Type::Dyn), values.unwrap_or(Type::Dyn));
        Type::Map(keys.into(), values.into())
    }

    fn element(&mut self, node: &Node, optional: bool) -> Type {
        match self.type_of(node) {
            Type::Optional(inner) if optional => (*inner).clone(),
            found => found,
        }
    }

    fn same(&mut self, at: usize, known: Option<Type>, found: Type) -> Type {
        match known {
            None => found,
            Some(known) if known.accepts(&found, &mut BTreeMap::new()) => known.joined(found),
            Some(known) => {
                self.complain(at, format!("expected type '{known}' but found '{found}'"));
                known
            }
        }
    }

    fn logic(&mut self, at: usize, name: &str, sides: &[Node]) -> Type {
        let given: Vec<Type> = sides.iter().map(|side| self.type_of(side)).collect();
        let wrong = given
            .iter()
            .position(|side| !Type::Bool.accepts(side, &mut BTreeMap::new()));
        match wrong {
            None => Type::Bool,
            Some(place) => {
                let pair = place.saturating_sub(1);
                self.no_overload(at, name, &given[pair..=pair + 1], false)
            }
        }
    }

    fn call(&mut self, at: usize, function: &Function, member: bool, arguments: &[Node]) -> Type {
        let given: Vec<Type> = arguments
            .iter()
            .map(|argument| match &argument.kind {
                Kind::List(items) if function.name == "format" => self.mixed(items),
                _ => self.type_of(argument),
            })
            .collect();
        // What is called on an optional value by index gives an optional value.
        if matches!(function.name, "_[_]" | "_[?_]")
            && let Some(Type::Optional(_)) = given.first()
        {
            return Type::optional(Type::Dyn);
        }
        let mut found: Option<Type> = None;
        for overload in function.overloads.iter().filter(|overload| overload.member == member) {
            if let Some(result) = result_of(overload, &given) {
                found = Some(found.map_or(result.clone(), |known| known.joined(result)));
            }
        }
        match found {
            Some(result) => result,
            None => self.no_overload(at, function.name, &given, member),
        }
    }

    fn looped(&mut self, parts: &Loop) -> Type {
        let over = self.type_of(&parts.over);
        let (first, second) = match &over {
            Type::List(of, _) => (Type::Int, (**of).clone()),
            Type::Map(key, of) => ((**key).clone(), (**of).clone()),
            Type::Dyn => (Type::Dyn, Type::Dyn),
            other => {
                let problem = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.complain(parts.over.at, problem);
                (Type::Dyn, Type::Dyn)
            }
        };
        let locals = match (&over, parts.pairs) {
            (_, true) => vec![first, second],
            (Type::Map(..), false) => vec![first],
            (_, false) => vec![second],
        };
        if let Some(filter) = &parts.filter {
            self.condition(locals.clone(), filter);
        }
        match parts.result {
            Collect::All | Collect::Exists | Collect::ExistsOne => {
                self.condition(locals, &parts.body);
                Type::Bool
            }
            Collect::Filter => {
                let element = locals.last().cloned().unwrap_or(Type::Dyn);
                self.condition(locals, &parts.body);
                Type::list(element)
            }
            Collect::List => Type::list(self.within(locals, &parts.body)),
            Collect::SortBy => {
                self.within(locals, &parts.body);
                over
            }
            Collect::Map => {
                let key = locals.first().cloned().unwrap_or(Type::Dyn);
                Type::Map(key.into(), self.within(locals, &parts.body).into())
            }
            Collect::Entries => self.within(locals, &parts.body),
        }
    }

    fn condition(&mut self, locals: Vec<Type>, body: &Node) {
        let found = self.within(locals, body);
        if !Type::Bool.accepts(&found, &mut BTreeMap::new()) {
            self.complain(body.at, format!("expected type 'bool' but found '{found}'"));
        }
    }
}

fn result_of(overload: &Overload, given: &[Type]) -> Option<Type> {
    if overload.parameters.len() != given.len() {
        return None;
    }
    let mut bound = BTreeMap::new();
    let fits = overload
        .parameters
        .iter()
        .zip(given)
        .all(|(parameter, given)| parameter.accepts(given, &mut bound));
    fits.then(|| overload.result.filled(&bound))
}

fn literal(value: &Value<'_>) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        Value::Type(_) => Type::Type,
        _ => Type::Dyn,
    }
}
