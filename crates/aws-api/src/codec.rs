//! Requests to typed values and values to answers, for every AWS protocol, driven by the shape tables alone.
//!
//! In between, a request or answer is a JSON value keyed by the model's member names. A member that the model lacks cannot
//! leave: [`check`] refuses it, so that our own answers are checked by the tables that clients use.

pub mod check;
#[cfg(test)]
mod fuzzing;
pub mod json;
pub mod query;
pub mod route;
pub mod xml;

use serde_json::Value;

/// A request that was understood: which operation, with which input.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The operation's name.
    pub operation: String,
    /// Its input by member names.
    pub input: Value,
}

/// A request that cannot be understood.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No operation has this method and path, or none is named.
    #[error("no operation")]
    NoOperation,
    /// The service has no such operation.
    #[error("unknown operation {0}")]
    UnknownOperation(String),
    /// The body is not what the content type says.
    #[error("{0}")]
    Malformed(String),
    /// A member has a value of another type.
    #[error("{path}: {message}")]
    WrongType {
        /// The member.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// A required member is missing, or a value is not allowed.
    #[error("{0}")]
    Invalid(#[from] check::Violation),
}
