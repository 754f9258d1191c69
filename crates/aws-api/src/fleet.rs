//! Instances and Auto Scaling groups that no managed node group has: their records, what a group lacks, and the task that
//! makes the records true.

mod driver;
pub mod group;
pub mod hold;
pub mod instance;
pub mod membership;
pub mod plan;
pub mod refresh;

pub use driver::run;
