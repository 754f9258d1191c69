//! From text to tokens.

mod literals;

use super::Issue;
use crate::value::Value;

/// A word of an expression.
#[derive(Clone)]
pub(crate) struct Token {
    pub kind: TokenKind,
    /// Where it begins, in characters.
    pub at: usize,
    /// As it is written.
    pub text: String,
}

#[derive(Clone)]
pub(crate) enum TokenKind {
    Literal(Value<'static>),
    Name,
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Longer signs first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%",
];

impl Token {
    pub fn is(&self, sign: &str) -> bool {
        matches!(self.kind, TokenKind::Sign(found) if found == sign)
    }
}

pub(crate) struct Lexer<'t> {
    characters: &'t [char],
    position: usize,
}

/// Splits a text.
pub(super) fn tokens(characters: &[char]) -> Result<Vec<Token>, Issue> {
    let mut lexer = Lexer {
        characters,
        position: 0,
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = matches!(token.kind, TokenKind::End);
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.position + ahead).copied()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.position;
        while self.peek(0).is_some_and(&wanted) {
            self.position += 1;
        }
        self.characters[start..self.position].iter().collect()
    }

    fn next(&mut self) -> Result<Token, Issue> {
        self.skip();
        let at = self.position;
        let Some(first) = self.peek(0) else {
            return Ok(Token {
                kind: TokenKind::End,
                at,
                text: "<EOF>".to_owned(),
            });
        };
        let kind = if self.starts_string() {
            self.string()?
        } else if first.is_ascii_digit() || first == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            self.number()?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            match word.as_str() {
                "true" => TokenKind::Literal(Value::Bool(true)),
                "false" => TokenKind::Literal(Value::Bool(false)),
                "null" => TokenKind::Literal(Value::Null),
                "in" => TokenKind::Sign("in"),
                _ => TokenKind::Name,
            }
        } else {
            self.sign(at, first)?
        };
        let text = self.characters[at..self.position].iter().collect();
        Ok(Token { kind, at, text })
    }

    /// Spaces and comments.
    fn skip(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if self.peek(0) != Some('/') || self.peek(1) != Some('/') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn sign(&mut self, at: usize, first: char) -> Result<TokenKind, Issue> {
        for sign in SIGNS {
            if sign.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c)) {
                self.position += sign.len();
                return Ok(TokenKind::Sign(sign));
            }
        }
        let shown: String = std::iter::once(first)
            .chain(self.peek(1).filter(|_| matches!(first, '=' | '&' | '|')))
            .collect();
        Err(Issue {
            at,
            problem: format!("Syntax error: token recognition error at: '{shown}'"),
        })
    }
}
