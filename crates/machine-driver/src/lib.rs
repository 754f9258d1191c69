//! Instances: start `ondol machine` in its namespaces and cgroup, find it again, end it; and its first process.
//!
//! **Invariant:** an instance is found by pid and start time, never by pid alone.
