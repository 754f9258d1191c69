//! Macros over the elements of a list or map.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EvalError, Machine};
use crate::lower::{Collect, Loop};
use crate::value::{Key, Map, Value};

impl<'a> Machine<'_, 'a> {
    pub(super) fn looped(&mut self, parts: &Loop) -> Result<Value<'a>, EvalError> {
        let turns = self.turns(parts)?;
        match parts.result {
            Collect::All => self.decide(parts, turns, false),
            Collect::Exists => self.decide(parts, turns, true),
            Collect::ExistsOne => {
                let mut found = 0;
                for turn in turns {
                    found += usize::from(self.is_true(parts, turn)?);
                }
                Ok(Value::Bool(found == 1))
            }
            Collect::Filter => {
                let mut kept = Vec::new();
                for turn in turns {
                    let element = turn.last().cloned().unwrap_or(Value::Null);
                    if self.is_true(parts, turn)? {
                        kept.push(element);
                    }
                }
                Ok(Value::list(kept))
            }
            Collect::List => {
                let mut made = Vec::with_capacity(turns.len());
                for turn in turns {
                    made.extend(self.body(parts, turn)?);
                }
                Ok(Value::list(made))
            }
            Collect::Map | Collect::Entries => self.mapped(parts, turns),
            Collect::SortBy => self.sorted(parts, turns),
        }
    }

    /// The locals of each turn.
    fn turns(&mut self, parts: &Loop) -> Result<Vec<Vec<Value<'a>>>, EvalError> {
        let over = self.value(&parts.over)?;
        self.charge(over.size())?;
        Ok(match over {
            Value::List(list) if parts.pairs => list
                .iter()
                .enumerate()
                .map(|(index, item)| vec![Value::Int(i64::try_from(index).unwrap_or(i64::MAX)), item])
                .collect(),
            Value::List(list) => list.iter().map(|item| vec![item]).collect(),
            Value::Map(map) if parts.pairs => map.entries().into_iter().map(|(key, value)| vec![key, value]).collect(),
            Value::Map(map) => map.entries().into_iter().map(|(key, _)| vec![key]).collect(),
            _ => return Err(EvalError::no_overload()),
        })
    }

    /// The body of one turn, or nothing when the filter leaves it out.
    fn body(&mut self, parts: &Loop, turn: Vec<Value<'a>>) -> Result<Option<Value<'a>>, EvalError> {
        self.charge(2)?;
        if let Some(filter) = &parts.filter {
            match self.within(turn.clone(), filter)? {
                Value::Bool(true) => {}
                Value::Bool(false) => return Ok(None),
                _ => return Err(EvalError::no_overload()),
            }
        }
        self.within(turn, &parts.body).map(Some)
    }

    fn is_true(&mut self, parts: &Loop, turn: Vec<Value<'a>>) -> Result<bool, EvalError> {
        let body = self.body(parts, turn)?;
        body.and_then(|body| body.as_bool()).ok_or_else(EvalError::no_overload)
    }

    /// `all` and `exists`: one turn can decide although others fail.
    fn decide(&mut self, parts: &Loop, turns: Vec<Vec<Value<'a>>>, decisive: bool) -> Result<Value<'a>, EvalError> {
        let mut failure = None;
        for turn in turns {
            match self.is_true(parts, turn) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(EvalError::CostLimit) => return Err(EvalError::CostLimit),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn mapped(&mut self, parts: &Loop, turns: Vec<Vec<Value<'a>>>) -> Result<Value<'a>, EvalError> {
        let mut made: BTreeMap<Key, Value<'a>> = BTreeMap::new();
        for turn in turns {
            let key = turn.first().cloned().unwrap_or(Value::Null);
            let Some(body) = self.body(parts, turn)? else {
                continue;
            };
            let entries = match (parts.result, body) {
                (Collect::Entries, Value::Map(map)) => map.entries(),
                (Collect::Entries, _) => return Err(EvalError::no_overload()),
                (_, body) => vec![(key, body)],
            };
            for (key, value) in entries {
                let key = Key::of(&key).ok_or_else(EvalError::no_overload)?;
                if made.contains_key(&key) {
                    return Err(EvalError::new(format!("insert failed: key {key} already exists")));
                }
                made.insert(key, value);
            }
        }
        Ok(Value::Map(Map::Owned(Arc::new(made))))
    }

    fn sorted(&mut self, parts: &Loop, turns: Vec<Vec<Value<'a>>>) -> Result<Value<'a>, EvalError> {
        let mut keyed = Vec::with_capacity(turns.len());
        for turn in turns {
            let element = turn.last().cloned().unwrap_or(Value::Null);
            if let Some(key) = self.body(parts, turn)? {
                keyed.push((key, element));
            }
        }
        if let Some((first, _)) = keyed.first()
            && !keyed.iter().all(|(key, _)| key.compare(first).is_some())
        {
            return Err(EvalError::no_overload());
        }
        keyed.sort_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal));
        Ok(Value::list(keyed.into_iter().map(|(_, element)| element).collect()))
    }
}
