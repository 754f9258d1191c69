//! The registry on the embedded store, driven as kube-api drives it.

mod deletion;
mod every_kind;
mod lifecycle;
mod lists;
mod pods;
mod services;
mod tables;
mod watches;
mod world;
mod writes;
