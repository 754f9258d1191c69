//! Instances: start `ondol machine` in its namespaces and cgroup, find it again, end it; and its first process.
//!
//! **Invariant:** an instance is found by pid, start time and boot, never by pid alone.
//!
//! An EC2 instance is a process tree: process 1 of its own PID, mount, network, IPC and UTS namespaces. Whoever ends that process ends
//! everything in it, because the kernel does. The driver remembers nothing: what it needs to find a machine again is in the machine's directory.

pub mod cgroup;
pub mod init;
mod launch;
mod probe;
mod process;
pub mod user_namespace;

pub use launch::{LaunchError, MachineSpec, launch, launcher_main};
pub use probe::{PROBE, probe, probe_main};
pub use process::{Machine, MachineError};
