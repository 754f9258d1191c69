//! Instance types: processors, memory, network interfaces and addresses, and the most pods that follow from them.

use std::sync::OnceLock;

/// One instance type. The numbers are those that EC2 publishes (`DescribeInstanceTypes`, default network card).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceType {
    /// For example `t3.medium`.
    pub name: &'static str,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The most network interfaces.
    pub interfaces: u32,
    /// IPv4 addresses of each interface, the primary one included.
    pub addresses_per_interface: u32,
}

impl InstanceType {
    /// Secondary addresses of all interfaces: one for each pod that has its own network.
    pub fn pod_addresses(&self) -> u32 {
        self.interfaces * (self.addresses_per_interface - 1)
    }

    /// The most pods that EKS's images give to the kubelet: every pod address and two for pods on the host's network.
    pub fn max_pods(&self) -> u32 {
        self.pod_addresses() + 2
    }
}

/// The type of that name, if it is known here.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    all().iter().find(|known| known.name == name)
}

/// Every known type, grouped by family, small to large.
pub fn all() -> &'static [InstanceType] {
    static ALL: OnceLock<Vec<InstanceType>> = OnceLock::new();
    ALL.get_or_init(|| include_str!("instance_types.tsv").lines().map(parse).collect())
}

fn parse(line: &'static str) -> InstanceType {
    let mut fields = line.split('\t');
    let mut field = || fields.next().expect("the table has six columns (tested)");
    let (name, architecture) = (field(), field());
    let mut number = || field().parse().expect("columns three to six are numbers (tested)");
    InstanceType {
        name,
        architecture,
        vcpus: number(),
        memory_mib: u64::from(number()),
        interfaces: number(),
        addresses_per_interface: number(),
    }
}

#[cfg(test)]
mod tests;
