//! May this user do this? The decision from the cluster's roles and bindings, kept compiled.

use std::sync::Arc;

use access_rules::rbac::Policy;
use access_rules::{Attributes, Decision};
use kube_types::dynamic::Object;
use store::Revision;

use crate::registry::Registry;
use crate::status::StatusError;

const GROUP: &str = "rbac.authorization.k8s.io";
const RESOURCES: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];

/// A compiled policy and the last changes that it holds.
#[derive(Default)]
pub(crate) struct Compiled {
    versions: [Revision; 4],
    policy: Arc<Policy>,
}

impl Registry {
    /// May the user do this? From the roles and bindings of this cluster.
    pub async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        match self.policy() {
            Ok(policy) => policy.authorize(attributes),
            Err(error) => Decision::NoOpinion {
                reason: error.message().to_owned(),
            },
        }
    }

    /// The policy of the present roles and bindings; compiled again only when one of them has changed.
    pub(crate) fn policy(&self) -> Result<Arc<Policy>, StatusError> {
        let mut versions = [0; 4];
        for (version, plural) in versions.iter_mut().zip(RESOURCES) {
            *version = self.built_in(GROUP, plural)?.cache.last();
        }
        let known = self.policy.load();
        if known.versions == versions {
            return Ok(known.policy.clone());
        }
        let mut policy = Policy::new();
        for plural in RESOURCES {
            let (items, _) = self
                .built_in(GROUP, plural)?
                .cache
                .select("", None, |_| true, usize::MAX);
            for item in items {
                if let Err(error) = add(&mut policy, plural, &item.object()) {
                    tracing::error!(plural, name = &*item.extract.name, %error, "left out of the access policy");
                }
            }
        }
        let policy = Arc::new(policy);
        self.policy.store(Arc::new(Compiled {
            versions,
            policy: policy.clone(),
        }));
        Ok(policy)
    }
}

fn add(policy: &mut Policy, plural: &str, object: &Object) -> Result<(), kube_types::dynamic::ObjectError> {
    match plural {
        "clusterroles" => policy.set_cluster_role(object.to_typed()?),
        "clusterrolebindings" => policy.set_cluster_role_binding(object.to_typed()?),
        "roles" => policy.set_role(object.to_typed()?),
        _ => policy.set_role_binding(object.to_typed()?),
    }
    Ok(())
}
