//! Where load balancers answer, for `ondol status`.

use aws_api::host::LoadBalancer;
use service_routing::ruleset::Protocol;

use super::control_plane::Cluster;
use super::{LocalHost, locked};
use crate::home::part_of;

impl LocalHost {
    pub(super) fn serving_balancers(&self) -> Vec<LoadBalancer> {
        let clusters = locked(&self.shared.clusters);
        let port = self.load_balancers.http_port();
        let described = self.load_balancers.status().into_iter().filter_map(|status| {
            // Those of the ELBv2 API belong to a VPC, and are shown with a cluster of it.
            let is_owner = |known: &Cluster| {
                part_of(&known.spec.cluster) == status.cluster || known.spec.vpc.id.as_str() == status.cluster
            };
            let cluster = clusters.values().find(|known| is_owner(known))?.spec.cluster.clone();
            let own = status.listeners.iter().filter_map(|listener| {
                let address = listener.address?;
                Some(match listener.protocol {
                    Protocol::Udp => format!("{address}/udp"),
                    _ => address.to_string(),
                })
            });
            let listeners = own.chain([format!("127.0.0.1:{port}")]).collect();
            Some(LoadBalancer {
                cluster,
                service: status.service,
                host_name: status.host_name,
                listeners,
            })
        });
        described.collect()
    }
}
