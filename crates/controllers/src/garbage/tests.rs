//! What follows for dependents when an owner goes, in each of the three ways.

use super::*;

fn resource(kind: &str) -> ResourceName {
    ResourceName {
        group: "apps".into(),
        version: "v1".into(),
        plural: kind.to_lowercase(),
        kind: kind.into(),
    }
}

fn item(kind: &str, name: &str, owners: &[&Item]) -> Item {
    Item {
        resource: resource(kind),
        namespace: Some("shop".into()),
        name: name.into(),
        uid: format!("uid-{name}"),
        resource_version: Some("1".into()),
        owners: owners
            .iter()
            .map(|owner| OwnerReference {
                api_version: "apps/v1".into(),
                kind: owner.resource.kind.clone(),
                name: owner.name.clone(),
                uid: owner.uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            })
            .collect(),
        finalizers: Vec::new(),
        deleting: false,
    }
}

fn deleting(mut item: Item, finalizer: &str) -> Item {
    item.deleting = true;
    item.finalizers = vec![finalizer.into()];
    item
}

/// The verb and name of each step.
fn steps(decision: Decision) -> Vec<String> {
    let Decision::Act(plan) = decision else {
        return vec![format!("{decision:?}")];
    };
    let told = plan.steps.into_iter().map(|step| match step.change {
        Change::Delete {
            target, propagation, ..
        } => format!("delete {} {propagation:?}", target.name),
        Change::PatchMetadata { target, patch } => {
            format!(
                "patch {} owners={:?} finalizers={:?}",
                target.name,
                patch.owner_references.map(|owners| owners.len()),
                patch.finalizers
            )
        }
        other => format!("{other:?}"),
    });
    told.collect()
}

#[test]
fn a_dependent_goes_only_after_its_owner_is_known_to_be_gone() {
    let (owner, mut graph) = (item("Deployment", "web", &[]), Graph::default());
    let set = item("ReplicaSet", "web-1", &[&owner]);
    assert_eq!(graph.put(set.clone()), BTreeSet::from(["uid-web-1".to_owned()]));
    assert!(
        matches!(graph.decide("uid-web-1"), Decision::Verify(owners) if owners[0].uid == "uid-web"),
        "it may be new"
    );
    graph.put(owner);
    assert_eq!(graph.decide("uid-web-1"), Decision::Nothing);
    assert_eq!(graph.remove("uid-web"), BTreeSet::from(["uid-web-1".to_owned()]));
    assert!(matches!(graph.decide("uid-web-1"), Decision::Verify(_)));
    graph.set_absent("uid-web".into());
    assert_eq!(steps(graph.decide("uid-web-1")), ["delete web-1 Some(Background)"]);
}

#[test]
fn one_of_two_owners_is_enough_to_stay() {
    let (a, b) = (item("Deployment", "a", &[]), item("Deployment", "b", &[]));
    let mut graph = Graph::default();
    graph.put(a.clone());
    graph.put(item("ReplicaSet", "shared", &[&a, &b]));
    graph.set_absent("uid-b".into());
    assert_eq!(
        steps(graph.decide("uid-shared")),
        ["patch shared owners=Some(1) finalizers=None"]
    );
}

#[test]
fn in_the_foreground_dependents_go_first() {
    let owner = item("Deployment", "web", &[]);
    let set = item("ReplicaSet", "web-1", &[&owner]);
    let mut graph = Graph::default();
    graph.put(owner.clone());
    graph.put(set.clone());
    graph.put(item("Pod", "web-1-x", &[&set]));
    let affected = graph.put(deleting(owner, FOREGROUND));
    assert!(affected.contains("uid-web-1"));
    assert_eq!(graph.decide("uid-web"), Decision::Nothing, "the set blocks it");
    assert_eq!(steps(graph.decide("uid-web-1")), ["delete web-1 Some(Foreground)"]);
    graph.put(deleting(set, FOREGROUND));
    assert_eq!(steps(graph.decide("uid-web-1-x")), ["delete web-1-x Some(Background)"]);
    assert!(graph.remove("uid-web-1-x").contains("uid-web-1"));
    assert_eq!(
        steps(graph.decide("uid-web-1")),
        ["patch web-1 owners=None finalizers=Some([])"]
    );
    assert!(graph.remove("uid-web-1").contains("uid-web"));
    assert_eq!(
        steps(graph.decide("uid-web")),
        ["patch web owners=None finalizers=Some([])"]
    );
}

#[test]
fn orphans_are_let_go_before_their_owner_goes() {
    let owner = item("Deployment", "web", &[]);
    let mut graph = Graph::default();
    graph.put(item("ReplicaSet", "web-1", &[&owner]));
    graph.put(deleting(owner, ORPHAN));
    assert_eq!(
        steps(graph.decide("uid-web")),
        [
            "patch web-1 owners=Some(0) finalizers=None",
            "patch web owners=None finalizers=Some([])"
        ]
    );
}

#[test]
fn a_reference_across_namespaces_owns_nothing() {
    let owner = item("Deployment", "web", &[]);
    let mut graph = Graph::default();
    graph.put(owner.clone());
    let mut stray = item("ReplicaSet", "stray", &[&owner]);
    stray.namespace = Some("other".into());
    graph.put(stray);
    assert_eq!(steps(graph.decide("uid-stray")), ["delete stray Some(Background)"]);
}
