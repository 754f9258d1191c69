//! The DNS names of a cluster, as the Kubernetes DNS specification (version 1.1.0) and CoreDNS give them.
//!
//! A zone is built as a whole from Services, slices and namespaces; answering is a look-up. A name that exists without
//! records of the asked type is told from one that does not exist, since resolvers treat them differently.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;

use crate::endpoints::SliceIndex;

mod build;
pub mod services;
pub mod vpc;

/// How long answers may be kept, in seconds: CoreDNS's default for the cluster's zone.
pub const TTL_SECONDS: u32 = 5;

/// The domain of most clusters.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// The types of records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses, of which there are none.
    Aaaa,
    /// Ports and targets.
    Srv,
    /// Names of addresses.
    Ptr,
    /// Text.
    Txt,
    /// Another name.
    Cname,
    /// Everything there is.
    Any,
    /// Types that exist without any such record here.
    Other,
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record, without the final dot.
    pub name: String,
    /// What it says.
    pub data: RecordData,
}

/// What a record says. Names are without the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    /// An address.
    Address(Ipv4Addr),
    /// Where a service is.
    Service {
        /// Share among equals; the shares of a headless Service add up to 100.
        weight: u16,
        /// Port.
        port: u16,
        /// Name of the host.
        target: String,
    },
    /// The name of an address.
    Pointer(String),
    /// Text.
    Text(String),
    /// The name whose records are meant.
    Alias(String),
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records, and further ones that the asker will need next.
    Records {
        /// What was asked for.
        answers: Vec<Record>,
        /// Addresses of targets.
        additional: Vec<Record>,
    },
    /// The name exists and has no such record.
    NoData,
    /// The name does not exist.
    NoSuchName,
    /// Another server knows.
    NotHere,
}

/// What a name has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    addresses: Vec<Ipv4Addr>,
    services: Vec<Target>,
    alias: Option<String>,
    text: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    weight: u16,
    port: u16,
    target: String,
}

/// All names of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterNames {
    domain: String,
    nodes: HashMap<String, Node>,
    pointers: HashMap<Ipv4Addr, BTreeSet<String>>,
    namespaces: BTreeSet<String>,
}

impl ClusterNames {
    /// The names of a cluster whose domain is `domain` (`cluster.local`).
    #[must_use]
    pub fn build<'a>(
        domain: &str,
        services: impl IntoIterator<Item = &'a Service>,
        slices: &SliceIndex<'_>,
        namespaces: impl IntoIterator<Item = String>,
    ) -> Self {
        build::build(domain, services, slices, namespaces)
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Answers a question. `name` may be in any case and end with a dot.
    #[must_use]
    pub fn answer(&self, name: &str, kind: RecordKind) -> Answer {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = reverse_address(&lower) {
            return self.pointer(&lower, address, kind);
        }
        let Some(rest) = lower.strip_suffix(self.domain.as_str()) else {
            return Answer::NotHere;
        };
        if !rest.is_empty() && !rest.ends_with('.') {
            return Answer::NotHere;
        }
        match self.nodes.get(&lower) {
            Some(node) => self.of_node(&lower, node, kind),
            None => self.pod(&lower, rest, kind),
        }
    }

    fn of_node(&self, name: &str, node: &Node, kind: RecordKind) -> Answer {
        let record = |data| Record {
            name: name.to_owned(),
            data,
        };
        if let Some(alias) = &node.alias
            && kind != RecordKind::Other
        {
            return records(vec![record(RecordData::Alias(alias.clone()))]);
        }
        let mut answers = Vec::new();
        if matches!(kind, RecordKind::A | RecordKind::Any) {
            answers.extend(
                node.addresses
                    .iter()
                    .map(|address| record(RecordData::Address(*address))),
            );
        }
        let mut additional = Vec::new();
        if matches!(kind, RecordKind::Srv | RecordKind::Any) {
            answers.extend(node.services.iter().map(|service| record(service.data())));
            additional = self.addresses_of(node.services.iter().map(|service| service.target.as_str()));
        }
        if matches!(kind, RecordKind::Txt | RecordKind::Any) {
            answers.extend(node.text.iter().map(|text| record(RecordData::Text(text.clone()))));
        }
        if answers.is_empty() {
            Answer::NoData
        } else {
            Answer::Records { answers, additional }
        }
    }

    fn addresses_of<'a>(&self, targets: impl Iterator<Item = &'a str>) -> Vec<Record> {
        let targets: BTreeSet<&str> = targets.collect();
        let found = targets
            .into_iter()
            .filter_map(|target| self.nodes.get(target).map(|node| (target, node)));
        let each = found.flat_map(|(target, node)| {
            let record = move |address: &Ipv4Addr| Record {
                name: target.to_owned(),
                data: RecordData::Address(*address),
            };
            node.addresses.iter().map(record)
        });
        each.collect()
    }

    /// `a-b-c-d.<namespace>.pod.<domain>` names any address, whether or not a pod has it (CoreDNS's `pods insecure`,
    /// which EKS uses).
    fn pod(&self, name: &str, rest: &str, kind: RecordKind) -> Answer {
        let labels: Vec<&str> = rest.trim_end_matches('.').split('.').collect();
        let [dashed, namespace, "pod"] = labels.as_slice() else {
            return Answer::NoSuchName;
        };
        let Some(address) = dashed_address(dashed).filter(|_| self.namespaces.contains(*namespace)) else {
            return Answer::NoSuchName;
        };
        if !matches!(kind, RecordKind::A | RecordKind::Any) {
            return Answer::NoData;
        }
        records(vec![Record {
            name: name.to_owned(),
            data: RecordData::Address(address),
        }])
    }

    /// Addresses that are not the cluster's are left to others.
    fn pointer(&self, name: &str, address: Ipv4Addr, kind: RecordKind) -> Answer {
        let Some(names) = self.pointers.get(&address) else {
            return Answer::NotHere;
        };
        if !matches!(kind, RecordKind::Ptr | RecordKind::Any) {
            return Answer::NoData;
        }
        let pointer = |target: &String| Record {
            name: name.to_owned(),
            data: RecordData::Pointer(target.clone()),
        };
        records(names.iter().map(pointer).collect())
    }
}

impl Target {
    fn data(&self) -> RecordData {
        RecordData::Service {
            weight: self.weight,
            port: self.port,
            target: self.target.clone(),
        }
    }
}

fn records(answers: Vec<Record>) -> Answer {
    Answer::Records {
        answers,
        additional: Vec::new(),
    }
}

/// `10-0-1-5` as an address.
pub(crate) fn dashed_address(label: &str) -> Option<Ipv4Addr> {
    let octets: Vec<&str> = label.split('-').collect();
    (octets.len() == 4).then(|| octets.join(".").parse().ok()).flatten()
}

/// An address as `10-0-1-5`.
pub(crate) fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

/// The address that a name under `in-addr.arpa` stands for.
pub(crate) fn reverse_address(name: &str) -> Option<Ipv4Addr> {
    let labels: Vec<&str> = name.strip_suffix(".in-addr.arpa")?.split('.').rev().collect();
    (labels.len() == 4).then(|| labels.join(".").parse().ok()).flatten()
}

/// Labels below each Service's name that hold a place only, so that they exist.
fn parents(name: &str, domain: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = name;
    while let Some((_, parent)) = rest.split_once('.') {
        if parent.len() <= domain.len() {
            break;
        }
        found.push(parent.to_owned());
        rest = parent;
    }
    found
}

#[cfg(test)]
mod tests;
