//! What a call costs, in upstream's units: one for a step, a tenth for each character or element that is looked at.

use crate::value::{List, Value};

/// How a function's cost follows from its arguments. Source: `apiserver/pkg/cel/library/cost.go`, cel-go's tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// One step.
    Step,
    /// The first argument is read once.
    First,
    /// All arguments are read once.
    All,
    /// The first argument is searched for the second.
    Search,
    /// The first argument is matched with a pattern, the second.
    Pattern,
    /// The smaller of two is compared.
    Compare,
    /// Each element of the first argument is looked at.
    Elements,
    /// Each element of the first is compared with each of the second.
    Pairs,
    /// An authorizer is asked.
    Access,
}

/// Asking an authorizer is much dearer than a step.
const ACCESS: u64 = 350_000;

impl Cost {
    /// Cost of a call.
    pub fn of(self, arguments: &[Value<'_>]) -> u64 {
        let size = |index: usize| arguments.get(index).map_or(0, Value::size);
        match self {
            Self::Step => 1,
            Self::First => read(size(0)),
            Self::All => read(arguments.iter().map(deep_size).sum()),
            Self::Search => read(size(0)).saturating_mul(read(size(1))),
            Self::Pattern => read(size(0) + 1).saturating_mul(size(1).div_ceil(4).max(1)),
            Self::Compare => arguments.iter().map(deep_size).min().map_or(1, read),
            Self::Elements => size(0).max(1),
            Self::Pairs => size(0).max(1).saturating_mul(size(1).max(1)),
            Self::Access => ACCESS,
        }
    }
}

fn read(size: u64) -> u64 {
    size.div_ceil(10).max(1)
}

/// Strings in a list count with their length.
fn deep_size(value: &Value<'_>) -> u64 {
    match value {
        Value::List(List::Json(items, ..)) => items.len() as u64,
        other => other.size(),
    }
}
