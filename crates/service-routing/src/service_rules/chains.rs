//! The chains: base chains that are the same on every node, and one chain for each number of endpoints in use.
use std::net::SocketAddrV4;

use super::{MASQUERADE_MARK, POD_INTERFACES};
use crate::ruleset::{
    Affinity, ChainKind, Data, DataType, Field, Hook, HookPoint, SetKind, Statement, Table, Value, Verdict,
};

/// Refuses.
const REJECT: &str = "reject-all";
/// Drops what comes from outside the node, for node ports whose endpoints are all elsewhere.
pub(super) const DROP_EXTERNAL: &str = "drop-external";
/// Where every new connection is compared with the Services.
const SERVICES: &str = "route-services";

/// What names a service in a packet, with maps of its own for endpoints and affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Address, protocol and port.
    Service,
    /// Protocol and port, to all endpoints.
    NodePort,
    /// Protocol and port, to the node's own endpoints.
    NodePortLocal,
}

impl Family {
    pub(super) const ALL: [Self; 3] = [Self::Service, Self::NodePort, Self::NodePortLocal];

    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::NodePort => "node-port",
            Self::NodePortLocal => "node-port-local",
        }
    }

    pub(super) fn endpoints(self) -> String {
        format!("{}-endpoints", self.name())
    }

    pub(super) fn valid(self) -> String {
        format!("{}-valid", self.name())
    }

    fn numbers(self) -> String {
        format!("{}-numbers", self.name())
    }

    fn learned(self) -> String {
        format!("{}-affinity", self.name())
    }

    fn key_types(self) -> Vec<DataType> {
        match self {
            Self::Service => vec![DataType::Address, DataType::Protocol, DataType::Port],
            Self::NodePort | Self::NodePortLocal => vec![DataType::Protocol, DataType::Port],
        }
    }

    fn fields(self) -> Vec<Field> {
        match self {
            Self::Service => vec![Field::DestinationAddress, Field::Protocol, Field::DestinationPort],
            Self::NodePort | Self::NodePortLocal => vec![Field::Protocol, Field::DestinationPort],
        }
    }

    pub(super) fn define_sets(self, table: &mut Table) {
        let endpoint = [DataType::Address, DataType::Port];
        let key = self.key_types();
        let with = |more: &[DataType]| [key.as_slice(), more].concat();
        table.define(
            &self.endpoints(),
            &with(&[DataType::Index]),
            SetKind::Map(endpoint.to_vec()),
        );
        table.define(
            &self.numbers(),
            &with(&[DataType::Index]),
            SetKind::Map(vec![DataType::Index]),
        );
        table.define(
            &self.valid(),
            &with(&[DataType::Index]),
            SetKind::Map(endpoint.to_vec()),
        );
        let client = [&[DataType::Address][..], &key].concat();
        table.define(&self.learned(), &client, SetKind::Learned(vec![DataType::Index]));
    }
}

/// How one of several endpoints is picked. Services with equal pickers share a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picker {
    family: Family,
    count: u32,
    affinity_seconds: Option<u32>,
    masquerade: bool,
}

impl Picker {
    /// `None` when there is nothing to pick from.
    pub(super) fn new(family: Family, count: usize, affinity_seconds: Option<u32>, masquerade: bool) -> Option<Self> {
        let count = u32::try_from(count).ok().filter(|count| *count > 0)?;
        Some(Self {
            family,
            count,
            affinity_seconds,
            masquerade,
        })
    }

    /// The chain to go to.
    pub(super) fn chain_name(&self) -> String {
        let masquerade = if self.masquerade { "-masquerade" } else { "" };
        format!("{}{masquerade}", self.plain_chain_name())
    }

    fn plain_chain_name(&self) -> String {
        let affinity = self
            .affinity_seconds
            .map(|seconds| format!("-for-{seconds}s"))
            .unwrap_or_default();
        format!("{}-of-{}{affinity}", self.family.name(), self.count)
    }

    /// Adds the chain, if it is missing, and the endpoints of one service.
    pub(super) fn add(&self, table: &mut Table, key: &[Value], endpoints: &[SocketAddrV4]) {
        table.chain(&self.plain_chain_name(), None, self.rules());
        if self.masquerade {
            let rule = vec![
                Statement::Mark(MASQUERADE_MARK),
                Statement::Verdict(Verdict::Goto(self.plain_chain_name())),
            ];
            table.chain(&self.chain_name(), None, vec![rule]);
        }
        for (endpoint, index) in endpoints.iter().zip(0..) {
            let place = vec![Value::Address(*endpoint.ip()), Value::Port(endpoint.port())];
            let indexed = [key, &[Value::Index(index)]].concat();
            if self.affinity_seconds.is_none() {
                table.insert(&self.family.endpoints(), indexed, Data::Values(place));
                continue;
            }
            // An endpoint's number must outlive changes of the others: its address is a number that does.
            let number = Value::Index(u32::from(*endpoint.ip()));
            table.insert(&self.family.numbers(), indexed, Data::Values(vec![number]));
            table.insert(&self.family.valid(), [key, &[number]].concat(), Data::Values(place));
        }
    }

