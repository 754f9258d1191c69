//! Keeps the Endpoints of a Service: the older form of its slices, which many programs still read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort, EndpointSubset, Endpoints, ObjectReference, Pod, Service,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World};

use crate::pod;
use crate::selected::{self, HEADLESS};

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Most addresses in one object; more are left out and an annotation says so.
const MOST_ADDRESSES: usize = 1000;

/// The Endpoints controller.
pub struct EndpointsObjects;

impl Controller for EndpointsObjects {
    type Root = Service;
    const NAME: &'static str = "endpoint-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod, Kind::Endpoints];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        match changed {
            Observation::Pod(pod) => selected::services_of(pod, world),
            Observation::Endpoints(endpoints) => vec![ObjectKey::of(endpoints)],
            _ => Vec::new(),
        }
    }

    fn plan(&self, service: &Service, world: &World, _now: Timestamp) -> Plan {
        let Some(selector) = selected::selector(service) else {
            return Plan::nothing();
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Plan::nothing();
        }
        let pods = selected::pods(service, &selector, world);
        let pods: Vec<&Pod> = pods
            .into_iter()
            .map(AsRef::as_ref)
            .filter(|pod| !pod::is_deleting(pod))
            .collect();
        let left_out = pods.len() > MOST_ADDRESSES;
        let wanted = endpoints(
            service,
            subsets(service, &pods[..pods.len().min(MOST_ADDRESSES)]),
            left_out,
        );
        match world.endpoints.get(&ObjectKey::of(service)) {
            None => Change::create(wanted).into(),
            Some(present) if same(present, &wanted) => Plan::nothing(),
            Some(present) => {
                let mut changed = present.as_ref().clone();
                changed.subsets = wanted.subsets;
                changed.metadata.labels = wanted.metadata.labels;
                let annotations = changed.metadata.annotations.get_or_insert_default();
                annotations.remove(OVER_CAPACITY);
                annotations.extend(wanted.metadata.annotations.unwrap_or_default());
                Change::update(changed).into()
            }
        }
    }

    fn plan_absent(&self, key: &ObjectKey, world: &World, _now: Timestamp) -> Plan {
        let made_here = |endpoints: &&std::sync::Arc<Endpoints>| {
            let labels = endpoints.metadata.labels.as_ref();
            labels.and_then(|labels| labels.get(MANAGED_BY)).map(String::as_str) == Some(MANAGER)
        };
        match world.endpoints.get(key).filter(made_here) {
            Some(endpoints) => Change::delete(endpoints.as_ref()).into(),
            None => Plan::nothing(),
        }
    }
}

fn endpoints(service: &Service, subsets: Vec<EndpointSubset>, left_out: bool) -> Endpoints {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels.remove(HEADLESS);
    if selected::is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    let annotations = left_out.then(|| BTreeMap::from([(OVER_CAPACITY.to_owned(), "truncated".to_owned())]));
    Endpoints {
        metadata: ObjectMeta {
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
            labels: Some(labels),
            annotations,
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

fn same(present: &Endpoints, wanted: &Endpoints) -> bool {
    let over = |endpoints: &Endpoints| {
        endpoints
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(OVER_CAPACITY))
            .cloned()
    };
    present.subsets == wanted.subsets
        && present.metadata.labels == wanted.metadata.labels
        && over(present) == over(wanted)
}

/// Addresses with the same ports together, ready ones apart from the others. Source of the form: `RepackSubsets`.
fn subsets(service: &Service, pods: &[&Pod]) -> Vec<EndpointSubset> {
    let spec = service.spec.clone().unwrap_or_default();
    // Ports of one pod form its group: name, port, protocol and application protocol.
    type Ports = Vec<(Option<String>, i32, Option<String>, Option<String>)>;
    let mut groups: BTreeMap<Ports, (Vec<EndpointAddress>, Vec<EndpointAddress>)> = BTreeMap::new();
    for pod in pods {
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            let number = selected::target_port(pod, port)?;
            let protocol = Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()));
            Some((
                port.name.clone().filter(|name| !name.is_empty()),
                number,
                protocol,
                port.app_protocol.clone(),
            ))
        });
        let mut ports: Ports = ports.collect();
        ports.sort();
        let has_ports = spec.ports.as_ref().is_some_and(|ports| !ports.is_empty());
        if ports.is_empty() && has_ports {
            continue;
        }
        let (ready, not_ready) = groups.entry(ports).or_default();
        let is_ready = pod::is_ready(pod) || selected::publishes_not_ready(service);
        let list = if is_ready { ready } else { not_ready };
        list.push(address(pod, service));
    }
    let group = |(ports, (mut ready, mut not_ready)): (Ports, (Vec<EndpointAddress>, Vec<EndpointAddress>))| {
        let uid = |address: &EndpointAddress| address.target_ref.as_ref().and_then(|target| target.uid.clone());
        ready.sort_by(|left, right| left.ip.cmp(&right.ip).then_with(|| uid(left).cmp(&uid(right))));
        not_ready.sort_by(|left, right| left.ip.cmp(&right.ip).then_with(|| uid(left).cmp(&uid(right))));
        let ports = ports
            .into_iter()
            .map(|(name, port, protocol, app_protocol)| EndpointPort {
                name,
                port,
                protocol,
                app_protocol,
            });
        let ports: Vec<EndpointPort> = ports.collect();
        EndpointSubset {
            addresses: (!ready.is_empty()).then_some(ready),
            not_ready_addresses: (!not_ready.is_empty()).then_some(not_ready),
            ports: (!ports.is_empty()).then_some(ports),
        }
    };
    groups.into_iter().map(group).collect()
}

fn address(pod: &Pod, service: &Service) -> EndpointAddress {
    EndpointAddress {
        ip: selected::address(pod).unwrap_or_default().to_owned(),
        hostname: selected::hostname(pod, service),
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(target(pod)),
    }
}

/// The reference by which an endpoint names its pod.
pub(crate) fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
