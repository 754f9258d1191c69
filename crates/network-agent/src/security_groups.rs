//! The security groups of a VPC, held in its fabric.
use std::sync::{Arc, Mutex, PoisonError};

use packet_filter::{PacketFilter, PacketFilterError};
use service_routing::security_groups::{SecurityGroups, security_group_table};
use vpc_driver::Fabric;

use crate::vpc::VpcError;

/// Lets pass in a fabric what the VPC's security groups allow. Clones are the same.
#[derive(Clone)]
pub struct SecurityFilter {
    fabric: Fabric,
    held: Arc<Mutex<Held>>,
}

/// What the fabric's packet filter was told last; nothing for one that was there before this process.
#[derive(Default)]
struct Held {
    filter: Option<PacketFilter>,
    groups: Option<SecurityGroups>,
}

impl Held {
    fn apply(&mut self, groups: SecurityGroups) -> Result<(), PacketFilterError> {
        if self.groups.as_ref() == Some(&groups) {
            return Ok(());
        }
        let filter = match &mut self.filter {
            Some(filter) => filter,
            None => self.filter.insert(PacketFilter::open()?),
        };
        filter.apply(security_group_table(&groups))?;
        self.groups = Some(groups);
        Ok(())
    }
}

impl SecurityFilter {
    /// Of a fabric whose rules, if it has any, stay until the first change.
    #[must_use]
    pub fn new(fabric: Fabric) -> Self {
        Self {
            fabric,
            held: Arc::default(),
        }
    }

    /// Makes the fabric's rules those of the groups; what differs is changed at once, connections that exist go on.
    ///
    /// # Errors
    /// When the packet filter refuses; the rules are then what they were.
    pub async fn apply(&self, groups: SecurityGroups) -> Result<(), VpcError> {
        let vpc_id = || self.fabric.vpc_id().to_owned();
        let held = Arc::clone(&self.held);
        // On the fabric's thread, since the first call opens a socket there.
        let applied = self
            .fabric
            .run(move || held.lock().unwrap_or_else(PoisonError::into_inner).apply(groups));
        let applied = applied.await.map_err(|source| VpcError::Fabric {
            vpc_id: vpc_id(),
            source,
        })?;
        applied.map_err(|source| VpcError::Rules {
            vpc_id: vpc_id(),
            source,
        })
    }
}
