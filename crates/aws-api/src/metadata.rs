//! What instances and pods ask the link-local addresses of their VPC: instance metadata (IMDS, both versions) at 169.254.169.254,
//! and credentials by EKS Pod Identity at 169.254.170.23.
//!
//! Who asks is known by the address that a connection comes from, which nobody in a VPC can choose.

mod credentials;
mod facts;
mod instance;
mod pod_identity;
mod serve;
mod tree;

use std::net::Ipv4Addr;
use std::sync::Arc;

use aws_types::VpcId;
use supervision::Supervisor;
use tokio::net::TcpListener;

use crate::region::Region;

/// Where instance metadata is, port 80.
pub const INSTANCE_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Where credentials of EKS Pod Identity are, port 80.
pub const POD_IDENTITY_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 23);

/// Answers instance metadata to the instances of a VPC and their pods, until the supervisor is cancelled.
pub fn serve_instances(region: &Arc<Region>, vpc: VpcId, listener: TcpListener, supervisor: &Supervisor) {
    let service = Arc::new(instance::Service::new(Arc::clone(region), vpc));
    serve::accept("instance metadata", service, listener, supervisor);
}

/// Answers pods of a VPC with the credentials of their pod identity associations, until the supervisor is cancelled.
pub fn serve_pod_identities(region: &Arc<Region>, vpc: VpcId, listener: TcpListener, supervisor: &Supervisor) {
    let service = Arc::new(pod_identity::Service::new(Arc::clone(region), vpc));
    serve::accept("pod identity", service, listener, supervisor);
}
