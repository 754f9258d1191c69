//! What each kind defaults, validates, keeps immutable, resets and counts.
//!
//! **Invariant:** every rule is a function of the objects given to it.
//!
//! Objects are untyped but checked: they have passed [`kube_types`]' schema of their kind, so a field that is there has
//! the type that the kind gives it. Sources of the rules are upstream's `pkg/apis/<group>/{v1/defaults.go,validation}` and
//! `pkg/registry/<group>/<kind>/strategy.go`.
#![forbid(unsafe_code)]

pub mod field;
pub mod metadata;
mod rules;

pub use rules::{Grace, Rules, rules};
