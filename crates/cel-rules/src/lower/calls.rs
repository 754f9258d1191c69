//! Calls and macros.

use regex::Regex;

use super::{Collect, Kind, Loop, Lowering, Node};
use crate::functions::{self, Function};
use crate::parse::{Expr, Tree};
use crate::value::Value;

impl Lowering<'_> {
    pub(super) fn call(&mut self, at: usize, name: &str, member: bool, args: &[Tree]) -> Kind {
        if let ("_?_:_", [condition, yes, no]) = (name, args) {
            return Kind::If(Box::new([self.node(condition), self.node(yes), self.node(no)]));
        }
        if member
            && let Some((target, args)) = args.split_first()
            && let Some(path) = target.path()
            && !self.names(path.split('.').next().unwrap_or_default())
            && let Some(function) = functions::find(&format!("{path}.{name}"))
        {
            let arguments = self.nodes(args);
            return self.found(function, false, arguments);
        }
        let arguments = self.nodes(args);
        match functions::find(name.trim_start_matches('.')) {
            Some(function) => self.found(function, member, arguments),
            None => self.undeclared(at, name),
        }
    }

    fn found(&mut self, function: &'static Function, member: bool, mut arguments: Vec<Node>) -> Kind {
        if function.name == "matches"
            && let [_, pattern] = arguments.as_slice()
            && let Kind::Literal(Value::String(text)) = &pattern.kind
        {
            match Regex::new(text) {
                Ok(regex) => {
                    arguments.truncate(1);
                    if let Some(subject) = arguments.pop() {
                        return Kind::Matches(Box::new(subject), regex);
                    }
                }
                Err(_the_pattern_is_named) => {
                    let at = pattern.at;
                    return self.refuse(at, "invalid matches argument");
                }
            }
        }
        if matches!(function.name, "duration" | "timestamp")
            && let [argument] = arguments.as_slice()
            && let Kind::Literal(value @ Value::String(_)) = &argument.kind
            && (function.call)(std::slice::from_ref(value)).is_err()
        {
            let at = argument.at;
            return self.refuse(at, format!("invalid {} argument", function.name));
        }
        Kind::Call {
            function,
            member,
            arguments,
        }
    }

    /// What a macro made.
    pub(super) fn made(&mut self, at: usize, name: &str, args: &[Tree]) -> Kind {
        match (name, args) {
            ("@bind", [local, value, body]) => {
                let value = self.node(value);
                let body = self.within(&[local], body);
                Kind::Bind(Box::new([value, body]))
            }
            ("@opt_map" | "@opt_flat_map", [of, local, body]) => Kind::OptMap {
                of: Box::new(self.node(of)),
                body: Box::new(self.within(&[local], body)),
                flat: name == "@opt_flat_map",
            },
            _ => self.looped(at, name, args),
        }
    }

    fn looped(&mut self, at: usize, name: &str, args: &[Tree]) -> Kind {
        let (base, filtered) = match name.strip_suffix("_filtered") {
            Some(base) => (base, true),
            None => (name, false),
        };
        let result = match base {
            "@all" => Collect::All,
            "@exists" => Collect::Exists,
            "@exists_one" => Collect::ExistsOne,
            "@map" => Collect::List,
            "@filter" => Collect::Filter,
            "@transform_map" => Collect::Map,
            "@transform_entries" => Collect::Entries,
            "@sort_by" => Collect::SortBy,
            _ => return self.undeclared(at, name),
        };
        let (Some((over, rest)), bodies) = (args.split_first(), if filtered { 2 } else { 1 }) else {
            return self.undeclared(at, name);
        };
        let (names, bodies) = rest.split_at(rest.len().saturating_sub(bodies));
        let names: Vec<&Tree> = names.iter().collect();
        let over = self.node(over);
        let mut bodies: Vec<Node> = bodies.iter().map(|body| self.within(&names, body)).collect();
        let Some(body) = bodies.pop() else {
            return self.undeclared(at, name);
        };
        Kind::Loop(Box::new(Loop {
            over,
            pairs: names.len() == 2,
            filter: bodies.pop(),
            body,
            result,
        }))
    }

    /// A part in which more names are known.
    fn within(&mut self, names: &[&Tree], body: &Tree) -> Node {
        let outer = self.locals.len();
        for name in names {
            if let Expr::Name(name) = &name.expr {
                self.locals.push(name.clone());
            }
        }
        let node = self.node(body);
        self.locals.truncate(outer);
        node
    }
}
