//! Evaluation within a budget.

mod looped;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::PER_CALL_LIMIT;
use crate::functions::Function;
use crate::lower::{Kind, Node};
use crate::parse::Mode;
use crate::program::Program;
use crate::value::{Key, Map, Opaque, Value};

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// It took more than it may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostLimit,
    /// Something in it does not work for these values.
    #[error("{0}")]
    Failed(String),
}

impl EvalError {
    /// A failure in words.
    pub fn new(problem: impl Into<String>) -> Self {
        Self::Failed(problem.into())
    }

    pub(crate) fn no_overload() -> Self {
        Self::new("no such overload")
    }

    pub(crate) fn no_key(key: impl std::fmt::Display) -> Self {
        Self::new(format!("no such key: {key}"))
    }
}

/// What is bound to variables, and what is left of the budget, while several expressions are evaluated.
pub struct Session<'a> {
    bound: Vec<(String, Value<'a>)>,
    composed: &'a [(String, Program)],
    known: RefCell<BTreeMap<String, Result<Value<'a>, EvalError>>>,
    budget: u64,
    spent: Cell<u64>,
}

impl<'a> Session<'a> {
    /// Nothing bound, this much to spend.
    pub fn new(budget: u64) -> Self {
        Self {
            bound: Vec::new(),
            composed: &[],
            known: RefCell::default(),
            budget,
            spent: Cell::new(0),
        }
    }

    /// Binds a variable.
    pub fn bind(&mut self, name: &str, value: Value<'a>) {
        self.bound.retain(|(known, _)| known != name);
        self.bound.push((name.to_owned(), value));
    }

    /// Lets expressions read `variables.name`; each is evaluated when it is first read.
    pub fn compose(&mut self, variables: &'a [(String, Program)]) {
        self.composed = variables;
        self.bind("variables", Value::Opaque(Opaque::Variables));
    }

    /// Cost of everything that was evaluated.
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// When it has none, or costs too much.
    pub fn evaluate(&self, program: &Program) -> Result<Value<'a>, EvalError> {
        let mut machine = Machine {
            session: self,
            locals: Vec::new(),
            spent: 0,
        };
        machine.value(&program.node)
    }

    fn composed(&self, name: &str) -> Result<Value<'a>, EvalError> {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let variable = self.composed.iter().find(|(known, _)| known == name);
        let (_, program) = variable.ok_or_else(|| EvalError::no_key(name))?;
        let value = self.evaluate(program).map_err(|error| match error {
            EvalError::CostLimit => error,
            EvalError::Failed(problem) => {
                EvalError::new(format!("composited variable \"{name}\" fails to evaluate: {problem}"))
            }
        });
        self.known.borrow_mut().insert(name.to_owned(), value.clone());
        value
    }
}

/// One evaluation.
struct Machine<'m, 'a> {
    session: &'m Session<'a>,
    locals: Vec<Value<'a>>,
    spent: u64,
}

