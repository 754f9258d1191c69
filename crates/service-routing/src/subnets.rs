//! How a VPC's address range is cut into subnets, and which address of a subnet is next.
//!
//! The cut is eksctl's; the reserved addresses are Amazon VPC's. Both are plain arithmetic on ranges.
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use thiserror::Error;

/// The subnets that one availability zone gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSubnets {
    /// Name of the zone, such as `ap-northeast-2a`.
    pub zone: String,
    /// Subnet with a route to the internet gateway.
    pub public: Ipv4Net,
    /// Subnet behind the NAT gateway.
    pub private: Ipv4Net,
}

/// Why a VPC range cannot be cut.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SubnetPlanError {
    /// eksctl takes `/16` to `/24`.
    #[error("VPC CIDR {cidr}: prefix must be between /16 and /24")]
    PrefixOutOfRange {
        /// The range that was asked for.
        cidr: Ipv4Net,
    },
    /// The range has bits set behind its prefix.
    #[error("VPC CIDR {cidr} has host bits set, the network is {network}")]
    HostBits {
        /// The range that was asked for.
        cidr: Ipv4Net,
        /// What was probably meant.
        network: Ipv4Net,
    },
    /// A VPC range is cut into at most sixteen subnets.
    #[error("{zones} availability zones: must be between 1 and 8")]
    ZoneCount {
        /// How many zones were asked for.
        zones: usize,
    },
}

/// Cuts a VPC's range into one public and one private subnet per zone, as eksctl does: eight equal parts (sixteen for
/// more than four zones), the public subnets first. `10.0.0.0/16` and three zones give `/19`s at .0, .32, .64 (public)
/// and .96, .128, .160 (private).
///
/// # Errors
/// When the range is not a network between `/16` and `/24` or there are no or too many zones.
pub fn plan_subnets(vpc: Ipv4Net, zones: &[String]) -> Result<Vec<ZoneSubnets>, SubnetPlanError> {
    if !(16..=24).contains(&vpc.prefix_len()) {
        return Err(SubnetPlanError::PrefixOutOfRange { cidr: vpc });
    }
    if vpc.trunc() != vpc {
        return Err(SubnetPlanError::HostBits {
            cidr: vpc,
            network: vpc.trunc(),
        });
    }
    if zones.is_empty() || zones.len() > 8 {
        return Err(SubnetPlanError::ZoneCount { zones: zones.len() });
    }
    let extra_bits = if zones.len() * 2 > 8 { 4 } else { 3 };
    let parts: Vec<Ipv4Net> = vpc
        .subnets(vpc.prefix_len() + extra_bits)
        .map(Iterator::collect)
        .unwrap_or_default();
    let halves = parts.iter().zip(parts.iter().skip(zones.len()));
    Ok(zones
        .iter()
        .zip(halves)
        .map(|(zone, (public, private))| ZoneSubnets {
            zone: zone.clone(),
            public: *public,
            private: *private,
        })
        .collect())
}

/// The address at `offset` from the start of a range: 1 is the VPC router, 2 the Amazon-provided resolver.
#[must_use]
pub fn address_at(cidr: Ipv4Net, offset: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(cidr.network()).saturating_add(offset))
}

/// The address of the VPC's resolver: the base of the VPC's range plus two.
#[must_use]
pub fn resolver_address(vpc: Ipv4Net) -> Ipv4Addr {
    address_at(vpc, 2)
}

/// Why a subnet has no address to give.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Every usable address is taken (EC2's `InsufficientFreeAddressesInSubnet`).
    #[error("subnet {subnet} has insufficient free addresses: {wanted} wanted, {free} free")]
    InsufficientFreeAddresses {
        /// The subnet.
        subnet: Ipv4Net,
        /// How many were asked for.
        wanted: usize,
        /// How many are free.
        free: usize,
    },
    /// The address lies outside the subnet or is one of the five reserved ones.
    #[error("address {address} is not usable in subnet {subnet}")]
    NotUsable {
        /// The subnet.
        subnet: Ipv4Net,
        /// The address that was asked for.
        address: Ipv4Addr,
    },
    /// Somebody has it (EC2's `InvalidIPAddress.InUse`).
    #[error("address {address} is in use")]
    InUse {
        /// The address that was asked for.
        address: Ipv4Addr,
    },
}

