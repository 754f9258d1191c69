//! Expressions and what upstream answers to them.

mod access;
mod compiling;
mod evaluating;
mod fuzzing;
mod limits;
mod typed;
