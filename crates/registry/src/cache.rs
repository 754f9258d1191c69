//! What the registry keeps in memory: every object as encoded bytes with pre-extracted metadata, and recent changes.
//!
//! One watch on the store feeds all caches in revision order, so one number says how far all of them have come. Lists,
//! gets and watches send the bytes that are here; nothing is encoded again for them.

mod feed;
mod item;
mod resource;
mod served;

pub(crate) use feed::{Caches, Known};
pub use item::Unreadable;
pub(crate) use item::{Extract, Item, encode};
pub(crate) use resource::{Change, ChangeKind, ResourceCache, Since};
