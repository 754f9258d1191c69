//! Numbers, texts and bytes.

use super::{Lexer, TokenKind};
use crate::parse::Issue;
use crate::value::Value;

impl Lexer<'_> {
    /// A quote, perhaps after `r` and `b`.
    pub(super) fn starts_string(&self) -> bool {
        let mut ahead = 0;
        while ahead < 2 && self.peek(ahead).is_some_and(|c| matches!(c, 'r' | 'R' | 'b' | 'B')) {
            ahead += 1;
        }
        self.peek(ahead).is_some_and(|c| matches!(c, '"' | '\''))
    }

    pub(super) fn number(&mut self) -> Result<TokenKind, Issue> {
        let at = self.position;
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.position += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            return self.whole(at, &digits, 16);
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.position += 1;
            text.push('.');
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + signed).is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                text.push('e');
                text.extend(self.peek(1).filter(|_| signed == 1));
                self.position += 1 + signed;
                text.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        if !double {
            return self.whole(at, &text, 10);
        }
        let parsed = text.parse().map(|number| TokenKind::Literal(Value::Double(number)));
        parsed.map_err(|error| Issue {
            at,
            problem: format!("invalid double literal: {error}"),
        })
    }

    fn whole(&mut self, at: usize, digits: &str, radix: u32) -> Result<TokenKind, Issue> {
        let problem = |kind: &str| Issue {
            at,
            problem: format!("invalid {kind} literal"),
        };
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.position += 1;
            let number = u64::from_str_radix(digits, radix).or(Err(problem("uint")))?;
            return Ok(TokenKind::Literal(Value::Uint(number)));
        }
        let number = u64::from_str_radix(digits, radix).or(Err(problem("int")))?;
        // The least whole number is written as the negation of what is one too large.
        let number = match i64::try_from(number) {
            Ok(number) => number,
            Err(_too_large) if number == 1 << 63 && at > 0 && self.characters[at - 1] == '-' => i64::MIN,
            Err(_too_large) => return Err(problem("int")),
        };
        Ok(TokenKind::Literal(Value::Int(number)))
    }

    pub(super) fn string(&mut self) -> Result<TokenKind, Issue> {
        let at = self.position;
        let prefix = self.take_while(|c| matches!(c, 'r' | 'R' | 'b' | 'B')).to_lowercase();
        let quote = self.peek(0).unwrap_or('"');
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if triple { 3 } else { 1 };
        self.position += width;
        let bytes = prefix.contains('b');
        let mut content = Vec::new();
        loop {
            let closes = (0..width).all(|ahead| self.peek(ahead) == Some(quote));
            if closes {
                self.position += width;
                break;
            }
            let next = self.peek(0).filter(|next| triple || *next != '\n');
            let Some(next) = next else {
                let shown: String = self.characters[at..self.position].iter().collect();
                return Err(Issue {
                    at,
                    problem: format!("Syntax error: token recognition error at: '{shown}'"),
                });
            };
            self.position += 1;
            if next == '\\' && !prefix.contains('r') {
                self.escape(at, bytes, &mut content)?;
            } else {
                content.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if bytes {
            return Ok(TokenKind::Literal(Value::Bytes(content.into())));
        }
        match String::from_utf8(content) {
            Ok(text) => Ok(TokenKind::Literal(Value::text(text))),
            Err(error) => Err(Issue {
                at,
                problem: format!("invalid string literal: {error}"),
            }),
        }
    }

    fn escape(&mut self, at: usize, bytes: bool, content: &mut Vec<u8>) -> Result<(), Issue> {
        let problem = || Issue {
            at,
            problem: "unable to unescape string".to_owned(),
        };
        let kind = self.peek(0).ok_or_else(problem)?;
        self.position += 1;
        let plain = match kind {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(kind).ok(),
            _ => None,
        };
        if let Some(byte) = plain {
            content.push(byte);
            return Ok(());
        }
        let (digits, radix) = match kind {
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.position -= 1;
                (3, 8)
            }
            _ => return Err(problem()),
        };
        // The text may end in the middle, and a sign is no digit though numbers may have one.
        let written = (0..digits).map_while(|ahead| self.peek(ahead));
        let text: String = written.take_while(|digit| digit.is_digit(radix)).collect();
        if text.len() < digits {
            return Err(problem());
        }
        self.position += digits;
        let code = u32::from_str_radix(&text, radix).or(Err(problem()))?;
        if bytes && matches!(kind, 'x' | 'X' | '0'..='3') {
            content.push(u8::try_from(code).or(Err(problem()))?);
        } else {
            let character = char::from_u32(code).ok_or_else(problem)?;
            content.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}
