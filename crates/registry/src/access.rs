//! May this user do this? The decision from the cluster's roles and bindings and, for nodes, from what runs on them.

use std::sync::{Arc, Mutex, PoisonError};

use access_rules::node::Graph;
use access_rules::rbac::Policy;
use access_rules::{Attributes, Decision};
use kube_types::dynamic::{Object, ObjectError};
use store::Revision;

use crate::cache::{Change, ChangeKind, Item, ResourceCache, Since};
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

/// Which pods are bound to which nodes, up to a revision.
#[derive(Default)]
pub(crate) struct BoundPods {
    /// Made when the first node asks.
    known: Mutex<Option<(Revision, Graph)>>,
}

/// Somebody else who may allow requests that the cluster's own roles do not: EKS's access policies.
pub trait Authorizer: Send + Sync {
    /// Why the request is allowed; `None` when it is not for this authorizer to say.
    fn allows(&self, attributes: &Attributes<'_>) -> Option<String>;
}

impl Registry {
    /// Asks one more authorizer, after the cluster's own. The first call counts.
    pub fn set_authorizer(&self, authorizer: Arc<dyn Authorizer>) {
        self.authorizer.get_or_init(|| authorizer);
    }

    /// May the user do this? The Node authorizer is asked first, then the roles and bindings of this cluster, then others.
    pub async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        self.decide(attributes)
    }

    /// The same, for callers that cannot wait.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let own = self.authorize_here(attributes);
        if own.is_allowed() {
            return own;
        }
        match self.authorizer.get().and_then(|other| other.allows(attributes)) {
            Some(reason) => Decision::Allow { reason },
            None => own,
        }
    }

    fn authorize_here(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.node_name().is_some() {
            let decision = self.authorize_node(attributes);
            if decision.is_allowed() {
                return decision;
            }
            return match self.authorize_by_role(attributes) {
                Decision::NoOpinion { .. } => decision,
                other => other,
            };
        }
        self.authorize_by_role(attributes)
    }

    fn authorize_by_role(&self, attributes: &Attributes<'_>) -> Decision {
        match self.policy() {
            Ok(policy) => policy.authorize(attributes),
            Err(error) => Decision::NoOpinion {
                reason: error.message().to_owned(),
            },
        }
    }

    fn authorize_node(&self, attributes: &Attributes<'_>) -> Decision {
        match self.built_in("", "pods") {
            Ok(pods) => {
                let mut known = self.bound_pods.known.lock().unwrap_or_else(PoisonError::into_inner);
                bring_up_to_date(&mut known, &pods.cache, self.caches.reached()).authorize(attributes)
            }
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

fn add(policy: &mut Policy, plural: &str, object: &Object) -> Result<(), ObjectError> {
    match plural {
        "clusterroles" => policy.set_cluster_role(object.to_typed()?),
        "clusterrolebindings" => policy.set_cluster_role_binding(object.to_typed()?),
        "roles" => policy.set_role(object.to_typed()?),
        _ => policy.set_role_binding(object.to_typed()?),
    }
    Ok(())
}

/// Takes in the pods that changed since the last question.
fn bring_up_to_date<'a>(
    known: &'a mut Option<(Revision, Graph)>,
    pods: &ResourceCache,
    reached: Revision,
) -> &'a Graph {
    let changes = known.as_ref().map(|(revision, _)| pods.since(*revision, usize::MAX));
    let (revision, graph) = known.get_or_insert_with(|| (0, Graph::new()));
    match changes {
        Some(Since::Changes(changes)) => {
            for change in &changes {
                take_change(graph, change);
                *revision = change.item.revision;
            }
        }
        Some(Since::TooOld { .. }) | None => {
            *graph = Graph::new();
            let (items, _) = pods.select("", None, |_| true, usize::MAX);
            items.iter().for_each(|item| set(graph, item));
            *revision = reached;
        }
    }
    graph
}

fn take_change(graph: &mut Graph, change: &Change) {
    match change.kind {
        ChangeKind::Put => set(graph, &change.item),
        ChangeKind::Delete => {
            let extract = &change.item.extract;
            graph.remove_pod(extract.namespace.as_deref().unwrap_or_default(), &extract.name);
        }
    }
}

fn set(graph: &mut Graph, item: &Item) {
    match item.object().to_typed() {
        Ok(pod) => graph.set_pod(&pod),
        Err(error) => tracing::error!(name = &*item.extract.name, %error, "pod left out of the node authorizer"),
    }
}
