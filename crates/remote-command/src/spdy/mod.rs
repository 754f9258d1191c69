//! SPDY/3.1 as Go's client speaks it: streams over any byte transport, without flow control.

pub(crate) mod command;
mod dictionary;
pub(crate) mod frame;
pub(crate) mod session;
