//! Label selectors in the text form of queries and the typed form of specs.

use std::collections::BTreeMap;
use std::fmt;

use crate::meta;

#[cfg(test)]
mod tests;

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The value is one of the given.
    In,
    /// The label is absent or its value is none of the given.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The value is a number greater than the given.
    GreaterThan,
    /// The value is a number less than the given.
    LessThan,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Values compared with; sorted.
    pub values: Vec<String>,
}

/// A compiled selector. All comparisons must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// Why a selector cannot be compiled. Worded as upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text does not follow the grammar.
    #[error("unable to parse requirement: {0}")]
    Grammar(String),
    /// A typed selector names an operator that does not exist.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// An operator has too many or too few values.
    #[error("{0}")]
    Values(String),
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: false,
        }
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Parses `a=b,c!=d,e in (f,g),!h`.
    ///
    /// # Errors
    /// When the text does not follow the grammar.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser {
            tokens: tokens(text),
            at: 0,
        };
        let requirements = parser.requirements()?;
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Compiles the typed form; an empty selector selects everything.
    ///
    /// # Errors
    /// When an operator is unknown or has the wrong number of values.
    pub fn from_typed(typed: &meta::LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in typed.match_labels.iter().flatten() {
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            });
        }
        for expression in typed.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(SelectorError::Operator(other.to_owned())),
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(requirement(expression.key.clone(), operator, values)?);
        }
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Compiles the typed form; an absent selector selects nothing.
    ///
    /// # Errors
    /// As [`LabelSelector::from_typed`].
    pub fn from_optional(typed: Option<&meta::LabelSelector>) -> Result<Self, SelectorError> {
        typed.map_or_else(|| Ok(Self::nothing()), Self::from_typed)
    }

    /// The selector that asks for each of the given labels.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Self {
        let requirements = labels
            .iter()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        Self {
            requirements,
            nothing: false,
        }
    }

    /// The comparisons.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// True when everything is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// True when the labels fulfil every comparison.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// As [`LabelSelector::matches`], for labels held in another form.
    pub fn matches_with<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(lookup(&r.key)))
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|v| v == value);
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let (Some(Ok(value)), Some(Ok(bound))) = (
                    value.map(str::parse::<i64>),
                    self.values.first().map(|v| v.parse::<i64>()),
                ) else {
                    return false;
                };
                if self.operator == Operator::GreaterThan {
                    value > bound
                } else {
                    value < bound
                }
            }
        }
    }
}

fn requirement(key: String, operator: Operator, mut values: Vec<String>) -> Result<Requirement, SelectorError> {
    let wrong = |text: &str| Err(SelectorError::Values(text.to_owned()));
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            return wrong("for 'in', 'notin' operators, values set can't be empty");
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            return wrong("values set must be empty for exists and does not exist");
        }
        Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
            return wrong("for 'Gt', 'Lt' operators, exactly one value is required");
        }
        Operator::GreaterThan | Operator::LessThan if values[0].parse::<i64>().is_err() => {
            return wrong("for 'Gt', 'Lt' operators, the value must be an integer");
        }
        _ => {}
    }
    values.sort();
    values.dedup();
    Ok(Requirement { key, operator, values })
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, r) in self.requirements.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let values = r.values.join(",");
            match r.operator {
                Operator::In if r.values.len() == 1 => write!(f, "{comma}{}={values}", r.key)?,
                Operator::In => write!(f, "{comma}{} in ({values})", r.key)?,
                Operator::NotIn if r.values.len() == 1 => write!(f, "{comma}{}!={values}", r.key)?,
                Operator::NotIn => write!(f, "{comma}{} notin ({values})", r.key)?,
                Operator::Exists => write!(f, "{comma}{}", r.key)?,
                Operator::DoesNotExist => write!(f, "{comma}!{}", r.key)?,
                Operator::GreaterThan => write!(f, "{comma}{}>{values}", r.key)?,
                Operator::LessThan => write!(f, "{comma}{}<{values}", r.key)?,
            }
        }
        Ok(())
    }
}

/// Words and symbols of the grammar.
fn tokens(text: &str) -> Vec<&str> {
    let special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("==") || rest.starts_with("!=") {
            2
        } else if special(first) {
            1
        } else {
            rest.find(|c: char| special(c) || c.is_whitespace())
                .unwrap_or(rest.len())
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or("")
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn is_word(token: &str) -> bool {
        token
            .chars()
            .next()
            .is_some_and(|c| !matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<'))
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        if self.tokens.is_empty() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.next() {
                "" => break,
                "," => {
                    let following = self.peek();
                    if !Self::is_word(following) && following != "!" {
                        return Err(grammar(following, "identifier after ','"));
                    }
                }
                other => return Err(grammar(other, "',' or 'end of string'")),
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.peek() == "!";
        if negated {
            self.next();
        }
        let key = self.next();
        if !Self::is_word(key) {
            return Err(grammar(key, "'!', identifier, or 'end of string'"));
        }
        let key = key.to_owned();
        if negated {
            return requirement(key, Operator::DoesNotExist, Vec::new());
        }
        match self.peek() {
            "" | "," => requirement(key, Operator::Exists, Vec::new()),
            "=" | "==" => self.exact(key, Operator::In),
            "!=" => self.exact(key, Operator::NotIn),
            ">" => self.exact(key, Operator::GreaterThan),
            "<" => self.exact(key, Operator::LessThan),
            "in" => self.set(key, Operator::In),
            "notin" => self.set(key, Operator::NotIn),
            other => Err(grammar(other, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact(&mut self, key: String, operator: Operator) -> Result<Requirement, SelectorError> {
        self.next();
        let value = match self.peek() {
            "" | "," => String::new(),
            word if Self::is_word(word) => self.next().to_owned(),
            other => return Err(grammar(other, "identifier")),
        };
        requirement(key, operator, vec![value])
    }

    fn set(&mut self, key: String, operator: Operator) -> Result<Requirement, SelectorError> {
        self.next();
        match self.next() {
            "(" => {}
            other => return Err(grammar(other, "'('")),
        }
        let mut values = Vec::new();
        loop {
            let value = if Self::is_word(self.peek()) {
                self.next().to_owned()
            } else {
                String::new()
            };
            values.push(value);
            match self.next() {
                "," => {}
                ")" => return requirement(key, operator, values),
                other => return Err(grammar(other, "',' or ')'")),
            }
        }
    }
}

fn grammar(found: &str, expected: &str) -> SelectorError {
    SelectorError::Grammar(format!("found '{found}', expected: {expected}"))
}
