//! The objects of the add-ons that every EKS cluster begins with: vpc-cni, kube-proxy, coredns.
//!
//! The manifests beside this file name what EKS's own name (labels, accounts, roles, priorities), so that guides which look
//! for `k8s-app=kube-dns` or patch `daemonset/aws-node` find it. The image is the built-in one, which holds Ondol itself.

use std::net::Ipv4Addr;

use kube_types::GroupVersionKind;
use kube_types::dynamic::Object;
use thiserror::Error;

/// An add-on that a new cluster has without being asked (EKS `bootstrapSelfManagedAddons`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemAddon {
    /// `aws-node`: pod addresses.
    VpcCni,
    /// `kube-proxy`: Services.
    KubeProxy,
    /// `coredns`: names.
    CoreDns,
    /// `metrics-server`: usage. Not in a new cluster by itself.
    MetricsServer,
}

impl SystemAddon {
    /// Those that every new cluster has, in the order in which a node needs them.
    pub const ALL: [Self; 3] = [Self::VpcCni, Self::KubeProxy, Self::CoreDns];

    /// The add-on of that name in the EKS API.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .chain([Self::MetricsServer])
            .find(|addon| addon.name() == name)
    }

    /// The add-on's name in the EKS API.
    pub fn name(self) -> &'static str {
        match self {
            Self::VpcCni => "vpc-cni",
            Self::KubeProxy => "kube-proxy",
            Self::CoreDns => "coredns",
            Self::MetricsServer => "metrics-server",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::VpcCni => include_str!("../addons/vpc-cni.yaml"),
            Self::KubeProxy => include_str!("../addons/kube-proxy.yaml"),
            Self::CoreDns => include_str!("../addons/coredns.yaml"),
            Self::MetricsServer => include_str!("../addons/metrics-server.yaml"),
        }
    }
}

/// What of the manifests differs from cluster to cluster.
#[derive(Debug, Clone)]
pub struct SystemPodSettings {
    /// Reference of the built-in image.
    pub image: String,
    /// The API server's address inside the VPC. The agents use it rather than the `kubernetes` Service, which only works
    /// once kube-proxy does.
    pub api_address: Ipv4Addr,
    /// Address of the `kube-dns` Service.
    pub cluster_dns: Ipv4Addr,
}

/// A manifest of ours that cannot be read.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not YAML of an object.
    #[error("document {document} of add-on {addon} is not an object")]
    Parse {
        /// The add-on.
        addon: &'static str,
        /// Which document, from 1.
        document: usize,
        /// What the parser says.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
}

/// The add-on's objects, in the order in which they must be made.
///
/// # Errors
/// When a manifest in the source tree is broken; the tests of this file hold that none is.
pub fn objects(
    addon: SystemAddon,
    settings: &SystemPodSettings,
) -> Result<Vec<(GroupVersionKind, Object)>, ManifestError> {
    addon
        .manifest()
        .split("\n---\n")
        .enumerate()
        .map(|(index, text)| {
            let text = text
                .replace("${IMAGE}", &settings.image)
                .replace("${API_ADDRESS}", &settings.api_address.to_string())
                .replace("${CLUSTER_DNS}", &settings.cluster_dns.to_string());
            let object: Object = serde_saphyr::from_str(&text).map_err(|source| ManifestError::Parse {
                addon: addon.name(),
                document: index + 1,
                source: Box::new(source),
            })?;
            Ok((object.gvk(), object))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kube_types::api::apps::v1::{DaemonSet, Deployment};

    use super::*;

    fn settings() -> SystemPodSettings {
        SystemPodSettings {
            image: "example/system:1".into(),
            api_address: Ipv4Addr::new(10, 0, 0, 5),
            cluster_dns: Ipv4Addr::new(172, 20, 0, 10),
        }
    }

    #[test]
    fn every_manifest_is_an_object_with_nothing_left_to_fill_in() {
        for addon in SystemAddon::ALL.into_iter().chain([SystemAddon::MetricsServer]) {
            for (gvk, object) in objects(addon, &settings()).unwrap() {
                let text = serde_json::to_string(&object).unwrap();
                assert!(!text.contains("${"), "{gvk}: {text}");
                assert!(object.name().is_some(), "{gvk} has a name");
                match gvk.kind.as_str() {
                    "DaemonSet" => assert_eq!(
                        object
                            .to_typed::<DaemonSet>()
                            .unwrap()
                            .spec
                            .unwrap()
                            .template
                            .spec
                            .unwrap()
                            .host_network,
                        Some(true)
                    ),
                    "Deployment" => {
                        let replicas = object.to_typed::<Deployment>().unwrap().spec.unwrap().replicas;
                        assert_eq!(replicas, Some(if addon == SystemAddon::CoreDns { 2 } else { 1 }));
                    }
                    _ => {}
                }
            }
        }
    }
}
