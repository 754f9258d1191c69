//! What a launch asks for (request over launch template over EC2's defaults), and where it gets it.

mod read;
mod root;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::{EniId, InstanceId, SubnetId, instance_type};
use cluster_lifecycle::user_data::Bootstrap;
use serde_json::Value;
use service_routing::subnets::{AddressError, SubnetAddresses};

use super::document::Document;
use super::subnet;
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::network::Subnet;
use crate::operations::Context;

pub use read::{merged, read};
pub use root::release;

/// Instances of one kind, checked: only addresses may be missing.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The image.
    pub image: String,
    /// The type.
    pub instance_type: String,
    /// The subnet.
    pub subnet: String,
    /// The address that the (only) instance is to have.
    pub address: Option<Ipv4Addr>,
    /// Security groups.
    pub groups: Vec<String>,
    /// The name of the instance profile.
    pub profile: Option<String>,
    /// User data in base64.
    pub user_data: Option<String>,
    /// What the user data says of a cluster.
    pub bootstrap: Option<Bootstrap>,
    /// Whether it is to be a Spot instance.
    pub spot: bool,
    /// The Auto Scaling group, and whether it protects new instances.
    pub group: Option<(String, bool)>,
    /// The launch configuration.
    pub launch_configuration: Option<String>,
    /// The launch template.
    pub template: Option<(String, String, String)>,
    /// Token and request, for calls that may be repeated.
    pub token: Option<(String, String)>,
    /// Tags of instances.
    pub tags: BTreeMap<String, String>,
    /// Tags of volumes.
    pub volume_tags: BTreeMap<String, String>,
    /// Volumes: device and EBS members.
    pub volumes: Vec<(String, Value)>,
    /// Other members of the instance.
    pub details: Value,
    /// Attributes that only `DescribeInstanceAttribute` shows.
    pub attributes: Value,
}

impl Wanted {
    /// Tags of the instances: those that were asked for, and those that tell of the launch template.
    fn instance_tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.tags.clone();
        if let Some((id, _, version)) = &self.template {
            tags.insert("aws:ec2launchtemplate:id".to_owned(), id.clone());
            tags.insert("aws:ec2launchtemplate:version".to_owned(), version.clone());
        }
        tags
    }
}

/// Instances that are about to be written down together.
#[derive(Default)]
pub struct Placement {
    instances: Vec<Ec2Instance>,
    volumes: Vec<Document>,
    free: BTreeMap<SubnetId, (Subnet, SubnetAddresses)>,
}

impl Placement {
    /// Gives `count` more instances ids and addresses, all or none; answers their ids.
    ///
    /// # Errors
    /// When the subnet has too few free addresses.
    pub fn add(
        &mut self,
        state: &State,
        context: &Context,
        wanted: &Wanted,
        count: usize,
    ) -> Result<Vec<String>, ApiError> {
        let region = &context.region;
        let subnet = subnet::find(state, &wanted.subnet)?;
        let (_, free) = self
            .free
            .entry(subnet.id.clone())
            .or_insert_with(|| (subnet.clone(), state.addresses(subnet)));
        let addresses = addresses(free, wanted, count)?;
        let reservation = region.id("r-");
        let now = region.clock.now();
        let mut ids = Vec::new();
        for (index, (address, pod_addresses)) in addresses.into_iter().enumerate() {
            let id = InstanceId::new(region.id("i-")).map_err(ApiError::internal)?;
            let volumes = root::volumes(context, wanted, subnet.zone.as_str(), &id);
            ids.push(id.to_string());
            self.instances.push(Ec2Instance {
                eni: EniId::new(region.id("eni-")).map_err(ApiError::internal)?,
                reservation: reservation.clone(),
                index: i64::try_from(index).unwrap_or(0),
                token: wanted.token.clone(),
                instance_type: wanted.instance_type.clone(),
                image: wanted.image.clone(),
                vpc: subnet.vpc.clone(),
                subnet: subnet.id.clone(),
                zone: subnet.zone.clone(),
                address,
                pod_addresses,
                node_name: crate::allocation::node_name(address, region.name.as_str()),
                launched_at: now,
                state: LifeState::Pending,
                since: now,
                reason: None,
                groups: wanted.groups.clone(),
                profile: wanted.profile.clone(),
                user_data: wanted.user_data.clone(),
                bootstrap: wanted.bootstrap.clone(),
                joined: None,
                spot: wanted.spot,
                group: wanted.group.as_ref().map(|(name, _)| name.clone()),
                protected: wanted.group.as_ref().is_some_and(|(_, protects)| *protects),
                standby: false,
                template: wanted.template.clone(),
                launch_configuration: wanted.launch_configuration.clone(),
                hold: None,
                tags: wanted.instance_tags(),
                volumes: volumes
                    .iter()
                    .map(|(device, volume)| (device.clone(), volume.id.clone()))
                    .collect(),
                details: wanted.details.clone(),
                attributes: wanted.attributes.clone(),
                id,
            });
            self.volumes.extend(volumes.into_iter().map(|(_, volume)| volume));
        }
        Ok(ids)
    }

    /// Those that are about to be.
    pub fn instances(&self) -> &[Ec2Instance] {
        &self.instances
    }

    /// What is to be written down, with one more tag on each instance.
    pub fn changes_tagged(mut self, key: &str, value: &str) -> Vec<Change> {
        for instance in &mut self.instances {
            instance.tags.insert(key.to_owned(), value.to_owned());
        }
        self.changes()
    }

    /// What is to be written down.
    pub fn changes(self) -> Vec<Change> {
        let subnets = self.free.values().map(|(subnet, given)| subnet.after(given));
        let instances = self.instances.into_iter().map(Change::put);
        let volumes = self.volumes.into_iter().map(Change::put);
        subnets.chain(instances).chain(volumes).collect()
    }
}

/// Own addresses and pod addresses of `count` instances, all or none.
fn addresses(
    free: &mut SubnetAddresses,
    wanted: &Wanted,
    count: usize,
) -> Result<Vec<(Ipv4Addr, Vec<Ipv4Addr>)>, ApiError> {
    let kind = instance_type::find(&wanted.instance_type);
    // Addresses for pods are only of use where there will be pods.
    let pods = kind
        .filter(|_| wanted.bootstrap.is_some())
        .map_or(0, |kind| kind.pod_addresses() as usize);
    let mut attempt = free.clone();
    let mut addresses = Vec::new();
    for _ in 0..count {
        let own = match wanted.address {
            Some(address) => attempt.take_exactly(address).map(|()| address),
            None => attempt.take(1).map(|taken| taken[0]),
        };
        let both = own.and_then(|own| Ok((own, attempt.take(pods)?)));
        addresses.push(both.map_err(|error| no_address(&wanted.subnet, &error))?);
    }
    *free = attempt;
    Ok(addresses)
}

fn no_address(subnet: &str, error: &AddressError) -> ApiError {
    match error {
        AddressError::InsufficientFreeAddresses { .. } => ApiError::bad_request(
            "InsufficientFreeAddressesInSubnet",
            format!("The specified subnet '{subnet}' does not have enough free addresses to satisfy the request."),
        ),
        AddressError::InUse { address } => {
            ApiError::bad_request("InvalidIPAddress.InUse", format!("Address {address} is in use."))
        }
        AddressError::NotUsable { address, .. } => ApiError::bad_request(
            "InvalidParameterValue",
            format!("Address {address} does not fall within the subnet's address range"),
        ),
    }
}
