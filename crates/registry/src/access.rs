//! May this user do this? The decision from the cluster's roles and bindings and, for nodes, from what runs on them.

use std::sync::{Arc, Mutex, PoisonError};

use access_rules::node::Graph;
use access_rules::rbac::Policy;
use access_rules::{Attributes, Decision};
use kube_types::dynamic::{Object, ObjectError};
use store::Revision;

use crate::cache::{Change, ChangeKind, Item, Since};
use crate::pipeline::Resource;
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

/// What the Node authorizer follows, by group and plural name.
const GRAPHED: [(&str, &str); 4] = [
    ("", "pods"),
    ("", "persistentvolumes"),
    ("storage.k8s.io", "volumeattachments"),
    ("resource.k8s.io", "resourceslices"),
];

/// Up to which revision each of them was taken in.
type Seen = [Revision; GRAPHED.len()];

/// What runs on which nodes and refers to what, up to a revision.
#[derive(Default)]
pub(crate) struct NodeGraph {
    /// Made when the first node asks.
    known: Mutex<Option<(Seen, Graph)>>,
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
        match self.graphed() {
            Ok(caches) => {
                let mut known = self.node_graph.known.lock().unwrap_or_else(PoisonError::into_inner);
                bring_up_to_date(&mut known, &caches, self.caches.reached()).authorize(attributes)
            }
            Err(error) => Decision::NoOpinion {
                reason: error.message().to_owned(),
            },
        }
    }

    fn graphed(&self) -> Result<[Resource; GRAPHED.len()], StatusError> {
        let [pods, volumes, attachments, slices] = GRAPHED;
        let resource = |(group, plural): (&str, &str)| self.built_in(group, plural);
        Ok([
            resource(pods)?,
            resource(volumes)?,
            resource(attachments)?,
            resource(slices)?,
        ])
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

/// Takes in what has changed since the last question. What changes in between is taken in by the next one.
fn bring_up_to_date<'a>(
    known: &'a mut Option<(Seen, Graph)>,
    caches: &[Resource; GRAPHED.len()],
    reached: Revision,
) -> &'a Graph {
    let changes = known.as_ref().map(|(seen, _)| {
        let pairs = caches.iter().zip(seen);
        pairs
            .map(|(resource, seen)| resource.cache.since(*seen, usize::MAX))
            .collect::<Vec<_>>()
    });
    let old = changes
        .as_ref()
        .is_none_or(|all| all.iter().any(|one| matches!(one, Since::TooOld { .. })));
    let (seen, graph) = known.get_or_insert_with(|| ([0; GRAPHED.len()], Graph::new()));
    if old {
        *graph = Graph::new();
        for (resource, (_, plural)) in caches.iter().zip(GRAPHED) {
            let (items, _) = resource.cache.select("", None, |_| true, usize::MAX);
            items.iter().for_each(|item| set(graph, plural, item));
        }
        *seen = [reached; GRAPHED.len()];
        return graph;
    }
    for ((changes, seen), (_, plural)) in changes.into_iter().flatten().zip(seen).zip(GRAPHED) {
        if let Since::Changes(changes) = changes {
            for change in &changes {
                take_change(graph, plural, change);
                *seen = change.item.revision;
            }
        }
    }
    graph
}

fn take_change(graph: &mut Graph, plural: &str, change: &Change) {
    let extract = &change.item.extract;
    match (change.kind, plural) {
        (ChangeKind::Put, _) => set(graph, plural, &change.item),
        (ChangeKind::Delete, "pods") => {
            graph.remove_pod(extract.namespace.as_deref().unwrap_or_default(), &extract.name);
        }
        (ChangeKind::Delete, "persistentvolumes") => graph.remove_volume(&extract.name),
        (ChangeKind::Delete, "volumeattachments") => graph.remove_attachment(&extract.name),
        (ChangeKind::Delete, _) => graph.remove_slice(&extract.name),
    }
}

fn set(graph: &mut Graph, plural: &str, item: &Item) {
    let object = item.object();
    let taken = match plural {
        "pods" => object.to_typed().map(|pod| graph.set_pod(&pod)),
        "persistentvolumes" => object.to_typed().map(|volume| graph.set_volume(&volume)),
        "volumeattachments" => object.to_typed().map(|attachment| graph.set_attachment(&attachment)),
        _ => object.to_typed().map(|slice| graph.set_slice(&slice)),
    };
    if let Err(error) = taken {
        tracing::error!(plural, name = &*item.extract.name, %error, "left out of the node authorizer");
    }
}
