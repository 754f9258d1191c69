//! Gives Services of type LoadBalancer the host name of their load balancer, and lets go of it with them.
//!
//! The balancer itself is run by the crate `load-balancer`, which derives the same name from the same uid.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceStatus};
use kube_types::ObjectKey;
use plan::{
    Change, Controller, EventRecord, Kind, MetadataPatch, Observation, Plan, Step, Target, World, object_reference,
};
use service_routing::load_balancer_hostname;

/// Keeps the Service until its balancer is gone.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// The service controller.
pub struct LoadBalancers {
    /// The region, which is part of the name.
    pub region: String,
}

impl Controller for LoadBalancers {
    type Root = Service;
    const NAME: &'static str = "service-controller";
    const WATCHES: &'static [Kind] = &[];

    fn roots_of(&self, _changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn plan(&self, service: &Service, _world: &World, _now: Timestamp) -> Plan {
        let finalizers = service.metadata.finalizers.clone().unwrap_or_default();
        let has_finalizer = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        if service.metadata.deletion_timestamp.is_none() && wants_balancer(service) {
            if has_finalizer {
                self.ensure(service)
            } else {
                begin(service, finalizers)
            }
        } else if !has_finalizer {
            Plan::nothing()
        } else if service.metadata.deletion_timestamp.is_none() && !ingress(service).is_empty() {
            // The type was changed: first the name goes, then the balancer.
            with_ingress(service, Vec::new()).into()
        } else {
            end(service, finalizers)
        }
    }
}

/// Is the Service one whose load balancer this controller makes? A class means that somebody else does.
pub fn wants_balancer(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let is_balanced = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    is_balanced && spec.and_then(|spec| spec.load_balancer_class.as_ref()).is_none()
}

impl LoadBalancers {
    fn ensure(&self, service: &Service) -> Plan {
        let uid = service.metadata.uid.as_deref().unwrap_or_default();
        let hostname = load_balancer_hostname(uid, &self.region);
        let wanted = vec![LoadBalancerIngress {
            hostname: Some(hostname),
            ..LoadBalancerIngress::default()
        }];
        if ingress(service) == wanted {
            return Plan::nothing();
        }
        let ensured = EventRecord::normal(
            object_reference(service),
            "EnsuredLoadBalancer",
            "Ensured load balancer",
        );
        let mut plan = Plan::nothing();
        plan.then(Step::from(with_ingress(service, wanted)).succeeding_with(ensured));
        plan
    }
}

fn begin(service: &Service, mut finalizers: Vec<String>) -> Plan {
    finalizers.push(FINALIZER.to_owned());
    let ensuring = EventRecord::normal(
        object_reference(service),
        "EnsuringLoadBalancer",
        "Ensuring load balancer",
    );
    Plan {
        events: vec![ensuring],
        ..with_finalizers(service, finalizers).into()
    }
}

fn end(service: &Service, mut finalizers: Vec<String>) -> Plan {
    finalizers.retain(|finalizer| finalizer != FINALIZER);
    let subject = || object_reference(service);
    let mut plan = Plan {
        events: vec![EventRecord::normal(
            subject(),
            "DeletingLoadBalancer",
            "Deleting load balancer",
        )],
        ..Plan::default()
    };
    let deleted = EventRecord::normal(subject(), "DeletedLoadBalancer", "Deleted load balancer");
    plan.then(Step::from(with_finalizers(service, finalizers)).succeeding_with(deleted));
    plan
}

fn ingress(service: &Service) -> Vec<LoadBalancerIngress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    status.and_then(|status| status.ingress.clone()).unwrap_or_default()
}

fn with_ingress(service: &Service, ingress: Vec<LoadBalancerIngress>) -> Change {
    let mut service = service.clone();
    let status: &mut ServiceStatus = service.status.get_or_insert_default();
    status.load_balancer = Some(LoadBalancerStatus {
        ingress: (!ingress.is_empty()).then_some(ingress),
    });
    Change::update_status(service)
}

fn with_finalizers(service: &Service, finalizers: Vec<String>) -> Change {
    let patch = MetadataPatch {
        finalizers: Some(finalizers),
        ..MetadataPatch::default()
    };
    Change::PatchMetadata {
        target: Target::unchanged(service),
        patch,
    }
}

#[cfg(test)]
mod tests;
