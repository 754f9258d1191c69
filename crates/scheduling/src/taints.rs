//! Taints and tolerations: the single home of the rule which pod may stand which node.

use std::fmt;

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// New pods are not placed on the node.
    NoSchedule,
    /// New pods are placed elsewhere if possible.
    PreferNoSchedule,
    /// New pods are not placed on the node and running ones are evicted.
    NoExecute,
}

impl Effect {
    /// The effect's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }

    /// Is this the effect of `taint`?
    pub fn is_of(self, taint: &Taint) -> bool {
        taint.effect == self.name()
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Does `toleration` tolerate `taint`?
///
/// An empty effect stands for all effects, an empty key with operator `Exists` for all taints; without an operator the value
/// must be equal; `Lt` and `Gt` compare the taint's value as a number with the toleration's. Source of the rule: `ToleratesTaint`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    let key = toleration.key.as_deref().unwrap_or_default();
    if !key.is_empty() && key != taint.key {
        return false;
    }
    let wanted = toleration.value.as_deref().unwrap_or_default();
    let actual = taint.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => wanted == actual,
        "Exists" => true,
        "Lt" => numbers(actual, wanted).is_some_and(|(actual, wanted)| actual < wanted),
        "Gt" => numbers(actual, wanted).is_some_and(|(actual, wanted)| actual > wanted),
        _ => false,
    }
}

/// Does any of `tolerations` tolerate `taint`?
pub fn any_tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// The first taint with one of `effects` that none of `tolerations` tolerates.
pub fn first_untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[Effect]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.iter().any(|effect| effect.is_of(taint)))
        .find(|taint| !any_tolerates(tolerations, taint))
}

fn numbers(actual: &str, wanted: &str) -> Option<(i64, i64)> {
    Some((actual.parse().ok()?, wanted.parse().ok()?))
}

#[cfg(test)]
mod tests;
