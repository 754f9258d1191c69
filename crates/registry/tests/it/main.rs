//! The registry on the embedded store, driven as kube-api drives it.

mod lifecycle;
mod world;
