//! What each kind defaults, validates, keeps immutable, resets and counts.
//!
//! **Invariant:** every rule is a function of the objects given to it.
//!
//! Objects are untyped but checked: they have passed [`kube_types`]' schema of their kind, so a field that is there has
//! the type that the kind gives it. Sources of the rules are upstream's `pkg/apis/<group>/{v1/defaults.go,validation}` and
//! `pkg/registry/<group>/<kind>/strategy.go`.
#![forbid(unsafe_code)]

mod access;
mod api_service;
mod autoscaler;
mod batch;
pub mod certificate;
mod config;
mod extensions;
pub mod field;
mod flow_control;
mod limits;
pub mod metadata;
pub mod names;
mod namespace;
mod network;
mod platform;
mod pod;
pub mod quota;
mod rules;
mod service;
pub mod shape;
pub mod tree;
mod volume;
mod webhooks;
mod workload;

pub use rules::{Coverage, Grace, Rules, coverage, rules};
