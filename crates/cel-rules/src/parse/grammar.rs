//! From tokens to the tree.

use super::lexer::{Token, TokenKind};
use super::tree::{Expr, Mode, Tree};
use super::{Issue, macros};

/// Levels that an expression may have. Source: cel-go's `maxRecursionDepth`.
const DEEPEST: usize = 250;
/// Brackets and conditionals that may stand in one another.
const NESTED: usize = 64;
/// Names that CEL keeps for itself.
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
/// What may begin an expression, as upstream's parser lists it.
const BEGINNINGS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, \
                          STRING, BYTES, IDENTIFIER}";
/// Binary operators by precedence, the weakest first.
const LEVELS: &[&[(&str, &str)]] = &[
    &[
        ("<", "_<_"),
        ("<=", "_<=_"),
        (">=", "_>=_"),
        (">", "_>_"),
        ("==", "_==_"),
        ("!=", "_!=_"),
        ("in", "@in"),
    ],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

pub(super) struct Grammar {
    tokens: Vec<Token>,
    position: usize,
    nested: usize,
}

/// The tree of all tokens.
pub(super) fn tree(tokens: Vec<Token>) -> Result<Tree, Issue> {
    let mut grammar = Grammar {
        tokens,
        position: 0,
        nested: 0,
    };
    let tree = grammar.expression()?;
    let rest = grammar.peek();
    if matches!(rest.kind, TokenKind::End) {
        return Ok(tree);
    }
    Err(Issue {
        at: rest.at,
        problem: format!("Syntax error: extraneous input '{}' expecting <EOF>", rest.text),
    })
}

impl Grammar {
    fn peek(&self) -> &Token {
        &self.tokens[self.position.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = self.peek().is(sign);
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Issue> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(self.mismatch(&format!("'{sign}'")))
    }

    fn mismatch(&self, expected: &str) -> Issue {
        let found = self.peek();
        Issue {
            at: found.at,
            problem: format!("Syntax error: mismatched input '{}' expecting {expected}", found.text),
        }
    }

    fn make(&self, at: usize, expr: Expr) -> Result<Tree, Issue> {
        let tree = Tree::new(at, expr);
        if tree.depth > DEEPEST {
            return Err(too_deep(at));
        }
        Ok(tree)
    }

    fn call(&self, at: usize, name: &str, args: Vec<Tree>) -> Result<Tree, Issue> {
        let name = name.to_owned();
        self.make(
            at,
            Expr::Call {
                name,
                member: false,
                args,
            },
        )
    }

    fn expression(&mut self) -> Result<Tree, Issue> {
        self.nested += 1;
        if self.nested > NESTED {
            return Err(too_deep(self.peek().at));
        }
        let condition = self.logical("||")?;
        let at = self.peek().at;
        let whole = if self.takes("?") {
            let yes = self.logical("||")?;
            self.expect(":")?;
            let no = self.expression()?;
            self.call(at, "_?_:_", vec![condition, yes, no])
        } else {
            Ok(condition)
        };
        self.nested -= 1;
        whole
    }

    fn logical(&mut self, sign: &'static str) -> Result<Tree, Issue> {
        let part = |grammar: &mut Self| match sign {
            "||" => grammar.logical("&&"),
            _ => grammar.binary(0),
        };
        let first = part(self)?;
        let at = self.peek().at;
        let mut parts = vec![first];
        while self.takes(sign) {
            parts.push(part(self)?);
        }
        match (parts.len(), sign) {
            (1, _) => Ok(parts.remove(0)),
            (_, "||") => self.make(at, Expr::Or(parts)),
            _ => self.make(at, Expr::And(parts)),
        }
    }

    fn binary(&mut self, level: usize) -> Result<Tree, Issue> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let token = self.peek();
            let Some((_, name)) = operators.iter().find(|(sign, _)| token.is(sign)) else {
                return Ok(left);
            };
            let at = token.at;
            self.position += 1;
            let right = self.binary(level + 1)?;
            left = self.call(at, name, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Result<Tree, Issue> {
        for (sign, name) in [("!", "!_"), ("-", "-_")] {
            let at = self.peek().at;
            let mut count = 0;
            while self.takes(sign) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            // A minus before digits belongs to the number.
            let mut operand = self.member()?;
            if let (1, "-", Expr::Literal(value)) = (count, sign, &operand.expr)
                && let Some(negated) = negated(value)
            {
                return self.make(at, Expr::Literal(negated));
            }
            if count % 2 == 1 {
                operand = self.call(at, name, vec![operand])?;
            }
            return Ok(operand);
        }
        self.member()
    }

    fn member(&mut self) -> Result<Tree, Issue> {
        let mut tree = self.primary()?;
        loop {
            let at = self.peek().at;
            if self.takes(".") {
                tree = self.selected(at, tree)?;
            } else if self.takes("[") {
                let name = if self.takes("?") { "_[?_]" } else { "_[_]" };
                let key = self.expression()?;
                self.expect("]")?;
                tree = self.call(at, name, vec![tree, key])?;
            } else if self.peek().is("{")
                && let Some(path) = tree.path()
            {
                self.position += 1;
                let fields = self.fields()?;
                tree = self.make(at, Expr::Object(path, fields))?;
            } else {
                return Ok(tree);
            }
        }
    }

    /// What follows a dot.
    fn selected(&mut self, at: usize, of: Tree) -> Result<Tree, Issue> {
        let optional = self.takes("?");
        if !matches!(self.peek().kind, TokenKind::Name) {
            let found = self.peek();
            let problem = match found.kind {
                TokenKind::End => "Syntax error: no viable alternative at input '.'".to_owned(),
                _ => format!("Syntax error: no viable alternative at input '.{}'", found.text),
            };
            return Err(Issue { at: found.at, problem });
        }
        let field = self.next().text;
        let open = self.peek().at;
        if !optional && self.takes("(") {
            let args = self.arguments()?;
            return match macros::on_target(of, &field, args)? {
                macros::Outcome::Made(expr) => self.make(open, expr),
                macros::Outcome::Call(of, mut args) => {
                    args.insert(0, of);
                    self.make(
                        open,
                        Expr::Call {
                            name: field,
                            member: true,
                            args,
                        },
                    )
                }
            };
        }
        let mode = if optional { Mode::Optional } else { Mode::Plain };
        let of = Box::new(of);
        self.make(at, Expr::Select { of, field, mode })
    }

    fn primary(&mut self) -> Result<Tree, Issue> {
        let token = self.next();
        let at = token.at;
        match &token.kind {
            TokenKind::Literal(value) => self.make(at, Expr::Literal(value.clone())),
            TokenKind::Name => self.named(at, token.text),
            TokenKind::Sign(".") if matches!(self.peek().kind, TokenKind::Name) => {
                let name = self.next().text;
                self.named(at, format!(".{name}"))
            }
            TokenKind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Sign("[") => {
                let mut items = Vec::new();
                while !self.takes("]") {
                    let optional = self.takes("?");
                    items.push((self.expression()?, optional));
                    if !self.takes(",") && !self.peek().is("]") {
                        return Err(self.mismatch("']'"));
                    }
                }
                self.make(at, Expr::List(items))
            }
            TokenKind::Sign("{") => {
                let mut entries = Vec::new();
                while !self.takes("}") {
                    let optional = self.takes("?");
                    let key = self.expression()?;
                    self.expect(":")?;
                    entries.push((key, self.expression()?, optional));
                    if !self.takes(",") && !self.peek().is("}") {
                        return Err(self.mismatch("'}'"));
                    }
                }
                self.make(at, Expr::Map(entries))
            }
            _ => {
                self.position -= 1;
                Err(self.mismatch(BEGINNINGS))
            }
        }
    }

    fn named(&mut self, at: usize, name: String) -> Result<Tree, Issue> {
        if RESERVED.contains(&name.as_str()) {
            return Err(Issue {
                at,
                problem: format!("reserved identifier: {name}"),
            });
        }
        let open = self.peek().at;
        if !self.takes("(") {
            return self.make(at, Expr::Name(name));
        }
        let args = self.arguments()?;
        let expr = macros::global(open, name, args)?;
        self.make(open, expr)
    }

    fn arguments(&mut self) -> Result<Vec<Tree>, Issue> {
        let mut args = Vec::new();
        if self.takes(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if !self.takes(",") {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<(String, Tree, bool)>, Issue> {
        let mut fields = Vec::new();
        while !self.takes("}") {
            let optional = self.takes("?");
            if !matches!(self.peek().kind, TokenKind::Name) {
                return Err(self.mismatch("{'}', ',', '?', IDENTIFIER}"));
            }
            let field = self.next().text;
            self.expect(":")?;
            fields.push((field, self.expression()?, optional));
            if !self.takes(",") && !self.peek().is("}") {
                return Err(self.mismatch("'}'"));
            }
        }
        Ok(fields)
    }
}

fn negated(value: &crate::value::Value<'_>) -> Option<crate::value::Value<'static>> {
    use crate::value::Value;
    match value {
        Value::Int(i64::MIN) => Some(Value::Int(i64::MIN)),
        Value::Int(number) => Some(Value::Int(-number)),
        Value::Double(number) => Some(Value::Double(-number)),
        _ => None,
    }
}

fn too_deep(at: usize) -> Issue {
    Issue {
        at,
        problem: format!("expression recursion limit exceeded: {DEEPEST}"),
    }
}
