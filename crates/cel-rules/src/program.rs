//! Compiling: what an expression may name, and what it compiles to.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::Checker;
use crate::lower::{Lowering, Node};
use crate::parse::{CompileError, complain, parse};
use crate::types::Type;

/// The variables that expressions may name, and their types.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Type>,
    makes_objects: bool,
}

/// A compiled expression.
pub struct Program {
    pub(crate) node: Node,
    text: String,
    result: Type,
}

impl Environment {
    /// An environment without variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.variables.insert(name.to_owned(), of);
        self
    }

    /// Lets expressions make `Object{…}` and `JSONPatch{…}`, as mutating policies do.
    #[must_use]
    pub fn making_objects(mut self) -> Self {
        self.makes_objects = true;
        self
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, worded as upstream's compiler does, with its place.
    pub fn compile(&self, text: &str) -> Result<Program, CompileError> {
        let tree = parse(text)?;
        let mut lowering = Lowering {
            variables: &|name| self.variables.contains_key(name),
            makes_objects: self.makes_objects,
            locals: Vec::new(),
            issues: Vec::new(),
        };
        let node = lowering.node(&tree);
        let mut checker = Checker {
            variables: &|name| self.variables.get(name).cloned(),
            locals: Vec::new(),
            issues: lowering.issues,
        };
        let result = checker.type_of(&node);
        if !checker.issues.is_empty() {
            return Err(complain(text, checker.issues));
        }
        Ok(Program {
            node,
            text: text.to_owned(),
            result,
        })
    }
}

impl Program {
    /// The type of the result.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the result is, or may be, of a type.
    pub fn gives(&self, wanted: &Type) -> bool {
        wanted.accepts(&self.result, &mut BTreeMap::new())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.text).finish()
    }
}
