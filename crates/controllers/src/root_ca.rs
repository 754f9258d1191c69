//! Publishes the API server's certificate authority in every namespace, so that pods can verify it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World};

use crate::namespace::is_going;

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const WHAT_FOR: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
    such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of \
    Kubernetes clusters.";

/// The publisher of the root certificate.
pub struct RootCertificates {
    /// The certificates, PEM.
    pub bundle: String,
}

impl Controller for RootCertificates {
    type Root = Namespace;
    const NAME: &'static str = "root-ca-certificate-publisher-controller";
    const WATCHES: &'static [Kind] = &[Kind::ConfigMap];

    fn roots_of(&self, changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata
            .namespace
            .as_ref()
            .filter(|_| metadata.name.as_deref() == Some(NAME));
        namespace.map(ObjectKey::cluster).into_iter().collect()
    }

    fn plan(&self, namespace: &Namespace, world: &World, _now: Timestamp) -> Plan {
        if is_going(namespace) {
            return Plan::nothing();
        }
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let data = Some(BTreeMap::from([(KEY.to_owned(), self.bundle.clone())]));
        let described = |annotations: &mut BTreeMap<String, String>| {
            annotations.insert(DESCRIPTION.to_owned(), WHAT_FOR.to_owned());
        };
        match world.config_maps.named(name, NAME) {
            Some(map) => {
                let mut wanted = map.as_ref().clone();
                wanted.data = data;
                described(wanted.metadata.annotations.get_or_insert_default());
                if wanted == **map {
                    Plan::nothing()
                } else {
                    Change::update(wanted).into()
                }
            }
            None => {
                let mut annotations = BTreeMap::new();
                described(&mut annotations);
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        namespace: Some(name.to_owned()),
                        name: Some(NAME.to_owned()),
                        annotations: Some(annotations),
                        ..ObjectMeta::default()
                    },
                    data,
                    ..ConfigMap::default()
                };
                Change::create(map).into()
            }
        }
    }
}
