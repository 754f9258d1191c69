//! Which node for this pod: filter and score plugins over a snapshot.
//!
//! **Invariant:** deciding changes nothing; the same snapshot and pod always give the same answer.
#![forbid(unsafe_code)]

pub mod decide;
pub mod node_terms;
pub mod plugin;
pub mod plugins;
pub mod preemption;
pub mod resources;
pub mod snapshot;
pub mod taints;

pub use decide::{Decision, FitError, schedule};
pub use plugin::{ClusterChange, Filter, Rejection, Score};
pub use resources::Resources;
pub use snapshot::{NodeInfo, PodInfo, Snapshot};
