//! From the parser's tree to one that is checked and evaluated: names are places, macros are loops, functions are found.

mod calls;

use regex::Regex;

use crate::functions::Function;
use crate::parse::{Expr, Issue, Mode, Tree};
use crate::value::Value;

/// A part of an expression and its place in the text.
pub(crate) struct Node {
    pub at: usize,
    pub kind: Kind,
}

/// What a part of an expression is.
pub(crate) enum Kind {
    /// What could not be understood; a complaint says why.
    Unknown,
    Literal(Value<'static>),
    /// A declared variable.
    Variable(String),
    /// A variable of a loop or binding, by its place on the stack.
    Local(usize),
    /// `x.name`, `x.?name`, `has(x.name)`.
    Select {
        of: Box<Node>,
        field: String,
        mode: Mode,
    },
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Call {
        function: &'static Function,
        member: bool,
        arguments: Vec<Node>,
    },
    /// `matches` with a pattern that is known.
    Matches(Box<Node>, Regex),
    Loop(Box<Loop>),
    /// `cel.bind`: the value, then the body with one more local.
    Bind(Box<[Node; 2]>),
    /// `optMap`, `optFlatMap`.
    OptMap {
        of: Box<Node>,
        body: Box<Node>,
        flat: bool,
    },
}

/// A macro over the elements of a list or map.
pub(crate) struct Loop {
    pub over: Node,
    /// Two names: index and element, or key and value.
    pub pairs: bool,
    pub filter: Option<Node>,
    pub body: Node,
    pub result: Collect,
}

/// What a loop makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collect {
    All,
    Exists,
    ExistsOne,
    /// The bodies.
    List,
    /// The elements whose body is true.
    Filter,
    /// The bodies under the same keys.
    Map,
    /// The entries of the maps that the bodies are.
    Entries,
    /// The elements by the order of the bodies.
    SortBy,
}

/// Turns the parser's tree into nodes.
pub(crate) struct Lowering<'e> {
    pub variables: &'e dyn Fn(&str) -> bool,
    /// Whether `Object{…}` and `JSONPatch{…}` may be made.
    pub makes_objects: bool,
    pub locals: Vec<String>,
    pub issues: Vec<Issue>,
}

/// Names that mean types.
const TYPES: &[&str] = &[
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "net.IP",
    "net.CIDR",
    "kubernetes.Quantity",
    "kubernetes.URL",
];

impl Lowering<'_> {
    /// One part and what is below it.
    pub fn node(&mut self, tree: &Tree) -> Node {
        let kind = match &tree.expr {
            Expr::Literal(value) => Kind::Literal(value.clone()),
            Expr::Name(name) => self.name(tree.at, name),
            Expr::Select { of, field, mode } => match self.type_named(tree) {
                Some(named) => named,
                None => Kind::Select {
                    of: Box::new(self.node(of)),
                    field: field.clone(),
                    mode: *mode,
                },
            },
            Expr::And(parts) => Kind::And(self.nodes(parts)),
            Expr::Or(parts) => Kind::Or(self.nodes(parts)),
            Expr::Call { name, member, args } => self.call(tree.at, name, *member, args),
            Expr::Macro(name, parts) => self.made(tree.at, name, parts),
            Expr::List(items) => {
                let items = items.iter().map(|(item, optional)| (self.node(item), *optional));
                Kind::List(items.collect())
            }
            Expr::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value, optional)| (self.node(key), self.node(value), *optional));
                Kind::Map(entries.collect())
            }
            Expr::Object(name, fields) => self.object(tree.at, name, fields),
        };
        Node { at: tree.at, kind }
    }

    pub fn nodes(&mut self, trees: &[Tree]) -> Vec<Node> {
        trees.iter().map(|tree| self.node(tree)).collect()
    }

    /// Notes a complaint; the part stands for nothing.
    pub fn refuse(&mut self, at: usize, problem: impl Into<String>) -> Kind {
        self.issues.push(Issue {
            at,
            problem: problem.into(),
        });
        Kind::Unknown
    }

    pub fn undeclared(&mut self, at: usize, name: &str) -> Kind {
        self.refuse(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn local(&self, name: &str) -> Option<usize> {
        self.locals.iter().rposition(|local| local == name)
    }

    fn name(&mut self, at: usize, name: &str) -> Kind {
        if let Some(place) = self.local(name) {
            return Kind::Local(place);
        }
        let name = name.trim_start_matches('.');
        if (self.variables)(name) {
            return Kind::Variable(name.to_owned());
        }
        match TYPES.iter().find(|known| **known == name) {
            Some(type_name) => Kind::Literal(Value::Type((*type_name).to_owned().into())),
            None => self.undeclared(at, name),
        }
    }

    /// `net.IP` and the like.
    fn type_named(&self, tree: &Tree) -> Option<Kind> {
        let path = tree.path()?;
        let root = path.split('.').next().unwrap_or_default();
        let known = TYPES.iter().find(|known| **known == path)?;
        (!self.names(root)).then(|| Kind::Literal(Value::Type((*known).to_owned().into())))
    }

    /// Whether a name is a local or declared variable.
    pub fn names(&self, name: &str) -> bool {
        self.local(name).is_some() || (self.variables)(name)
    }

    fn object(&mut self, at: usize, name: &str, fields: &[(String, Tree, bool)]) -> Kind {
        let name = name.trim_start_matches('.');
        let known = name == "Object" || name.starts_with("Object.") || name == "JSONPatch";
        if !(self.makes_objects && known) {
            return self.undeclared(at, name);
        }
        let fields = fields.iter().map(|(field, value, optional)| {
            let key = Node {
                at: value.at,
                kind: Kind::Literal(Value::text(field.as_str())),
            };
            (key, self.node(value), *optional)
        });
        Kind::Map(fields.collect())
    }
}
