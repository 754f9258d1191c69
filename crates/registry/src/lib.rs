//! The one request pipeline: admission, defaults, validation, storage, watch; and the table of every kind.
//!
//! **Invariant:** no handler of one kind and verb.
#![forbid(unsafe_code)]
