//! What updates and applies do to objects and owners, case by case.

mod laws;
mod world;

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Map, Value, json};

use self::world::{World, apply_map, container, deployment, map};
use super::*;

#[test]
fn fields_are_written_in_upstreams_form() {
    let of = built_in(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
    let pod = map(
        json!({"metadata": {"labels": {"a.b/c": "d"}, "finalizers": ["f/1"]}, "spec": {
        "containers": [{"name": "c", "ports": [{"containerPort": 80}], "command": ["x"]}],
        "nodeSelector": {"a": "b"}, "affinity": {}}}),
    );
    let set = field_set::field_set(&of, &pod);
    let written = Value::Object(serialize_fields(&set));
    assert_eq!(
        written,
        json!({"f:metadata": {"f:finalizers": {r#"v:"f/1""#: {}}, "f:labels": {"f:a.b/c": {}}},
            "f:spec": {"f:affinity": {}, "f:containers": {r#"k:{"name":"c"}"#: {".": {}, "f:command": {}, "f:name": {},
                "f:ports": {r#"k:{"containerPort":80,"protocol":"TCP"}"#: {".": {}, "f:containerPort": {}}}}},
                "f:nodeSelector": {}}})
    );
    assert_eq!(parse_fields(&written), Some(set));
    assert_eq!(parse_fields(&json!({"x:a": {}})), None);
}

#[test]
fn a_created_object_belongs_to_its_creator_as_upstream_writes_it() {
    let mut world = World::of_kind("apps", "Deployment");
    world.filter = Filter::except(&[&["status"]]);
    world.update(
        "kubectl-create",
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [container("c", "i")], "securityContext": {}}}},
            "status": {"replicas": 3}}),
    );
    let entries = world.managed.clone().encode();
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:replicas": {}, "f:selector": {},
                "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
                "f:template": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {"f:containers": {r#"k:{"name":"c"}"#: {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}}},
                        "f:securityContext": {}}}}}),
        "structs that are always there are not owned, and status is not the creator's"
    );
    assert_eq!(entries[0]["manager"], "kubectl-create");
    assert_eq!(entries[0]["operation"], "Update");
}

#[test]
fn what_two_appliers_say_is_put_together_and_each_takes_back_its_own() {
    let mut world = World::of_kind("apps", "Deployment");
    world.apply("one", deployment(json!(3), json!([container("a", "1")])));
    world.apply(
        "two",
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"x": "y"}},
            "spec": {"template": {"spec": {"containers": [container("b", "2")]}}}}),
    );
    assert_eq!(
        world.owners(),
        "one Apply: .spec.replicas .spec.template.spec.containers[name=\"a\"] \
         .spec.template.spec.containers[name=\"a\"].image .spec.template.spec.containers[name=\"a\"].name\n\
         two Apply: .metadata.labels.x .spec.template.spec.containers[name=\"b\"] \
         .spec.template.spec.containers[name=\"b\"].image .spec.template.spec.containers[name=\"b\"].name"
    );
    let without = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    world.apply("one", without);
    assert_eq!(
        world.value()["spec"],
        json!({"template": {"spec": {"containers": [container("b", "2")]}}})
    );
    assert!(!world.owners().contains("one"), "who owns nothing has no entry");
}

/// An entry with a new time would be sorted to another place, and the object stored anew.
#[test]
fn an_apply_that_changes_nothing_leaves_the_entries_as_they_were() {
    let mut world = World::of_kind("apps", "Deployment");
    let labels = |name: &str, value: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {name: value}}});
    world.apply("one", labels("a", "1")).apply("two", labels("b", "2"));
    let entries = world.managed.clone().encode();
    world.apply("one", labels("a", "1"));
    assert_eq!(world.managed.clone().encode(), entries);
    world.apply("one", labels("a", "3"));
    let after = world.managed.clone().encode();
    assert_eq!(after[1]["manager"], "one", "the entry of the last apply is the last");
}

#[test]
fn conflicts_name_owner_and_field_and_force_takes_over() {
    let mut world = World::of_kind("apps", "Deployment");
    world.apply("one", deployment(json!(3), json!([container("a", "1")])));
    world.update("two", deployment(json!(5), json!([container("a", "1")])));
    let error = world
        .try_apply("one", deployment(json!(3), json!([container("a", "1")])), false)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"Apply failed with 1 conflict: conflict with "two" using apps/v1: .spec.replicas"#
    );
    let error = world
        .try_apply("three", deployment(json!(4), json!([container("a", "2")])), false)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n\
         - .spec.template.spec.containers[name=\"a\"].image\n\
         conflicts with \"two\" using apps/v1:\n- .spec.replicas"
    );
    world
        .try_apply("one", deployment(json!(3), json!([container("a", "1")])), true)
        .unwrap();
    assert!(!world.owners().contains("two"));
    // The same value is no conflict: both own it.
    world.apply("four", deployment(json!(3), json!([])));
    assert!(world.owners().contains("four Apply: .spec.replicas"));
}

