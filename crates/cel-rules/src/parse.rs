//! From text to a syntax tree, with errors in upstream's form.
//!
//! The parser is our own because an expression comes from whoever may write a policy: it must neither exhaust the stack nor
//! take long, whatever it is given.

mod grammar;
mod lexer;
mod macros;
mod tree;

pub(crate) use grammar::RESERVED;

pub(crate) use tree::{Expr, Mode, Tree};

use crate::LONGEST_EXPRESSION;

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// A complaint about a place in an expression, in characters.
#[derive(Debug)]
pub(crate) struct Issue {
    pub at: usize,
    pub problem: String,
}

/// Parses an expression and expands its macros.
pub(crate) fn parse(text: &str) -> Result<Tree, CompileError> {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    if length > LONGEST_EXPRESSION {
        return Err(CompileError(format!(
            "ERROR: <input>:-1:0: expression code point size exceeds limit: size: {length}, limit {LONGEST_EXPRESSION}"
        )));
    }
    lexer::tokens(&characters)
        .and_then(grammar::tree)
        .map_err(|issue| complain(text, vec![issue]))
}

/// The complaints about a text, in the order of their places.
pub(crate) fn complain(text: &str, mut issues: Vec<Issue>) -> CompileError {
    issues.sort_by_key(|issue| issue.at);
    issues.dedup_by(|a, b| a.at == b.at && a.problem == b.problem);
    let shown: Vec<String> = issues.iter().map(|issue| render(text, issue)).collect();
    CompileError(shown.join("\n"))
}

fn render(text: &str, issue: &Issue) -> String {
    let before: String = text.chars().take(issue.at).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let shown = text.lines().nth(line - 1).unwrap_or_default();
    let dots = ".".repeat(column - 1);
    let problem = &issue.problem;
    format!("ERROR: <input>:{line}:{column}: {problem}\n | {shown}\n | {dots}^")
}
