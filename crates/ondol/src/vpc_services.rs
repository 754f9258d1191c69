//! What the region offers inside every VPC: its own endpoint under AWS's names, instance metadata, credentials by pod identity.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};

use aws_api::Partition;
use aws_api::endpoint::{Endpoint, VPC_ADDRESS};
use aws_api::host::ClusterRef;
use aws_api::metadata::{self, INSTANCE_ADDRESS, POD_IDENTITY_ADDRESS};
use aws_types::VpcId;
use network_agent::vpc::VpcAddresses;
use service_routing::names::services;
use supervision::Supervisor;
use vpc_driver::{Fabric, FabricError};

/// Where pods reach the region without any certificate.
pub const PLAIN_URL: &str = "http://169.254.1.4";

/// The region's services in VPCs. Filled in once the region, which needs the host first, is open.
#[derive(Default)]
pub struct VpcServices(OnceLock<(Weak<Partition>, Endpoint)>);

impl VpcServices {
    /// From now on, VPCs have these.
    pub fn open(&self, partition: &Arc<Partition>, endpoint: Endpoint) {
        self.0.get_or_init(|| (Arc::downgrade(partition), endpoint));
    }

    /// Serves a VPC, of the region that a cluster in it is in, until the supervisor is cancelled. A VPC without anybody who could ask, of a region that ends, is served by nobody.
    ///
    /// # Errors
    /// When the VPC refuses an address or a socket.
    pub async fn serve(
        &self,
        fabric: &Fabric,
        (cluster, vpc): (&ClusterRef, &VpcId),
        supervisor: &Supervisor,
    ) -> Result<(), FabricError> {
        let Some((partition, endpoint)) = self.0.get() else {
            return Ok(());
        };
        let Some(region) = partition.upgrade().and_then(|partition| partition.of(cluster)) else {
            return Ok(());
        };
        for address in [VPC_ADDRESS, INSTANCE_ADDRESS, POD_IDENTITY_ADDRESS] {
            fabric.add_local_address(address).await?;
        }
        for port in [80, 443] {
            let listener = fabric.listen_tcp(SocketAddr::from((VPC_ADDRESS, port))).await?;
            endpoint.serve(listener, "AWS endpoint in the VPC", supervisor);
        }
        let instances = fabric.listen_tcp(SocketAddr::from((INSTANCE_ADDRESS, 80))).await?;
        metadata::serve_instances(&region, vpc.clone(), instances, supervisor);
        let pods = fabric.listen_tcp(SocketAddr::from((POD_IDENTITY_ADDRESS, 80))).await?;
        metadata::serve_pod_identities(&region, vpc.clone(), pods, supervisor);
        Ok(())
    }
}

/// AWS's names of services, which lead to the region.
pub struct ServiceNames;

impl VpcAddresses for ServiceNames {
    fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        if services::is_endpoint(name) {
            vec![VPC_ADDRESS]
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_for_pods_is_the_endpoint_in_the_vpc() {
        assert_eq!(PLAIN_URL, format!("http://{VPC_ADDRESS}"));
    }
}
