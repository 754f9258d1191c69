//! What a cluster wants: its LoadBalancer services and their ready endpoints, watched.

use std::collections::BTreeMap;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube_types::ObjectKey;
use service_routing::endpoints::{SliceIndex, ready_endpoints};
use service_routing::load_balancer_hostname;
use service_routing::ruleset::Protocol;

use crate::balancer::Desired;

/// Everything of a cluster that balancers follow from.
#[derive(Default)]
pub(crate) struct Seen {
    services: Objects<Service>,
    slices: Objects<EndpointSlice>,
}

/// The objects of one kind, kept by a watch.
struct Objects<K> {
    now: BTreeMap<ObjectKey, K>,
    /// Collected while a new list comes in, so that what vanished meanwhile goes.
    listed: BTreeMap<ObjectKey, K>,
    complete: bool,
}

impl<K> Default for Objects<K> {
    fn default() -> Self {
        Self {
            now: BTreeMap::new(),
            listed: BTreeMap::new(),
            complete: false,
        }
    }
}

impl<K: kube::Resource> Objects<K> {
    fn take(&mut self, event: Event<K>) {
        let key = |object: &K| ObjectKey {
            namespace: object.meta().namespace.clone(),
            name: object.meta().name.clone().unwrap_or_default(),
        };
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                self.listed.insert(key(&object), object);
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.listed);
                self.complete = true;
            }
            Event::Apply(object) => {
                self.now.insert(key(&object), object);
            }
            Event::Delete(object) => {
                self.now.remove(&key(&object));
            }
        }
    }
}

impl Seen {
    /// The balancers that should be, by service. `None` until both lists are whole: half a list would close balancers that should stay.
    pub fn desired(&self, region: &str) -> Option<BTreeMap<ObjectKey, Desired>> {
        if !(self.services.complete && self.slices.complete) {
            return None;
        }
        let index = SliceIndex::new(self.slices.now.values());
        let wanted = self.services.now.iter().filter(|(_, service)| wants_balancer(service));
        Some(
            wanted
                .map(|(key, service)| (key.clone(), desired_of(key, service, &index, region)))
                .collect(),
        )
    }
}

/// A service of another class belongs to a controller that the user installed (KEP-1959).
fn wants_balancer(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let is_balancer = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    is_balancer
        && spec.is_some_and(|spec| spec.load_balancer_class.is_none())
        && service.metadata.deletion_timestamp.is_none()
}

fn desired_of(key: &ObjectKey, service: &Service, index: &SliceIndex<'_>, region: &str) -> Desired {
    let slices = index.of_service(service);
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let of_protocol = |wanted: Protocol| {
        let own = ports
            .clone()
            .filter(move |port| Protocol::parse(port.protocol.as_deref()) == Some(wanted));
        own.filter_map(|port| Some((u16::try_from(port.port).ok()?, ready_endpoints(slices, port))))
            .collect()
    };
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    let spec = service.spec.as_ref();
    let sources = spec.and_then(|spec| spec.load_balancer_source_ranges.as_ref());
    Desired {
        service: key.to_string(),
        host_name: load_balancer_hostname(uid, region),
        ports: of_protocol(Protocol::Tcp),
        datagrams: of_protocol(Protocol::Udp),
        drains: BTreeMap::new(),
        // What is not a range was refused when the service was written.
        sources: sources
            .into_iter()
            .flatten()
            .filter_map(|range| range.trim().parse().ok())
            .collect(),
        sticky: spec.and_then(|spec| spec.session_affinity.as_deref()) == Some("ClientIP"),
    }
}

/// Watches a cluster and hands over what it wants each time it changes. Errors of a watch are tried again with back-off by the watch itself.
pub(crate) async fn follow(
    client: kube::Client,
    region: String,
    mut changed: impl FnMut(BTreeMap<ObjectKey, Desired>),
) {
    enum Either {
        Service(Box<Result<Event<Service>, watcher::Error>>),
        Slice(Box<Result<Event<EndpointSlice>, watcher::Error>>),
    }
    let services = watcher(Api::<Service>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .map(|event| Either::Service(Box::new(event)));
    let slices = watcher(Api::<EndpointSlice>::all(client), watcher::Config::default())
        .default_backoff()
        .map(|event| Either::Slice(Box::new(event)));
    let mut events = futures::stream::select(services.boxed(), slices.boxed());
    let mut seen = Seen::default();
    while let Some(event) = events.next().await {
        let taken = match event {
            Either::Service(event) => event.map(|event| seen.services.take(event)),
            Either::Slice(event) => event.map(|event| seen.slices.take(event)),
        };
        if let Err(error) = taken {
            tracing::debug!(%error, "the watch for load balancers is tried again");
            continue;
        }
        if let Some(desired) = seen.desired(&region) {
            changed(desired);
        }
    }
}

#[cfg(test)]
mod tests;
