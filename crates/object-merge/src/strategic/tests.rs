//! Strategic merge on pods, deployments and services, with every directive; and laws that hold for any patch.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn merge(kind: &str, current: Value, patch: Value) -> Result<Value, PatchError> {
    let group = if kind == "Deployment" { "apps" } else { "" };
    apply(&GroupVersionKind::new(group, "v1", kind), &current, patch)
}

fn containers(names: &[&str]) -> Value {
    json!({"spec": {"containers": names.iter().map(|name| json!({"name": name, "image": "old"})).collect::<Vec<_>>()}})
}

fn names(value: &Value) -> Vec<String> {
    let list = value["spec"]["containers"].as_array().unwrap();
    list.iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_of_objects_merge_by_key_and_new_ones_are_added() {
    let patch = json!({"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "c", "image": "c"}]}});
    let merged = merge("Pod", containers(&["a", "b"]), patch).unwrap();
    assert_eq!(names(&merged), ["a", "b", "c"]);
    assert_eq!(merged["spec"]["containers"][0]["image"], "old");
    assert_eq!(merged["spec"]["containers"][1]["image"], "new");
}

#[test]
fn nested_lists_use_their_own_keys() {
    let current = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "a", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 80, "name": "http"}]}]}}}});
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "a", "env": [{"name": "Y", "value": "2"}], "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}});
    let merged = merge("Deployment", current, patch).unwrap();
    let container = &merged["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"].as_array().unwrap().len(), 2);
    assert_eq!(
        container["ports"],
        json!([{"containerPort": 80, "name": "http", "protocol": "TCP"}])
    );
}

#[test]
fn lists_without_strategy_are_replaced_and_nulls_remove() {
    let current =
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"tolerations": [{"key": "x"}], "nodeName": "n"}});
    let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}}, "spec": {"tolerations": [{"key": "y"}], "nodeName": null}});
    let merged = merge("Pod", current, patch).unwrap();
    assert_eq!(
        merged,
        json!({"metadata": {"labels": {"b": "2", "c": "3"}}, "spec": {"tolerations": [{"key": "y"}]}})
    );
}

#[test]
fn delete_and_replace_directives_in_lists_and_maps() {
    let gone = json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}});
    assert_eq!(names(&merge("Pod", containers(&["a", "b"]), gone).unwrap()), ["b"]);
    let replaced = json!({"spec": {"containers": [{"name": "z"}, {"$patch": "replace"}]}});
    assert_eq!(names(&merge("Pod", containers(&["a", "b"]), replaced).unwrap()), ["z"]);
    let map = json!({"metadata": {"labels": {"$patch": "replace", "only": "1"}}});
    let merged = merge("Pod", json!({"metadata": {"labels": {"a": "1"}}}), map).unwrap();
    assert_eq!(merged, json!({"metadata": {"labels": {"only": "1"}}}));
    let emptied = json!({"metadata": {"labels": {"$patch": "delete"}}});
    let merged = merge("Pod", json!({"metadata": {"labels": {"a": "1"}}}), emptied).unwrap();
    assert_eq!(merged, json!({"metadata": {"labels": {}}}));
}

#[test]
fn retain_keys_empties_the_rest_of_a_union() {
    let current = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let merged = merge("Deployment", current.clone(), patch).unwrap();
    assert_eq!(merged, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    let stray = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "rollingUpdate": {}}}});
    let error = merge("Deployment", current, stray).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        (400, "invalid patch format of retainKeys")
    );
}

#[test]
fn primitive_lists_merge_as_sets_and_lose_elements_by_directive() {
    let current = json!({"metadata": {"finalizers": ["a", "b"]}});
    let added = merge("Pod", current.clone(), json!({"metadata": {"finalizers": ["b", "c"]}})).unwrap();
    assert_eq!(added["metadata"]["finalizers"], json!(["a", "b", "c"]));
    let removed = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["d"]}});
    assert_eq!(
        merge("Pod", current, removed).unwrap()["metadata"]["finalizers"],
        json!(["d", "b"])
    );
}

