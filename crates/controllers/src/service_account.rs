//! Gives every namespace the service account `default`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World};

use crate::namespace::is_going;

const DEFAULT: &str = "default";

/// The service account controller.
pub struct ServiceAccounts;

impl Controller for ServiceAccounts {
    type Root = Namespace;
    const NAME: &'static str = "serviceaccount-controller";
    const WATCHES: &'static [Kind] = &[Kind::ServiceAccount];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata
            .namespace
            .as_ref()
            .filter(|_| metadata.name.as_deref() == Some(DEFAULT));
        namespace.map(ObjectKey::cluster).into_iter().collect()
    }

    fn plan(&self, namespace: &Namespace, world: &World, _now: Timestamp) -> Plan {
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        if is_going(namespace) || world.service_accounts.named(name, DEFAULT).is_some() {
            return Plan::nothing();
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                namespace: Some(name.to_owned()),
                name: Some(DEFAULT.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        Change::create(account).into()
    }
}
