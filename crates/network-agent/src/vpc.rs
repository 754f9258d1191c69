//! What a VPC offers to its instances, run by the region: routes to the outside through the NAT gateway, and names at
//! the base of the VPC's range plus two.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use packet_filter::{PacketFilter, PacketFilterError};
use service_routing::names::vpc::VpcNames;
use service_routing::names::{Answer, Record, RecordData, RecordKind};
use service_routing::ruleset::Table;
use service_routing::subnets::resolver_address;
use service_routing::vpc_rules::vpc_table;
use supervision::Supervisor;
use thiserror::Error;
use vpc_driver::nat::{DATAGRAM_MARK, NAT_GATEWAY};
use vpc_driver::{Fabric, FabricError};

use crate::dns::{Forwarder, Listeners, Zones, serve as serve_names};

/// Names that somebody else gives to addresses inside the VPC, such as load balancers.
pub trait VpcAddresses: Send + Sync {
    /// The addresses inside the VPC that a name stands for; empty for an unknown name. `name` is in lower case and
    /// without the final dot.
    fn addresses(&self, name: &str) -> Vec<Ipv4Addr>;
}

/// What the services of a VPC are told.
#[derive(Clone)]
pub struct VpcOptions {
    /// The region, for instance names.
    pub region: String,
    /// Further names.
    pub addresses: Option<Arc<dyn VpcAddresses>>,
}

/// Why a VPC's services cannot start.
#[derive(Debug, Error)]
pub enum VpcError {
    /// The fabric refused an address or a socket.
    #[error("services of {vpc_id}")]
    Fabric {
        /// The VPC.
        vpc_id: String,
        /// The cause.
        #[source]
        source: FabricError,
    },
    /// The packet filter refused.
    #[error("rules of {vpc_id}")]
    Rules {
        /// The VPC.
        vpc_id: String,
        /// The cause.
        #[source]
        source: PacketFilterError,
    },
    /// A VPC without a range has no resolver.
    #[error("{vpc_id} has no address range")]
    NoRange {
        /// The VPC.
        vpc_id: String,
    },
}

/// Sets the VPC's rules and starts its NAT gateway and resolver; they end with the supervisor. To be called by the
/// process that lives in the host's own network namespace, which is where connections to the outside are made.
///
/// # Errors
/// When the fabric or its packet filter refuse.
pub async fn serve(fabric: Fabric, options: VpcOptions, supervisor: &Supervisor) -> Result<(), VpcError> {
    let vpc_id = fabric.vpc_id().to_owned();
    let fabric_error = |source| VpcError::Fabric {
        vpc_id: vpc_id.clone(),
        source,
    };
    let cidrs = fabric.cidrs().to_vec();
    let Some(primary) = cidrs.first().copied() else {
        return Err(VpcError::NoRange { vpc_id });
    };
    fabric.serve_nat(supervisor).await.map_err(fabric_error)?;
    set_rules(&fabric).await?;

    let address = resolver_address(primary);
    fabric.add_local_address(address).await.map_err(fabric_error)?;
    let socket = SocketAddr::from((address, 53));
    let listeners = Listeners {
        udp: fabric.bind_udp(socket).await.map_err(fabric_error)?,
        tcp: fabric.listen_tcp(socket).await.map_err(fabric_error)?,
    };
    let zones = VpcZones {
        names: VpcNames {
            region: options.region,
            cidrs,
        },
        addresses: options.addresses,
    };
    let scope = supervisor.child(format!("resolver-{vpc_id}"));
    serve_names(listeners, Arc::new(zones), Forwarder::of_host(), &scope);
    Ok(())
}

/// Sets the VPC's packet rules. A kernel without nft's tproxy still gets those of connections.
async fn set_rules(fabric: &Fabric) -> Result<(), VpcError> {
    let rules_error = |source| VpcError::Rules {
        vpc_id: fabric.vpc_id().to_owned(),
        source,
    };
    let with_datagrams = vpc_table(fabric.cidrs(), NAT_GATEWAY, Some(DATAGRAM_MARK));
    let Err(refused) = apply(fabric, with_datagrams).await? else {
        return Ok(());
    };
    let connections = vpc_table(fabric.cidrs(), NAT_GATEWAY, None);
    apply(fabric, connections).await?.map_err(rules_error)?;
    let error = supervision::error_chain(&refused);
    tracing::warn!(
        vpc = fabric.vpc_id(),
        error,
        "UDP to the outside of the VPC is not carried"
    );
    Ok(())
}

async fn apply(fabric: &Fabric, table: Table) -> Result<Result<(), PacketFilterError>, VpcError> {
    let applied = fabric.run(move || PacketFilter::open()?.apply(table).map(drop)).await;
    applied.map_err(|source| VpcError::Fabric {
        vpc_id: fabric.vpc_id().to_owned(),
        source,
    })
}

struct VpcZones {
    names: VpcNames,
    addresses: Option<Arc<dyn VpcAddresses>>,
}

impl Zones for VpcZones {
    fn answer(&self, name: &str, kind: RecordKind) -> Answer {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let found = self
            .addresses
            .as_ref()
            .map(|addresses| addresses.addresses(&lower))
            .unwrap_or_default();
        if found.is_empty() {
            return self.names.answer(&lower, kind);
        }
        if !matches!(kind, RecordKind::A | RecordKind::Any) {
            return Answer::NoData;
        }
        let record = |address| Record {
            name: lower.clone(),
            data: RecordData::Address(address),
        };
        Answer::Records {
            answers: found.into_iter().map(record).collect(),
            additional: Vec::new(),
        }
    }

    fn domain(&self) -> &str {
        "amazonaws.com"
    }
}
