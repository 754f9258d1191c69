//! Simulated instances: a record on disk, and a node agent without containers in this process.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use aws_api::host::{HostError, InstanceSpec, InstanceState};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use node_agent::simulated::SimulatedNode;

use super::components::counted_client;
use super::control_plane::{Cluster, DRAIN};
use super::instances::{INSTANCE, limits_of, read_json, write_json};
use super::network::{Network, Simulation};
use super::{LocalHost, failed, locked};
use crate::machine;

impl LocalHost {
    /// Starts a simulated instance, or says again that it runs.
    pub(super) async fn simulate(&self, spec: &InstanceSpec) -> Result<(), HostError> {
        let object = spec.id.to_string();
        let directory = self.home.machine(&spec.id);
        fs::create_dir_all(&directory).map_err(failed("make the directory", &object))?;
        write_json(&directory.join(INSTANCE), spec).map_err(failed("write the record", &object))?;
        let cluster = self.cluster(&spec.cluster)?;
        self.start_simulated(&cluster, spec, &[])?;
        self.tell(spec, InstanceState::Running, None);
        Ok(())
    }

    /// Starts the nodes of a cluster that an earlier process simulated.
    pub(super) async fn resume_simulated(&self, cluster: &Cluster) -> Result<(), HostError> {
        if !self.simulated {
            return Ok(());
        }
        let mut pods: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
        let listed = Api::<Pod>::all(cluster.client.clone())
            .list(&ListParams::default())
            .await;
        for pod in listed.map_err(failed("list the pods", cluster.spec.cluster.name.as_str()))? {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
            pods.entry(node.unwrap_or_default()).or_default().push(pod);
        }
        for directory in self.machine_directories()? {
            let object = directory.display().to_string();
            let spec: Option<InstanceSpec> =
                read_json(&directory.join(INSTANCE)).map_err(failed("read the record", &object))?;
            if let Some(spec) = spec.filter(|spec| spec.cluster == cluster.spec.cluster) {
                let own = pods.remove(&spec.node_name).unwrap_or_default();
                self.start_simulated(cluster, &spec, &own)?;
            }
        }
        Ok(())
    }

    /// Starts a node that ran `pods` before.
    fn start_simulated(&self, cluster: &Cluster, spec: &InstanceSpec, pods: &[Pod]) -> Result<(), HostError> {
        let Network::Simulated(Simulation { nodes, .. }) = &cluster.network else {
            return Ok(());
        };
        let address = IpAddr::V4(spec.address);
        if locked(nodes).contains_key(&address) {
            return Ok(());
        }
        let config = machine::agent_config(self, cluster, spec, &limits_of(spec)?)?;
        let user = format!("system:node:{}", spec.node_name);
        let started = SimulatedNode::start(
            config,
            counted_client(&cluster.api, &user, &["system:nodes"]),
            (self.clock.clone(), self.random.clone()),
            cluster.supervisor.child(spec.node_name.clone()),
            spec.pod_addresses.clone(),
            pods,
        );
        let node = started.map_err(failed("start the simulated node", spec.id.as_str()))?;
        locked(nodes).insert(address, node);
        Ok(())
    }
}

impl Cluster {
    /// Ends a simulated instance.
    pub(super) async fn end_simulated(&self, spec: &InstanceSpec) {
        let Network::Simulated(Simulation { nodes, .. }) = &self.network else {
            return;
        };
        let node = locked(nodes).remove(&IpAddr::V4(spec.address));
        if let Some(node) = node {
            let report = node.stop(DRAIN).await;
            if !report.is_clean() {
                tracing::warn!(instance = %spec.id, aborted = ?report.aborted, "tasks did not end by themselves");
            }
        }
    }
}
