//! The vocabulary of decisions: what is observed (`World`), what should change (`Plan`, `Change`) and who decides (`Controller`).
//!
//! **Invariant:** nothing here is async, reads a clock, or knows how a change is carried out.
#![forbid(unsafe_code)]

mod change;
mod condition;
mod controller;
mod event;
mod index;
mod kinds;
mod owner;
mod time;
mod words;

pub use change::{Change, MetadataPatch, Plan, Propagation, ResourceName, Step, Target};
pub use condition::{Condition, set_condition, without_condition};
pub use controller::{AnyController, Controller, Planned};
pub use event::{EventRecord, EventType};
pub use index::{Index, Observed};
pub use kinds::{AnyObject, FailedChange, Failure, Kind, Observation, World};
pub use owner::{controller_of, controller_reference, is_controlled_by, object_reference};
pub use time::{rfc3339_seconds, since, whole_seconds};