#[test]
fn an_update_owns_what_it_changes_and_removes() {
    let mut world = World::of_kind("", "ConfigMap");
    let config =
        |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    world.apply("one", config(json!({"a": "1", "b": "1"})));
    world.update("two", config(json!({"a": "2", "c": "3"})));
    assert_eq!(
        world.owners(),
        "two Update: .data.a .data.c",
        "what is gone belongs to nobody"
    );
    world.apply("one", config(json!({"d": "4"})));
    assert_eq!(world.value()["data"], json!({"a": "2", "c": "3", "d": "4"}));
    world.update("two", config(json!({"a": "2", "c": "3", "d": "4"})));
    assert_eq!(world.owners(), "one Apply: .data.d\ntwo Update: .data.a .data.c");
}

#[test]
fn an_object_from_before_belongs_to_before_first_apply() {
    let mut world = World::of_kind("", "ConfigMap");
    let config =
        |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
    world.live = map(config(json!({"a": "1"})));
    world.update("two", config(json!({"a": "2"})));
    assert!(
        world.managed.is_empty(),
        "what was not tracked from the start is not tracked by updates"
    );
    let error = world.try_apply("one", config(json!({"a": "3"})), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a"#
    );
    world.apply("one", config(json!({"b": "3"})));
    assert_eq!(
        world.owners(),
        "before-first-apply Update: .data .data.a\none Apply: .data.b"
    );
}

#[test]
fn old_updaters_become_ancient_changes() {
    let mut world = World::of_kind("", "ConfigMap");
    for number in 0..14 {
        let mut data = Map::new();
        (0..=number).for_each(|entry| {
            data.insert(format!("k{entry:02}"), "v".into());
        });
        world.update(
            &format!("m{number:02}"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}),
        );
    }
    let names: Vec<String> = world
        .managed
        .clone()
        .encode()
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 10);
    assert_eq!(names[0], "ancient-changes");
    assert!(
        world
            .owners()
            .starts_with("ancient-changes Update: .data .data.k00 .data.k01 .data.k02 .data.k03 .data.k04\n")
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_by_itself() {
    let mut world = World::of_kind("", "ConfigMap");
    let last =
        r#"{"apiVersion":"v1","data":{"a":"1","b":"1"},"kind":"ConfigMap","metadata":{"annotations":{},"name":"c"}}"#;
    let config = |data: Value, annotations: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "annotations": annotations}, "data": data});
    world.update(
        "kubectl-client-side-apply",
        config(
            json!({"a": "1", "b": "1"}),
            json!({"kubectl.kubernetes.io/last-applied-configuration": last}),
        ),
    );
    let wanted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "2"}});
    assert!(world.try_apply("other", wanted.clone(), false).is_err());
    world.apply("kubectl", wanted);
    assert_eq!(world.value()["data"]["a"], "2");
    assert_eq!(
        world.value()["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"],
        "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}\n"
    );
}

