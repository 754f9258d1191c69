//! Links the program at a fixed address, as Go programs are by default.
//!
//! Otherwise the loader writes four mebibytes of addresses into each process that runs it, and there are twenty of them:
//! pages that are private to each, where now all share the file's.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
}
