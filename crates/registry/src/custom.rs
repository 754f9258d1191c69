//! Custom resources: the status of definitions, the end of their objects, and objects in other versions than the stored.

mod convert;
mod keep;

pub(crate) use convert::{Converter, assemble};
