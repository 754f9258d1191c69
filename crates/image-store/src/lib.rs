//! Pull, load, unpack and garbage-collect images.
//!
//! **Invariant:** a layer is unpacked once, and only after its digest was checked.
