//! Add-ons of clusters: their objects are made, compared, changed and removed; their workloads are looked at.

use std::collections::BTreeMap;

use aws_api::host::{AddonSpec, ClusterRef, HostError};
use cluster_lifecycle::addon::{self, Values};
use cluster_lifecycle::aws_auth::edit::{self, EditError, Entry};
use cluster_lifecycle::system_pods::{self, SystemAddon, SystemPodSettings};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde::Serialize;

use super::{Cluster, LocalHost, failed};

/// An object of an add-on and where it belongs.
struct Wanted {
    api: Api<DynamicObject>,
    object: DynamicObject,
    shown: String,
}

impl Wanted {
    /// Makes the object unless it is there.
    async fn make(&self) -> Result<(), HostError> {
        match self.api.create(&PostParams::default(), &self.object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(failed("make the add-on's object", &self.shown)(error)),
        }
    }
}

/// What configuration values change in a workload.
#[derive(Debug, Serialize)]
struct ReplicasPatch {
    spec: Replicas,
}

#[derive(Debug, Serialize)]
struct Replicas {
    replicas: i32,
}

impl Cluster {
    fn wanted(&self, name: &str) -> Result<Vec<Wanted>, HostError> {
        let Some(addon) = SystemAddon::named(name) else {
            return Ok(Vec::new());
        };
        let settings = SystemPodSettings {
            image: format!("ondol.local/system:{}", env!("CARGO_PKG_VERSION")),
            api_address: self.api_address(),
            cluster_dns: self.dns_address(),
        };
        let objects = system_pods::objects(addon, &settings).map_err(failed("read the manifest", name))?;
        let mut wanted = Vec::with_capacity(objects.len());
        for (gvk, object) in objects {
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind));
            let api = match object.namespace() {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
                None => Api::all_with(self.client.clone(), &kind),
            };
            let text = serde_json::to_vec(&object).map_err(failed("encode the manifest", name))?;
            let object: DynamicObject = serde_json::from_slice(&text).map_err(failed("encode the manifest", name))?;
            let shown = format!("{} {}", gvk.kind, object.metadata.name.as_deref().unwrap_or_default());
            wanted.push(Wanted { api, object, shown });
        }
        Ok(wanted)
    }

    /// Makes an add-on's objects those of its manifest, as far as the mode allows; the objects that others have changed.
    async fn apply(&self, name: &str, mode: &str) -> Result<Vec<String>, HostError> {
        let wanted = self.wanted(name)?;
        let mut conflicts = Vec::new();
        let mut missing = Vec::new();
        let mut changed = Vec::new();
        for (index, one) in wanted.iter().enumerate() {
            let object = one.object.metadata.name.as_deref().unwrap_or_default();
            let there = one
                .api
                .get_opt(object)
                .await
                .map_err(failed("look at the add-on's object", &one.shown))?;
            let Some(there) = there else {
                missing.push(index);
                continue;
            };
            // What a patch would change is what differs from the manifest.
            let dry = PatchParams {
                dry_run: true,
                ..PatchParams::default()
            };
            let patched = one.api.patch(object, &dry, &Patch::Merge(&one.object)).await;
            let patched = patched.map_err(failed("compare the add-on's object", &one.shown))?;
            if patched.data != there.data || patched.metadata.labels != there.metadata.labels {
                conflicts.push(one.shown.clone());
                changed.push(index);
            }
        }
        if mode == "NONE" && !conflicts.is_empty() {
            return Ok(conflicts);
        }
        for index in missing {
            wanted[index].make().await?;
        }
        if mode == "OVERWRITE" {
            for index in changed {
                let one = &wanted[index];
                let object = one.object.metadata.name.as_deref().unwrap_or_default();
                let patched = one
                    .api
                    .patch(object, &PatchParams::default(), &Patch::Merge(&one.object))
                    .await;
                patched.map_err(failed("change the add-on's object", &one.shown))?;
            }
        }
        Ok(Vec::new())
    }

    async fn configure(&self, name: &str, values: &Values) -> Result<(), HostError> {
        if let Some(replicas) = values.replica_count {
            let patch = Patch::Merge(ReplicasPatch {
                spec: Replicas { replicas },
            });
            let deployments = Api::<Deployment>::namespaced(self.client.clone(), "kube-system");
            let patched = deployments.patch(name, &PatchParams::default(), &patch).await;
            patched.map_err(failed("set the replicas", name))?;
        }
        if !values.env.is_empty() {
            let sets = Api::<DaemonSet>::namespaced(self.client.clone(), "kube-system");
            let mut set = sets
                .get("aws-node")
                .await
                .map_err(failed("look at the add-on's object", "aws-node"))?;
            let containers = set
                .spec
                .iter_mut()
                .filter_map(|spec| spec.template.spec.as_mut())
                .flat_map(|pod| &mut pod.containers);
            for container in containers {
                let own = container.env.get_or_insert_default();
                own.retain(|known| !values.env.contains_key(&known.name));
                own.extend(
                    values
                        .env
                        .iter()
                        .map(|(key, value)| k8s_openapi::api::core::v1::EnvVar {
                            name: key.clone(),
                            value: Some(value.clone()),
                            value_from: None,
                        }),
                );
            }
            let replaced = sets.replace("aws-node", &PostParams::default(), &set).await;
            replaced.map_err(failed("set the environment", "aws-node"))?;
        }
        Ok(())
    }

    async fn lacking(&self) -> Result<BTreeMap<String, Vec<String>>, kube::Error> {
        let mut lacking: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let sets = Api::<DaemonSet>::namespaced(self.client.clone(), "kube-system");
        for (addon, name) in [("vpc-cni", "aws-node"), ("kube-proxy", "kube-proxy")] {
            let status = sets.get_opt(name).await?.and_then(|set| set.status);
            let is_short = status.is_some_and(|status| status.number_ready < status.desired_number_scheduled);
            if is_short {
                lacking
                    .entry(addon.to_owned())
                    .or_default()
                    .push(format!("daemonset/{name}"));
            }
        }
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), "kube-system");
        for name in ["coredns", "metrics-server"] {
            let Some(deployment) = deployments.get_opt(name).await? else {
                continue;
            };
            let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
            let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or(0);
            if ready < wanted {
                lacking
                    .entry(name.to_owned())
                    .or_default()
                    .push(format!("deployment/{name}"));
            }
        }
        Ok(lacking)
    }
}

