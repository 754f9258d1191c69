//! The syntax tree.

use crate::value::Value;

/// A part of an expression.
#[derive(Clone)]
pub(crate) struct Tree {
    /// Where it is in the text, in characters.
    pub at: usize,
    /// Levels of parts below and including this one.
    pub depth: usize,
    pub expr: Expr,
}

/// What a part is.
#[derive(Clone)]
pub(crate) enum Expr {
    Literal(Value<'static>),
    /// A name; with a leading dot when it is absolute.
    Name(String),
    Select {
        of: Box<Tree>,
        field: String,
        mode: Mode,
    },
    /// A function, or an operator by cel-go's name for it; a target comes first.
    Call {
        name: String,
        member: bool,
        args: Vec<Tree>,
    },
    /// `a && b && c`
    And(Vec<Tree>),
    /// `a || b || c`
    Or(Vec<Tree>),
    /// Elements, and whether each is optional.
    List(Vec<(Tree, bool)>),
    /// Keys, values, and whether each is optional.
    Map(Vec<(Tree, Tree, bool)>),
    /// The type's name, fields, values, and whether each is optional.
    Object(String, Vec<(String, Tree, bool)>),
    /// What a macro made: its name, which no expression can write, and its parts.
    Macro(&'static str, Vec<Tree>),
}

/// How a field is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Optional,
    Test,
}

impl Tree {
    pub fn new(at: usize, expr: Expr) -> Self {
        let deepest = |trees: &[Tree]| trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        let below = match &expr {
            Expr::Literal(_) | Expr::Name(_) => 0,
            Expr::Select { of, .. } => of.depth,
            Expr::Call { args, .. } | Expr::And(args) | Expr::Or(args) | Expr::Macro(_, args) => deepest(args),
            Expr::List(items) => items.iter().map(|(item, _)| item.depth).max().unwrap_or(0),
            Expr::Map(entries) => {
                let depths = entries.iter().map(|(key, value, _)| key.depth.max(value.depth));
                depths.max().unwrap_or(0)
            }
            Expr::Object(_, fields) => fields.iter().map(|(_, value, _)| value.depth).max().unwrap_or(0),
        };
        Self {
            at,
            depth: below + 1,
            expr,
        }
    }

    /// `a.b.c` as text.
    pub fn path(&self) -> Option<String> {
        match &self.expr {
            Expr::Name(name) => Some(name.clone()),
            Expr::Select {
                of,
                field,
                mode: Mode::Plain,
            } => Some(format!("{}.{field}", of.path()?)),
            _ => None,
        }
    }
}
