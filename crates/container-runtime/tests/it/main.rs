//! Real containers: the runtime, its shims and a machine's first process are this same test binary in other roles.

#![allow(
    unsafe_code,
    reason = "the roles begin before the harness has threads, and children are tied to their parent"
)]
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test's helpers fail as its own lines do, and a story is told in one piece"
)]

mod containers;
mod image;
mod machine;
mod recovery;
mod roles;
mod security;
mod speed;
mod streams;
mod user_namespace;
mod version_2;
