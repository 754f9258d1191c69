//! The closed list of kinds that controllers look at, and the world made of them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController,
    ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use kube_types::{GroupVersionResource, ObjectKey};
use serde::Serialize;

use crate::index::{Index, Observed};

macro_rules! observed_kinds {
    ($($field:ident: $kind:ident, related by $relation:expr;)+) => {
        /// A kind that controllers look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Kind {
            $(#[doc = concat!("`", stringify!($kind), "`")] $kind,)+
        }

        impl Kind {
            /// Every observed kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)+];

            /// The kind's resource in the API.
            pub fn resource(self) -> GroupVersionResource {
                match self { $(Kind::$kind => GroupVersionResource::of::<$kind>(),)+ }
            }

            /// Does the kind have namespaces?
            pub fn is_namespaced(self) -> bool {
                !matches!(
                    self,
                    Kind::Node | Kind::Namespace | Kind::PersistentVolume | Kind::CertificateSigningRequest
                )
            }
        }

        impl World {
            /// Is there an object of this kind with this key?
            pub fn contains(&self, kind: Kind, key: &ObjectKey) -> bool {
                self.metadata(kind, key).is_some()
            }

            /// The metadata of the object of this kind with this key.
            pub fn metadata(&self, kind: Kind, key: &ObjectKey) -> Option<&ObjectMeta> {
                match kind { $(Kind::$kind => self.$field.get(key).map(|object| object.metadata()),)+ }
            }
        }

        /// A read-only view of everything controllers may look at, from one moment.
        #[derive(Clone, Debug, Default)]
        pub struct World {
            $(#[doc = concat!("Every observed `", stringify!($kind), "`.")] pub $field: Index<$kind>,)+
            /// What kept the last plan of a controller for an object from being carried out.
            pub failures: BTreeMap<(&'static str, ObjectKey), Failure>,
        }

        /// An observed object of any kind.
        #[derive(Clone, Copy, Debug)]
        pub enum Observation<'a> {
            $(#[doc = concat!("A `", stringify!($kind), "`.")] $kind(&'a $kind),)+
        }

        impl<'a> Observation<'a> {
            /// The kind of the object.
            pub fn kind(&self) -> Kind {
                match self { $(Observation::$kind(_) => Kind::$kind,)+ }
            }

            /// The metadata of the object.
            pub fn metadata(&self) -> &'a ObjectMeta {
                match self { $(Observation::$kind(object) => object.metadata(),)+ }
            }
        }

        /// An object of any kind that a change creates or replaces; it serialises as the object itself.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum AnyObject {
            $(#[doc = concat!("A `", stringify!($kind), "`.")] $kind(Box<$kind>),)+
        }

        impl AnyObject {
            /// The kind of the object.
            pub fn kind(&self) -> Kind {
                match self { $(AnyObject::$kind(_) => Kind::$kind,)+ }
            }

            /// The metadata of the object.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(AnyObject::$kind(object) => object.metadata(),)+ }
            }
        }

        $(impl Observed for $kind {
            const KIND_TAG: Kind = Kind::$kind;

            fn index(world: &World) -> &Index<Self> {
                &world.$field
            }

            fn index_mut(world: &mut World) -> &mut Index<Self> {
                &mut world.$field
            }

            fn observation(&self) -> Observation<'_> {
                Observation::$kind(self)
            }

            fn into_any(self) -> AnyObject {
                AnyObject::$kind(Box::new(self))
            }

            fn relation(&self) -> Option<&str> {
                let relation: fn(&$kind) -> Option<&str> = $relation;
                relation(self)
            }
        })+
    };
}

observed_kinds! {
    pods: Pod, related by |pod| pod.spec.as_ref()?.node_name.as_deref();
    nodes: Node, related by |node| node.spec.as_ref()?.provider_id.as_deref();
    namespaces: Namespace, related by |_| None;
    services: Service, related by |_| None;
    endpoints: Endpoints, related by |_| None;
    endpoint_slices: EndpointSlice, related by |slice| label(slice, "kubernetes.io/service-name");
    service_accounts: ServiceAccount, related by |_| None;
    config_maps: ConfigMap, related by |_| None;
    persistent_volumes: PersistentVolume, related by |_| None;
    persistent_volume_claims: PersistentVolumeClaim, related by |_| None;
    resource_quotas: ResourceQuota, related by |_| None;
    deployments: Deployment, related by |_| None;
    replica_sets: ReplicaSet, related by |_| None;
    replication_controllers: ReplicationController, related by |_| None;
    daemon_sets: DaemonSet, related by |_| None;
    stateful_sets: StatefulSet, related by |_| None;
    controller_revisions: ControllerRevision, related by |_| None;
    jobs: Job, related by |_| None;
    cron_jobs: CronJob, related by |_| None;
    leases: Lease, related by |_| None;
    pod_disruption_budgets: PodDisruptionBudget, related by |_| None;
    certificate_signing_requests: CertificateSigningRequest, related by |_| None;
}

/// Why the last plan for an object could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which change was refused.
    pub change: FailedChange,
    /// The refusal, in the API server's words.
    pub message: String,
}

/// The sort of change that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum FailedChange {
    /// An object could not be created.
    Create,
    /// An object could not be deleted.
    Delete,
    /// An object could not be changed.
    Update,
}

impl World {
    /// What kept the last plan of `controller` for `root` from being carried out, if it was.
    pub fn failure(&self, controller: &'static str, root: &ObjectKey) -> Option<&Failure> {
        self.failures.get(&(controller, root.clone()))
    }

    /// The objects of kind `K`.
    pub fn of<K: Observed>(&self) -> &Index<K> {
        K::index(self)
    }
}

impl Kind {
    /// The kind that a person means: by its name, its resource or kubectl's short name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        const SHORT: &[(&str, Kind)] = &[
            ("po", Kind::Pod),
            ("no", Kind::Node),
            ("ns", Kind::Namespace),
            ("svc", Kind::Service),
            ("ep", Kind::Endpoints),
            ("sa", Kind::ServiceAccount),
            ("cm", Kind::ConfigMap),
            ("pv", Kind::PersistentVolume),
            ("pvc", Kind::PersistentVolumeClaim),
            ("quota", Kind::ResourceQuota),
            ("deploy", Kind::Deployment),
            ("rs", Kind::ReplicaSet),
            ("rc", Kind::ReplicationController),
            ("ds", Kind::DaemonSet),
            ("sts", Kind::StatefulSet),
            ("cj", Kind::CronJob),
            ("pdb", Kind::PodDisruptionBudget),
            ("csr", Kind::CertificateSigningRequest),
        ];
        let wanted = text.to_ascii_lowercase();
        let named =
            |kind: &&Kind| kind.to_string().to_ascii_lowercase() == wanted || kind.resource().resource == wanted;
        let short = || SHORT.iter().find(|(name, _)| *name == wanted).map(|(_, kind)| *kind);
        Self::ALL.iter().find(named).copied().or_else(short)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn label<'a, K: Resource + Metadata<Ty = ObjectMeta>>(object: &'a K, name: &str) -> Option<&'a str> {
    object.metadata().labels.as_ref()?.get(name).map(String::as_str)
}