    fn rules(&self) -> Vec<Vec<Statement>> {
        let (family, count) = (self.family, self.count);
        let service = family.fields();
        let Some(seconds) = self.affinity_seconds else {
            let key = [service.as_slice(), &[Field::Random(count)]].concat();
            return vec![vec![Statement::RedirectByMap {
                key,
                map: family.endpoints(),
            }]];
        };
        let affinity = Affinity {
            service,
            learned: family.learned(),
            valid: family.valid(),
            seconds,
        };
        vec![
            vec![Statement::RedirectAsBefore(affinity.clone())],
            vec![Statement::RedirectAndRemember {
                affinity,
                numbers: family.numbers(),
                count,
            }],
        ]
    }
}

/// What becomes of connections to a service that has no endpoint to offer: refused, or dropped when a policy hides
/// endpoints that exist.
pub(super) fn without_endpoints(hidden: bool) -> Verdict {
    if hidden {
        Verdict::Drop
    } else {
        Verdict::Goto(REJECT.to_owned())
    }
}

/// The chain of node ports with the policy Local: clients inside the cluster first, then the node's own endpoints.
pub(super) fn local_policy_chain(table: &mut Table, local: Option<&Picker>) -> String {
    let inside = Statement::VerdictOf {
        key: Family::NodePort.fields(),
        map: "node-ports-inside".to_owned(),
    };
    let mut rules = vec![
        vec![Statement::CameInBy(POD_INTERFACES.to_owned()), inside.clone()],
        vec![Statement::SourceIsLocal, Statement::Mark(MASQUERADE_MARK), inside],
    ];
    rules.extend(local.map(|picker| vec![Statement::Verdict(Verdict::Goto(picker.chain_name()))]));
    let name = format!(
        "external-{}",
        local.map_or_else(|| "local-none".to_owned(), Picker::chain_name)
    );
    table.chain(&name, None, rules);
    name
}

/// The chains that every node has, whatever Services there are.
pub(super) fn base_chains(table: &mut Table) {
    verdict_chains(table);
    nat_chains(table);
    filter_chains(table);
}

/// Chains that are gone to.
fn verdict_chains(table: &mut Table) {
    let from_pods = vec![
        Statement::CameInBy(POD_INTERFACES.to_owned()),
        Statement::Verdict(Verdict::Return),
    ];
    let from_node = vec![Statement::SourceIsLocal, Statement::Verdict(Verdict::Return)];
    let others = vec![Statement::Verdict(Verdict::Drop)];
    table.chain(REJECT, None, vec![vec![Statement::Reject]]);
    table.chain(DROP_EXTERNAL, None, vec![from_pods, from_node, others]);
    let services = vec![verdict_of(Family::Service, "services")];
    let mut node_ports = to_the_node();
    node_ports.push(verdict_of(Family::NodePort, "node-ports"));
    table.chain(SERVICES, None, vec![services, node_ports]);
}

fn nat_chains(table: &mut Table) {
    let hook = |point, priority| {
        Some(Hook {
            kind: ChainKind::Nat,
            point,
            priority,
        })
    };
    let to_services = || vec![vec![Statement::Verdict(Verdict::Jump(SERVICES.to_owned()))]];
    table.chain("nat-prerouting", hook(HookPoint::Prerouting, -100), to_services());
    table.chain("nat-output", hook(HookPoint::Output, -100), to_services());
    let hairpin = Statement::Member {
        key: vec![Field::SourceAddress, Field::DestinationAddress],
        set: "hairpin".to_owned(),
    };
    let masquerades = vec![
        vec![Statement::Marked(MASQUERADE_MARK), Statement::Masquerade],
        vec![hairpin, Statement::Masquerade],
    ];
    table.chain("nat-postrouting", hook(HookPoint::Postrouting, 100), masquerades);
}

fn filter_chains(table: &mut Table) {
    let hook = |point, priority| {
        Some(Hook {
            kind: ChainKind::Filter,
            point,
            priority,
        })
    };
    let services = || {
        let refuse = verdict_of(Family::Service, "no-endpoint-services");
        vec![Statement::NewConnection, refuse]
    };
    let mut node_ports = vec![Statement::NewConnection];
    node_ports.extend(to_the_node());
    node_ports.push(verdict_of(Family::NodePort, "no-endpoint-node-ports"));
    let unknown_port = || {
        let member = Statement::Member {
            key: vec![Field::DestinationAddress],
            set: "cluster-ips".to_owned(),
        };
        vec![Statement::NewConnection, member, Statement::Reject]
    };
    table.chain(
        "filter-input",
        hook(HookPoint::Input, -110),
        vec![services(), node_ports],
    );
    table.chain(
        "filter-forward",
        hook(HookPoint::Forward, -110),
        vec![services(), unknown_port()],
    );
    table.chain("filter-output", hook(HookPoint::Output, -110), vec![services()]);
    table.chain(
        "filter-output-after-nat",
        hook(HookPoint::Output, -90),
        vec![unknown_port()],
    );
}

fn verdict_of(family: Family, map: &str) -> Statement {
    Statement::VerdictOf {
        key: family.fields(),
        map: map.to_owned(),
    }
}

/// Addressed to the node itself. Node ports do not answer on loopback addresses.
fn to_the_node() -> Vec<Statement> {
    let not_loopback = Statement::DestinationIn {
        range: loopback(),
        negated: true,
    };
    vec![Statement::DestinationIsLocal, not_loopback]
}

fn loopback() -> ipnet::Ipv4Net {
    ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(127, 0, 0, 0), 8)
}