#[test]
fn configurations_that_do_not_fit_are_refused_in_upstreams_words() {
    for (configuration, message) in [
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
                "spec": {"replicsa": 3}}),
            "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): .spec.replicsa: field not declared in schema",
        ),
        (
            deployment(json!("3"), json!([container("a", "1"), container("a", "2")])),
            "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): errors:\n  \
             .spec.replicas: expected numeric (int or float), got string\n  \
             .spec.template.spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            deployment(json!(1), json!({"a": 1})),
            "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers: expected list, got &{map[a:1]}",
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "managedFields": []}}),
            "metadata.managedFields must be nil",
        ),
    ] {
        let mut world = World::of_kind("apps", "Deployment");
        let error = world.try_apply("one", configuration, false).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn lists_keep_the_order_of_the_live_object_and_take_the_applied_one_where_both_have_it() {
    for (live, applied, merged) in [
        ("a b c", "b", "a b c"),
        ("a b c", "c a", "b c a"),
        ("a b", "x a", "x a b"),
        ("a b c d", "d b", "a c d b"),
        ("", "b a", "b a"),
        ("a b c", "a x b", "a x b c"),
        ("a b c", "x c b", "a x c b"),
    ] {
        let names = |text: &str| -> Vec<Value> {
            text.split_whitespace()
                .map(|name| json!({"name": name, "value": "1"}))
                .collect()
        };
        let pod = |env: &str| map(json!({"spec": {"containers": [{"name": "c", "env": names(env)}]}}));
        let of = built_in(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let found = merge::merge(&of, &pod(live), &pod(applied)).unwrap();
        let shown: Vec<&str> = found["spec"]["containers"][0]["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(shown.join(" "), merged, "{live} with {applied}");
    }
}

#[test]
fn atomic_values_are_owned_and_replaced_as_a_whole() {
    let mut world = World::of_kind("", "Service");
    let service = |spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec});
    world.apply(
        "one",
        service(json!({"selector": {"a": "1", "b": "2"}, "externalIPs": ["1.2.3.4"]})),
    );
    assert_eq!(world.owners(), "one Apply: .spec.externalIPs .spec.selector");
    let error = world
        .try_apply("two", service(json!({"selector": {"a": "1"}})), false)
        .unwrap_err();
    assert!(error.to_string().ends_with(".spec.selector"), "{error}");
    world.apply("one", service(json!({"selector": {"c": "3"}})));
    assert_eq!(world.value()["spec"], json!({"selector": {"c": "3"}}));
}

#[test]
fn missing_keys_have_their_defaults() {
    let mut world = World::of_kind("", "Service");
    let ports = |ports: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": ports}});
    world.apply("one", ports(json!([{"port": 53}, {"port": 53, "protocol": "UDP"}])));
    world.apply("two", ports(json!([{"port": 53, "protocol": "TCP", "name": "dns"}])));
    assert_eq!(
        world.value()["spec"]["ports"],
        json!([{"port": 53, "name": "dns", "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}])
    );
}

#[test]
fn fields_of_a_granular_map_that_became_atomic_are_owned_as_one() {
    let mut schema = Schema::new();
    let text = schema.add(Atom::scalar(Scalar::Text));
    let field = |name: &str, of| Field {
        name: name.into(),
        of,
        default: None,
        always: None,
    };
    let inner = schema.add(Atom::map(apply_map(vec![], Some(text), true)));
    let root = schema.add(Atom::map(apply_map(vec![field("m", inner)], None, false)));
    let of = ObjectType {
        schema: schema.into(),
        root,
    };
    let mut world = World::new(of, "v1");
    world.live = map(json!({"m": {"a": "1"}}));
    let set = parse_fields(&json!({"f:m": {"f:a": {}}})).unwrap();
    let manager = Manager {
        name: "one".to_owned(),
        operation: Operation::Update,
        api_version: "v1".to_owned(),
        subresource: String::new(),
    };
    world.managed.set(Owner {
        manager,
        time: None,
        set,
    });
    let error = world.try_apply("two", json!({"m": {"b": "2"}}), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"Apply failed with 1 conflict: conflict with "one" using v1: .m"#
    );
}

#[test]
fn replicas_move_between_a_workload_and_its_scale() {
    let path = [PathElement::field("spec"), PathElement::field("replicas")];
    let mut world = World::of_kind("apps", "Deployment");
    world.apply("one", deployment(json!(3), json!([container("a", "1")])));
    let scale = to_scale(&world.managed, |_| Some(&path));
    assert_eq!(scale.owners.len(), 1);
    assert_eq!(scale.owners[0].manager.api_version, SCALE_VERSION);
    // Somebody else scaled.
    let taker = Owner {
        manager: Manager {
            name: "hpa".to_owned(),
            operation: Operation::Update,
            api_version: SCALE_VERSION.to_owned(),
            subresource: "scale".to_owned(),
        },
        time: None,
        set: Set::of(&path),
    };
    let scale = Managed { owners: vec![taker] };
    world.managed = to_parent(world.managed.clone(), scale, "apps/v1", |_| Some(&path));
    assert!(
        world
            .owners()
            .starts_with("hpa Update: .spec.replicas\none Apply: .spec.template")
    );
    assert_eq!(world.managed.owners[1].manager.subresource, "scale");
    assert_eq!(world.managed.owners[1].manager.api_version, "apps/v1");
}

#[test]
fn empty_lists_of_entries_are_a_wish_to_forget() {
    for (entries, reset) in [
        (json!([]), true),
        (json!([{}]), true),
        (json!([{"manager": ""}]), true),
        (json!([{"manager": "a"}]), false),
        (json!([{}, {}]), false),
        (json!(null), false),
    ] {
        assert_eq!(is_reset(Some(&entries)), reset, "{entries}");
    }
    assert!(!is_reset(None));
}
