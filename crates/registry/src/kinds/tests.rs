//! What `kinds` promises, as tests.

use std::collections::BTreeSet;

use super::*;

/// Kinds of k8s-openapi that are no entry of the table, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    (
        "",
        "ComponentStatus",
        "deprecated since 1.19; it asks components that are no processes of their own here",
    ),
    ("authentication.k8s.io", "TokenRequest", "body of serviceaccounts/token"),
    ("autoscaling", "Scale", "body of the scale subresource"),
    ("policy", "Eviction", "body of pods/eviction"),
];

/// Alpha and beta versions are off by default upstream, so that the schemas' generally available versions are all.
#[test]
fn the_table_is_upstreams() {
    let served: BTreeSet<GroupVersionKind> = KindTable::built_in().iter().map(|kind| kind.gvk()).collect();
    let known: BTreeSet<GroupVersionKind> = kube_types::schema::kinds().cloned().collect();
    let left_out = |gvk: &GroupVersionKind| {
        LEFT_OUT
            .iter()
            .any(|(group, kind, _)| gvk.group == *group && gvk.kind == *kind)
    };
    let missing: Vec<String> = known
        .difference(&served)
        .filter(|gvk| !left_out(gvk))
        .map(ToString::to_string)
        .collect();
    let unknown: Vec<String> = served.difference(&known).map(ToString::to_string).collect();
    assert_eq!((missing, unknown), (Vec::<String>::new(), Vec::<String>::new()));
    assert!(
        known.iter().filter(|gvk| left_out(gvk)).count() == LEFT_OUT.len(),
        "each exception is still one"
    );
}

/// What the declarations say of names and scope is what k8s-openapi says.
#[test]
fn names_and_scopes_are_upstreams() {
    use kube_types::k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, Resource};
    fn scope_of<S: 'static>() -> Option<bool> {
        let scope = std::any::TypeId::of::<S>();
        if scope == std::any::TypeId::of::<NamespaceResourceScope>() {
            return Some(true);
        }
        (scope == std::any::TypeId::of::<ClusterResourceScope>()).then_some(false)
    }
    struct Names(KindTable, usize);
    impl kube_types::schema::Visit for Names {
        fn kind<K: Resource<Scope: 'static> + schemars::JsonSchema>(&mut self) {
            if let Some(kind) = self.0.by_kind(&GroupVersionKind::of::<K>()) {
                assert_eq!(kind.plural, K::URL_PATH_SEGMENT);
                assert_eq!(Some(kind.namespaced), scope_of::<K::Scope>(), "{}", K::KIND);
                self.1 += 1;
            }
        }
    }
    let mut names = Names(KindTable::built_in(), 0);
    kube_types::schema::visit_kinds(&mut names);
    assert_eq!(names.1, names.0.iter().count());
}

#[test]
fn what_is_stored_has_rules_and_a_place_of_its_own() {
    let table = KindTable::built_in();
    let mut prefixes = BTreeSet::new();
    for kind in table.iter().filter(|kind| kind.storage.is_some()) {
        assert!(
            object_rules::coverage(&kind.group, &kind.kind).is_some(),
            "{} {}",
            kind.group,
            kind.kind
        );
    }
    for kind in table.stored_kinds() {
        let prefix = kind.storage.as_ref().unwrap().prefix.to_string();
        assert!(prefixes.insert(prefix.clone()), "{prefix} is used twice");
        let found = table.stored_kind(&kind.group, &kind.plural);
        assert!(
            found.is_some_and(|found| std::sync::Arc::ptr_eq(found, kind)),
            "{} is found by its name",
            kind.plural
        );
    }
    assert!(table.stored_kind("apps", "pods").is_none());
    let nested = prefixes
        .iter()
        .zip(prefixes.iter().skip(1))
        .find(|(a, b)| b.starts_with(a.as_str()));
    assert_eq!(nested, None);
    assert_eq!(table.groups()[0].name, "");
    let autoscaling = table
        .groups()
        .into_iter()
        .find(|group| group.name == "autoscaling")
        .unwrap();
    assert_eq!(autoscaling.versions, ["v2", "v1"]);
}