impl<'a> Machine<'_, 'a> {
    fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.spent = self.spent.saturating_add(cost);
        let total = self.session.spent.get().saturating_add(cost);
        self.session.spent.set(total);
        if self.spent > PER_CALL_LIMIT || total > self.session.budget {
            return Err(EvalError::CostLimit);
        }
        Ok(())
    }

    fn value(&mut self, node: &Node) -> Result<Value<'a>, EvalError> {
        match &node.kind {
            Kind::Unknown => Err(EvalError::new("the expression does not compile")),
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Variable(name) => {
                self.charge(1)?;
                let bound = self.session.bound.iter().find(|(known, _)| known == name);
                let missing = || EvalError::new(format!("no such attribute(s): {name}"));
                bound.map(|(_, value)| value.clone()).ok_or_else(missing)
            }
            Kind::Local(place) => {
                self.charge(1)?;
                Ok(self.locals.get(*place).cloned().unwrap_or(Value::Null))
            }
            Kind::Select { of, field, mode } => {
                let of = self.value(of)?;
                self.charge(u64::from(*mode != Mode::Test))?;
                self.select(&of, field, *mode)
            }
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::And(sides) => self.logic(sides, false),
            Kind::Or(sides) => self.logic(sides, true),
            Kind::If(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    _ => Err(EvalError::no_overload()),
                }
            }
            Kind::Matches(subject, pattern) => {
                let subject = self.value(subject)?;
                let text = subject.as_str().ok_or_else(EvalError::no_overload)?;
                let length = u64::try_from(pattern.as_str().len()).unwrap_or(u64::MAX);
                self.charge(
                    (subject.size() + 1)
                        .div_ceil(10)
                        .saturating_mul(length.div_ceil(4).max(1)),
                )?;
                Ok(Value::Bool(pattern.is_match(text)))
            }
            Kind::Call {
                function, arguments, ..
            } => self.call(function, arguments),
            Kind::Loop(parts) => self.looped(parts),
            Kind::Bind(parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.within([value], body)
            }
            Kind::OptMap { of, body, flat } => match self.value(of)? {
                Value::Optional(None) => Ok(Value::Optional(None)),
                Value::Optional(Some(inner)) => {
                    let made = self.within([(*inner).clone()], body)?;
                    Ok(if *flat { made } else { Value::optional(Some(made)) })
                }
                _ => Err(EvalError::no_overload()),
            },
        }
    }

    /// A part with more locals.
    fn within(&mut self, locals: impl IntoIterator<Item = Value<'a>>, body: &Node) -> Result<Value<'a>, EvalError> {
        let outer = self.locals.len();
        self.locals.extend(locals);
        let value = self.value(body);
        self.locals.truncate(outer);
        value
    }

    fn select(&self, of: &Value<'a>, field: &str, mode: Mode) -> Result<Value<'a>, EvalError> {
        let (of, optional) = match of {
            Value::Optional(None) if mode == Mode::Test => return Ok(Value::Bool(false)),
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => (&**inner, mode != Mode::Test),
            other => (other, mode == Mode::Optional),
        };
        let found = match of {
            Value::Map(map) => map.select(field),
            Value::Opaque(Opaque::Variables) if mode == Mode::Plain => Some(self.session.composed(field)?),
            Value::Opaque(Opaque::Variables) => {
                self.session
                    .composed
                    .iter()
                    .any(|(name, _)| name == field)
                    .then_some(match mode {
                        Mode::Test => Value::Bool(true),
                        _ => self.session.composed(field)?,
                    })
            }
            Value::Opaque(Opaque::Authorizer(authorizer, _)) if field == "requestResource" => authorizer
                .request_resource()
                .map(|check| Value::Opaque(Opaque::ResourceCheck(*authorizer, Arc::new(check)))),
            _ => return Err(EvalError::no_overload()),
        };
        match (mode, found) {
            (Mode::Test, found) => Ok(Value::Bool(found.is_some())),
            (_, found) if optional => Ok(Value::optional(found)),
            (_, Some(found)) => Ok(found),
            (_, None) => Err(EvalError::no_key(field)),
        }
    }

    fn list(&mut self, elements: &[(Node, bool)]) -> Result<Value<'a>, EvalError> {
        self.charge(10)?;
        let mut items = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.value(element)?, optional) {
                (Value::Optional(inner), true) => items.extend(inner.map(|inner| (*inner).clone())),
                (value, _) => items.push(value),
            }
        }
        Ok(Value::list(items))
    }

    fn map(&mut self, entries: &[(Node, Node, bool)]) -> Result<Value<'a>, EvalError> {
        self.charge(30)?;
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.value(key)?;
            let key = Key::of(&key).ok_or_else(|| EvalError::new("unsupported key type"))?;
            let value = match (self.value(value)?, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => (*inner).clone(),
                (value, _) => value,
            };
            if map.contains_key(&key) {
                return Err(EvalError::new(format!("Failed with repeated key: {key}")));
            }
            map.insert(key, value);
        }
        Ok(Value::Map(Map::Owned(Arc::new(map))))
    }

    /// `&&` and `||`: one side can decide although another fails.
    fn logic(&mut self, sides: &[Node], decisive: bool) -> Result<Value<'a>, EvalError> {
        let mut failure = None;
        for side in sides {
            match self.truth(side) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(EvalError::CostLimit) => return Err(EvalError::CostLimit),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn truth(&mut self, node: &Node) -> Result<bool, EvalError> {
        self.value(node)?.as_bool().ok_or_else(EvalError::no_overload)
    }

    fn call(&mut self, function: &Function, arguments: &[Node]) -> Result<Value<'a>, EvalError> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        self.charge(function.cost.of(&values))?;
        (function.call)(&values)
    }
}
