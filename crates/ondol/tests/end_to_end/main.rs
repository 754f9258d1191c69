//! Ondol as a user meets it: its own binary, the real kubectl and aws, real containers.

mod bad_input;
mod bad_objects;
mod clients;
mod extensions;
mod full_disk;
mod guide;
mod identity;
mod kills;
mod network_balancer;
mod ordinary_user;
mod security_groups;
mod side_by_side;
mod simulated;
mod support;
mod usage;
