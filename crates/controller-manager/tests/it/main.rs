//! The controllers against the real API server and store, in one process.

mod certificates;
mod cluster;
mod custom_resources;
mod quotas;
mod workloads;