#[test]
fn set_element_order_orders_the_patchs_elements_and_keeps_the_servers_in_place() {
    let order = json!([{"name": "c"}, {"name": "a"}]);
    let patch = json!({"spec": {"$setElementOrder/containers": order, "containers": [{"name": "c", "image": "new"}]}});
    let merged = merge("Pod", containers(&["a", "server", "c"]), patch).unwrap();
    assert_eq!(names(&merged), ["server", "c", "a"], "server came before c");
    assert_eq!(merged["spec"]["containers"][1]["image"], "new");
    let only_order = json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}});
    assert_eq!(
        names(&merge("Pod", containers(&["a", "b"]), only_order).unwrap()),
        ["b", "a"]
    );
    let wrong = json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "b"}]}});
    let error = merge("Pod", containers(&["a"]), wrong).unwrap_err().to_string();
    assert!(
        error.starts_with("The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:"),
        "{error}"
    );
}

#[test]
fn errors_are_worded_as_upstream() {
    let no_key = json!({"spec": {"containers": [{"image": "x"}]}});
    let error = merge("Pod", containers(&["a"]), no_key).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map: map[image:x] does not contain declared merge key: name"
    );
    let unknown = json!({"spec": {"$patch": "explode"}});
    let error = merge("Pod", containers(&["a"]), unknown).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown patch type: explode in map: map[$patch:explode]"
    );
    assert_eq!(merge("Pod", json!({}), json!([])).unwrap_err().code(), 400);
}

#[test]
fn directives_in_what_is_new_leave_no_trace() {
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate", "x": null},
        "template": {"spec": {"containers": [{"name": "a", "$patch": "delete"}, {"name": "b"}]}}}});
    let merged = merge("Deployment", json!({}), patch).unwrap();
    assert_eq!(
        merged,
        json!({"spec": {"strategy": {"type": "Recreate"}, "template": {"spec": {"containers": [{"name": "b"}]}}}})
    );
}

fn pods() -> impl Strategy<Value = Value> {
    let container = (
        "[a-d]",
        proptest::option::of("[x-z]"),
        proptest::collection::vec("[p-s]", 0..3),
    );
    (
        proptest::collection::vec(container, 0..4),
        proptest::collection::btree_map("[k-m]", "[0-9]", 0..3),
    )
        .prop_map(|(containers, labels)| {
            let mut seen = Vec::new();
            let list: Vec<Value> = containers
                .into_iter()
                .filter(|(name, ..)| {
                    !seen.contains(name) && {
                        seen.push(name.clone());
                        true
                    }
                })
                .map(|(name, image, mut env)| {
                    env.sort();
                    env.dedup();
                    let env: Vec<Value> = env.iter().map(|name| json!({"name": name, "value": "v"})).collect();
                    match image {
                        Some(image) => json!({"name": name, "image": image, "env": env}),
                        None => json!({"name": name, "env": env}),
                    }
                })
                .collect();
            json!({"metadata": {"labels": labels}, "spec": {"containers": list}})
        })
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(pod in pods()) {
        prop_assert_eq!(merge("Pod", pod.clone(), json!({})).unwrap(), pod);
    }

    #[test]
    fn patching_with_itself_changes_nothing(pod in pods()) {
        prop_assert_eq!(merge("Pod", pod.clone(), pod.clone()).unwrap(), pod);
    }

    #[test]
    fn patching_twice_is_patching_once(pod in pods(), patch in pods()) {
        let once = merge("Pod", pod, patch.clone()).unwrap();
        prop_assert_eq!(merge("Pod", once.clone(), patch).unwrap(), once);
    }

    #[test]
    fn nothing_that_the_patch_does_not_name_is_lost(pod in pods(), patch in pods()) {
        let merged = merge("Pod", pod.clone(), patch.clone()).unwrap();
        let all = names(&merged);
        for name in names(&pod).iter().chain(&names(&patch)) {
            prop_assert_eq!(all.iter().filter(|one| *one == name).count(), 1);
        }
    }
}
