//! Objects that every cluster has, made when they are missing: namespaces, roles, priority classes, the API's service.

use std::time::Duration;

use access_rules::User;
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value, json};

use crate::options::WriteOptions;
use crate::pipeline::Resource;
use crate::registry::{Registry, RegistryError};
use crate::request::{Context, RequestBody, Target};
use crate::status::StatusError;

/// Name of the service, its endpoints and its slice.
const API: &str = "kubernetes";
/// How often the API's service is looked at when nothing is seen to change.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Registry {
    /// Makes what is missing.
    pub(crate) async fn ensure_required(&self) -> Result<(), RegistryError> {
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            let labels = json!({"kubernetes.io/metadata.name": name});
            self.ensure(
                "",
                "namespaces",
                None,
                json!({"metadata": {"name": name, "labels": labels}}),
            )
            .await?;
        }
        let roles = access_rules::rbac::bootstrap_objects();
        self.ensure_typed("clusterroles", &roles.cluster_roles).await?;
        self.ensure_typed("clusterrolebindings", &roles.cluster_role_bindings)
            .await?;
        self.ensure_typed("roles", &roles.roles).await?;
        self.ensure_typed("rolebindings", &roles.role_bindings).await?;
        for (name, value, description) in [
            (
                "system-cluster-critical",
                2_000_000_000,
                "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
            ),
            (
                "system-node-critical",
                2_000_001_000,
                "Used for system critical pods that must not be moved from their current node.",
            ),
        ] {
            let class = json!({"metadata": {"name": name}, "value": value, "description": description});
            self.ensure("scheduling.k8s.io", "priorityclasses", None, class).await?;
        }
        let cidr = json!({"metadata": {"name": API}, "spec": {"cidrs": [self.service_cidr.to_string()]}});
        self.ensure("networking.k8s.io", "servicecidrs", None, cidr).await?;
        self.ensure_api_service()
            .await
            .map_err(|error| RegistryError::Bootstrap {
                what: "service kubernetes".to_owned(),
                error,
            })
    }

    async fn ensure_typed<T: serde::Serialize>(&self, plural: &str, objects: &[T]) -> Result<(), RegistryError> {
        // Written together, so that the store makes them durable together.
        let made = objects.iter().map(|typed| async move {
            let encoded = Object::from_typed(typed).map_err(|error| RegistryError::Bootstrap {
                what: plural.to_owned(),
                error: StatusError::internal(error),
            })?;
            let namespace = encoded.namespace().map(str::to_owned);
            let value = Value::Object(encoded.0);
            self.ensure("rbac.authorization.k8s.io", plural, namespace.as_deref(), value)
                .await
        });
        futures::future::try_join_all(made).await.map(|_| ())
    }

    /// Creates an object unless there is one of its name.
    async fn ensure(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
        object: Value,
    ) -> Result<(), RegistryError> {
        let what = format!("{plural} {}", object["metadata"]["name"].as_str().unwrap_or_default());
        let outcome = async {
            let resource = self.built_in(group, plural)?;
            self.create_if_absent(&resource, namespace, object).await
        };
        outcome.await.map_err(|error| RegistryError::Bootstrap { what, error })
    }

    async fn create_if_absent(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: Value,
    ) -> Result<(), StatusError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if resource.cache.get(&resource.cache_key(namespace, name)).is_some() {
            return Ok(());
        }
        let target = Target::collection(resource.kind.gvr(), namespace);
        let body = RequestBody::json(object.to_string());
        match self
            .create(&own_context(), &target, body, WriteOptions::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.reason() == "AlreadyExists" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `default/kubernetes`: a service at the first address of the range, whose endpoints are the API servers.
    pub(crate) async fn ensure_api_service(&self) -> Result<(), StatusError> {
        let address = self
            .service_cidr
            .hosts()
            .next()
            .unwrap_or(self.service_cidr.addr())
            .to_string();
        let labels = json!({"component": "apiserver", "provider": "kubernetes"});
        let service = json!({"metadata": {"name": API, "namespace": "default", "labels": labels},
            "spec": {"type": "ClusterIP", "clusterIP": address, "sessionAffinity": "None",
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": self.api_endpoints.1}]}});
        self.create_if_absent(&self.built_in("", "services")?, Some("default"), service)
            .await?;
        let (addresses, port) = &self.api_endpoints;
        let listed: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip.to_string()})).collect();
        let endpoints = json!({"metadata": {"name": API, "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": listed, "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]});
        self.make_equal("", "endpoints", "subsets", endpoints).await?;
        let listed: Vec<Value> = addresses
            .iter()
            .map(|ip| json!({"addresses": [ip.to_string()], "conditions": {"ready": true}}))
            .collect();
        let slice = json!({"metadata": {"name": API, "namespace": "default",
                "labels": {"kubernetes.io/service-name": API}},
            "addressType": "IPv4", "endpoints": listed,
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}]});
        self.make_equal("discovery.k8s.io", "endpointslices", "endpoints", slice)
            .await
    }

    /// Creates an object, or replaces it where one field is not as it shall be.
    async fn make_equal(&self, group: &str, plural: &str, field: &str, wanted: Value) -> Result<(), StatusError> {
        let resource = self.built_in(group, plural)?;
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::namespaced("default", name.as_str());
        match self.cached(group, plural, &key) {
            None => self.create_if_absent(&resource, Some("default"), wanted).await,
            Some(present) if present.0.get(field) == wanted.get(field) => Ok(()),
            Some(_) => {
                let target = Target::object(resource.kind.gvr(), Some("default"), &name);
                let body = RequestBody::json(wanted.to_string());
                self.update(&own_context(), &target, body, WriteOptions::default())
                    .await?;
                Ok(())
            }
        }
    }

    /// Keeps the API's service and endpoints as they must be, whoever deletes or changes them.
    pub(crate) async fn keep_api_service(&self) -> Result<(), StatusError> {
        let mut changes = Vec::new();
        for (group, plural) in [
            ("", "services"),
            ("", "endpoints"),
            ("discovery.k8s.io", "endpointslices"),
        ] {
            changes.push(self.built_in(group, plural)?.cache.subscribe());
        }
        loop {
            self.ensure_api_service().await?;
            let waits = changes.iter_mut().map(|change| Box::pin(change.changed()));
            let any = futures::future::select_all(waits);
            // Whether something changed or the time is over, the next thing is to look.
            if let Ok((Err(_closed), _, _)) = tokio::time::timeout(LOOK_AGAIN, any).await {
                return Ok(());
            }
        }
    }
}

/// The API server's own identity.
fn own_context() -> Context {
    Context::for_user(User::master("system:apiserver"))
}
