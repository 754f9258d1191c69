//! Ondol as a user meets it: its own binary, the real kubectl and aws, real containers.

mod guide;
mod simulated;
mod support;