/// Which addresses of a subnet are taken. The first four and the last address are Amazon VPC's own.
///
/// Addresses are given in a ring: one that is given back comes up again after all others, so that nobody takes who has it
/// next for who had it.
#[derive(Clone, Debug)]
pub struct SubnetAddresses {
    subnet: Ipv4Net,
    taken: BTreeSet<u32>,
    /// Where the search begins.
    next: u32,
}

impl SubnetAddresses {
    /// A subnet whose addresses in `taken` are in use already; others than the subnet's are ignored.
    #[must_use]
    pub fn new(subnet: Ipv4Net, taken: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let taken = taken
            .into_iter()
            .filter(|address| subnet.contains(address))
            .map(u32::from)
            .collect();
        let subnet = subnet.trunc();
        Self {
            next: usable(subnet).start,
            subnet,
            taken,
        }
    }

    /// The same, given out from `next` on, as [`SubnetAddresses::goes_on_at`] said the last time.
    #[must_use]
    pub fn beginning_at(mut self, next: Option<Ipv4Addr>) -> Self {
        let next = next.map(u32::from).filter(|address| self.is_usable(*address));
        self.next = next.unwrap_or(self.next);
        self
    }

    /// Where to go on: behind the address that was given last.
    #[must_use]
    pub fn goes_on_at(&self) -> Ipv4Addr {
        self.next.into()
    }

    /// How many addresses are free (EC2's `AvailableIpAddressCount`).
    #[must_use]
    pub fn free(&self) -> usize {
        let usable = usable(self.subnet).count();
        usable.saturating_sub(self.taken.iter().filter(|address| self.is_usable(**address)).count())
    }

    /// Takes the next `count` free addresses, all or none.
    ///
    /// # Errors
    /// [`AddressError::InsufficientFreeAddresses`] when fewer are free; nothing is taken then.
    pub fn take(&mut self, count: usize) -> Result<Vec<Ipv4Addr>, AddressError> {
        let all = usable(self.subnet);
        let ring = (self.next..all.end).chain(all.start..self.next);
        let found: Vec<u32> = ring
            .filter(|address| !self.taken.contains(address))
            .take(count)
            .collect();
        if found.len() < count {
            return Err(AddressError::InsufficientFreeAddresses {
                subnet: self.subnet,
                wanted: count,
                free: found.len(),
            });
        }
        self.taken.extend(&found);
        if let Some(last) = found.last() {
            let next = last.saturating_add(1);
            self.next = if all.contains(&next) { next } else { all.start };
        }
        Ok(found.into_iter().map(Ipv4Addr::from).collect())
    }

    /// Takes one particular address.
    ///
    /// # Errors
    /// When it is not usable in this subnet or taken.
    pub fn take_exactly(&mut self, address: Ipv4Addr) -> Result<(), AddressError> {
        if !self.is_usable(address.into()) {
            return Err(AddressError::NotUsable {
                subnet: self.subnet,
                address,
            });
        }
        if !self.taken.insert(address.into()) {
            return Err(AddressError::InUse { address });
        }
        Ok(())
    }

    /// Gives an address back; `false` when it was not taken.
    pub fn release(&mut self, address: Ipv4Addr) -> bool {
        self.taken.remove(&address.into())
    }

    fn is_usable(&self, address: u32) -> bool {
        usable(self.subnet).contains(&address)
    }
}

fn usable(subnet: Ipv4Net) -> std::ops::Range<u32> {
    u32::from(subnet.network()).saturating_add(4)..u32::from(subnet.broadcast())
}

#[cfg(test)]
mod tests;