/// The ConfigMap by which AWS identities get in.
const AWS_AUTH: &str = "aws-auth";
/// How often a ConfigMap that others change, too, is tried.
const ATTEMPTS: usize = 20;

/// Adds what EKS maps a role of nodes to; false when the role is mapped already.
fn with_role(map: &mut ConfigMap, role: &str) -> Result<bool, EditError> {
    map.metadata.name = Some(AWS_AUTH.to_owned());
    let data = map.data.get_or_insert_default();
    // Paths of roles have no place in the ConfigMap.
    let (start, name) = role.split_once(":role/").unwrap_or((role, ""));
    let own = format!("{start}:role/{}", name.rsplit('/').next().unwrap_or_default());
    let is_mapped = |entry: &Entry| matches!(entry, Entry::Principal { arn, .. } if *arn == own);
    if edit::entries(data)?.iter().any(is_mapped) {
        return Ok(false);
    }
    let entry = Entry::Principal {
        arn: own,
        username: "system:node:{{EC2PrivateDNSName}}".to_owned(),
        groups: ["system:bootstrappers", "system:nodes"].map(str::to_owned).to_vec(),
    };
    edit::add(data, &entry)?;
    Ok(true)
}

impl LocalHost {
    pub(super) async fn put_addon(&self, spec: AddonSpec) -> Result<Vec<String>, HostError> {
        let cluster = self.cluster(&spec.cluster)?;
        let conflicts = cluster.apply(&spec.name, &spec.resolve_conflicts).await?;
        if conflicts.is_empty()
            && let Some(offered) = addon::offered(&spec.name)
        {
            let values =
                addon::values(offered, spec.values.as_deref()).map_err(failed("read the configuration", &spec.name))?;
            cluster.configure(&spec.name, &values).await?;
        }
        Ok(conflicts)
    }

    pub(super) async fn take_addon(&self, spec: AddonSpec) -> Result<(), HostError> {
        let cluster = self.cluster(&spec.cluster)?;
        for one in cluster.wanted(&spec.name)?.iter().rev() {
            let object = one.object.metadata.name.as_deref().unwrap_or_default();
            match one.api.delete(object, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(failed("remove the add-on's object", &one.shown)(error)),
            }
        }
        Ok(())
    }

    pub(super) async fn lacking_of(&self, cluster: ClusterRef) -> Result<BTreeMap<String, Vec<String>>, HostError> {
        let lacking = self.cluster(&cluster)?.lacking().await;
        lacking.map_err(failed("look at the add-ons", cluster.name.as_str()))
    }

    pub(super) async fn mappings_of(&self, cluster: ClusterRef) -> Result<BTreeMap<String, String>, HostError> {
        let maps = Api::<ConfigMap>::namespaced(self.cluster(&cluster)?.client.clone(), "kube-system");
        let map = maps
            .get_opt("aws-auth")
            .await
            .map_err(failed("read aws-auth", cluster.name.as_str()))?;
        Ok(map.and_then(|map| map.data).unwrap_or_default())
    }

    /// A mapping of the role in `aws-auth`, unless there is one.
    pub(super) async fn let_nodes_in(&self, cluster: ClusterRef, role: String) -> Result<(), HostError> {
        let name = cluster.name.as_str();
        let maps = Api::<ConfigMap>::namespaced(self.cluster(&cluster)?.client.clone(), "kube-system");
        let mut problem = None;
        // Instances of a group start together: whoever comes second looks again.
        for _ in 0..ATTEMPTS {
            let found = maps.get_opt(AWS_AUTH).await.map_err(failed("read aws-auth", name))?;
            let mut map = found.clone().unwrap_or_default();
            match with_role(&mut map, &role) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    // Somebody wrote what is no list of mappings: it stays as it is.
                    tracing::warn!(
                        cluster = name,
                        error = supervision::error_chain(&error),
                        "aws-auth cannot be changed"
                    );
                    return Ok(());
                }
            }
            let written = match found {
                Some(_) => maps.replace(AWS_AUTH, &PostParams::default(), &map).await,
                None => maps.create(&PostParams::default(), &map).await,
            };
            match written {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => problem = Some(kube::Error::Api(status)),
                Err(error) => return Err(failed("write aws-auth", name)(error)),
            }
        }
        problem.map_or(Ok(()), |error| Err(failed("write aws-auth", name)(error)))
    }
}
