//! Which resources the cluster serves that can be listed, watched and deleted.

use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client};
use plan::ResourceName;

/// Resources whose objects come and go in great numbers, own nothing and are owned by nothing that matters
/// (upstream's `GarbageCollectorIgnoredResources`).
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];

/// A served resource.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub resource: ApiResource,
    pub namespaced: bool,
}

/// The metadata of an object of any kind.
pub(crate) type Metadata = PartialObjectMeta<DynamicObject>;

/// Asks the API server what it serves, each kind in its preferred version.
pub(crate) async fn served(client: &Client) -> Result<Vec<Served>, kube::Error> {
    Ok(able(&Discovery::new(client.clone()).run_aggregated().await?))
}

/// Asks the API server what it serves in these groups.
pub(crate) async fn served_in(client: &Client, groups: &[&str]) -> Result<Vec<Served>, kube::Error> {
    Ok(able(
        &Discovery::new(client.clone()).filter(groups).run_aggregated().await?,
    ))
}

fn able(discovery: &Discovery) -> Vec<Served> {
    let mut found = Vec::new();
    for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        let able = [verbs::LIST, verbs::WATCH, verbs::DELETE]
            .iter()
            .all(|verb| capabilities.supports_operation(verb));
        let ignored = IGNORED.contains(&(resource.group.as_str(), resource.plural.as_str()));
        if able && (!ignored || capabilities.scope == Scope::Namespaced) {
            found.push(Served {
                namespaced: capabilities.scope == Scope::Namespaced,
                resource,
            });
        }
    }
    found
}

impl Served {
    /// The name under which changes are asked for.
    pub fn name(&self) -> ResourceName {
        ResourceName {
            group: self.resource.group.clone(),
            version: self.resource.version.clone(),
            plural: self.resource.plural.clone(),
            kind: self.resource.kind.clone(),
        }
    }

    /// Can its objects own others or be owned in a way that matters?
    pub fn is_collected(&self) -> bool {
        !IGNORED.contains(&(self.resource.group.as_str(), self.resource.plural.as_str()))
    }

    /// Access to the metadata of all its objects.
    pub fn everywhere(&self, client: &Client) -> Api<Metadata> {
        Api::all_with(client.clone(), &self.resource)
    }

    /// Access to the metadata of its objects in a namespace, or in the cluster when it has none.
    pub fn within(&self, client: &Client, namespace: Option<&str>) -> Api<Metadata> {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => self.everywhere(client),
        }
    }
}
