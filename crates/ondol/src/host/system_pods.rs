//! The system pods of a new cluster: `aws-node`, `kube-proxy` and `coredns` as objects in it.

use aws_api::host::HostError;
use cluster_lifecycle::system_pods::{self, SystemAddon, SystemPodSettings};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};

use super::{Cluster, failed};

impl Cluster {
    /// Makes the objects of the system pods that are not there. What is there belongs to the user.
    pub(super) async fn install_system_pods(&self) -> Result<(), HostError> {
        let settings = SystemPodSettings {
            image: format!("ondol.local/system:{}", env!("CARGO_PKG_VERSION")),
            api_address: self.api_address(),
            cluster_dns: self.dns_address(),
        };
        for addon in SystemAddon::ALL {
            for (gvk, object) in
                system_pods::objects(addon, &settings).map_err(failed("read the manifest", addon.name()))?
            {
                let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(&gvk.group, &gvk.version, &gvk.kind));
                let api: Api<DynamicObject> = match object.namespace() {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
                    None => Api::all_with(self.client.clone(), &kind),
                };
                let text = serde_json::to_vec(&object).map_err(failed("encode the manifest", addon.name()))?;
                let object: DynamicObject =
                    serde_json::from_slice(&text).map_err(failed("encode the manifest", addon.name()))?;
                let name = object.metadata.name.clone().unwrap_or_default();
                // Asked for rather than tried: a Service that is there is refused for its address, not for its name.
                let existing = api.get_metadata_opt(&name).await;
                if existing.map_err(failed("look for the add-on", addon.name()))?.is_some() {
                    continue;
                }
                match api.create(&PostParams::default(), &object).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if status.code == 409 => {}
                    Err(error) => return Err(failed("install the add-on", addon.name())(error)),
                }
            }
        }
        Ok(())
    }
}
