//! Fuzz targets: patches of every kind, and applied configurations with their owners.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fuzz::Corpus;
use kube_types::GroupVersionKind;
use kube_types::dynamic::{Map, Value, json};
use object_merge::apply::{self, Filter, Managed, ObjectType, Versions, Writer};
use object_merge::{PatchKind, apply_patch};

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"k": "v"}, "finalizers": ["x"]},
        "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}],
            "tolerations": [{"key": "t", "operator": "Exists"}]}})
}

const JSON_PATCHES: &[&[u8]] = &[
    br#"[{"op":"add","path":"/metadata/labels/x","value":"y"},{"op":"remove","path":"/spec/containers/0"}]"#,
    br#"[{"op":"test","path":"/metadata/name","value":"a"},{"op":"replace","path":"/spec/containers/-","value":{}}]"#,
    br#"[{"op":"move","from":"/spec","path":"/metadata/~1a~0b"},{"op":"copy","from":"","path":"/x"}]"#,
];
const OBJECTS: &[&[u8]] = &[
    br#"{"metadata":{"labels":{"k":null,"x":"y"}},"spec":{"containers":[{"name":"c","image":"j"}]}}"#,
    br#"{"spec":{"$setElementOrder/containers":[{"name":"d"},{"name":"c"}],"containers":[{"$patch":"delete","name":"c"},{"name":"d"}]}}"#,
    br#"{"spec":{"$retainKeys":["containers"],"containers":[{"$patch":"replace"},{"name":"e","env":[{"name":"A","$patch":"merge"}]}]}}"#,
    br#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["x"],"$setElementOrder/finalizers":["y"],"finalizers":["y"]}}"#,
    br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","ports":[{"containerPort":80}]}]}}"#,
];
const WORDS: &[&str] = &[
    "\"$patch\":",
    "\"delete\"",
    "\"replace\"",
    "\"merge\"",
    "\"$setElementOrder/containers\":",
    "\"$retainKeys\":",
    "\"$deleteFromPrimitiveList/finalizers\":",
    "null",
    "[]",
    "{}",
    "\"name\":",
    "\"containers\":",
    "/-",
    "/0",
    "~1",
    "\"op\":\"copy\"",
    "\"path\":\"/spec\"",
];

fn gvk() -> GroupVersionKind {
    GroupVersionKind::new("", "v1", "Pod")
}

#[test]
fn patches_are_answered() {
    let inputs: Vec<&[u8]> = JSON_PATCHES.iter().chain(OBJECTS).copied().collect();
    let corpus = Corpus {
        inputs: &inputs,
        words: WORDS,
    };
    let pod = pod();
    fuzz::run("patches", corpus, |bytes| {
        let said = [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic].map(|kind| {
            match apply_patch(kind, &gvk(), &pod, bytes) {
                Err(error) => error.to_string(),
                Ok(patched) => {
                    // What came out can be patched again.
                    drop(apply_patch(kind, &gvk(), &patched, bytes));
                    String::new()
                }
            }
        });
        said.join(" / ")
    });
}

#[test]
fn merging_twice_is_merging_once() {
    let corpus = Corpus {
        inputs: OBJECTS,
        words: WORDS,
    };
    let pod = pod();
    fuzz::run("merge patch", corpus, |bytes| {
        match apply_patch(PatchKind::Merge, &gvk(), &pod, bytes) {
            Err(error) => error.to_string(),
            Ok(once) => {
                let twice = apply_patch(PatchKind::Merge, &gvk(), &once, bytes).unwrap();
                assert_eq!(twice, once);
                String::new()
            }
        }
    });
}

#[test]
fn fields_are_answered_and_read_the_same_again() {
    let inputs: &[&[u8]] = &[
        br#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{}}}}}"#,
        br#"{"f:a":{"v:\"x\"":{},"v:1":{},"i:3":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{}}}"#,
    ];
    let words = ["f:", "k:{\\\"", "v:", "i:", ".", "{}", "\"f:a\":{}", "\\u0000"];
    let corpus = Corpus { inputs, words: &words };
    fuzz::run("FieldsV1", corpus, |bytes| {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return "no JSON".to_owned();
        };
        let Some(set) = apply::parse_fields(&value) else {
            return "no fields".to_owned();
        };
        let written = Value::Object(apply::serialize_fields(&set));
        let again = apply::parse_fields(&written).unwrap_or_else(|| panic!("{written} is not read"));
        // Fractions may differ in their last digit: the JSON parser reads them so unless it is told to be exact.
        let text = written.to_string();
        if again != set && text.contains(['.', 'e', 'E']) {
            return "a fraction".to_owned();
        }
        assert_eq!(again, set, "{text}");
        assert_eq!(set.union(&set), set);
        assert!(set.difference(&set).is_empty());
        format!("{}", set.len().min(5))
    });
}

/// Pods have one version, and everything in it can be owned.
struct OneVersion(ObjectType);

impl Versions for OneVersion {
    fn object_type(&self, api_version: &str) -> Option<ObjectType> {
        (api_version == "v1").then(|| self.0.clone())
    }

    fn convert(&self, object: &Map<String, Value>, api_version: &str) -> Option<Map<String, Value>> {
        (api_version == "v1").then(|| object.clone())
    }

    fn filter(&self, _api_version: &str) -> Filter {
        Filter::All
    }
}

#[test]
fn applied_configurations_are_answered_and_applying_again_changes_nothing() {
    let corpus = Corpus {
        inputs: OBJECTS,
        words: WORDS,
    };
    let versions = OneVersion(apply::built_in(&gvk()).unwrap());
    let writer = |name| Writer {
        name,
        api_version: "v1",
        subresource: "",
        now: "2026-01-02T03:04:05Z",
        object_type: &versions.0,
        versions: &versions,
    };
    let live = pod();
    let live = live.as_object().unwrap();
    fuzz::run("apply", corpus, |bytes| {
        let Ok(Value::Object(mut configuration)) = serde_json::from_slice::<Value>(bytes) else {
            return "no object".to_owned();
        };
        configuration.insert("apiVersion".to_owned(), "v1".into());
        configuration.insert("kind".to_owned(), "Pod".into());
        let (object, managed) = match writer("one").apply(Managed::default(), live, &configuration, true) {
            Err(error) => return error.to_string(),
            Ok(applied) => applied,
        };
        // As they are stored and read.
        let entries = managed.encode();
        let read = Managed::decode(Some(&entries)).unwrap_or_else(|error| panic!("{entries}: {error}"));
        let (again, managed) = writer("one").apply(read, &object, &configuration, false).unwrap();
        assert_eq!(again, object, "applied again");
        assert_eq!(managed.encode(), entries, "applied again");
        // Another applier of the same is a second owner and no opponent.
        let read = Managed::decode(Some(&entries)).unwrap();
        let (shared, _) = writer("two").apply(read, &object, &configuration, false).unwrap();
        assert_eq!(shared, object, "applied by another");
        // Who applies nothing any more gives back what it alone had.
        let nothing = Map::from_iter([
            ("apiVersion".to_owned(), Value::from("v1")),
            ("kind".to_owned(), "Pod".into()),
        ]);
        let read = Managed::decode(Some(&entries)).unwrap();
        let outcome = writer("one").apply(read, &object, &nothing, false);
        format!("{} owners, {}", entries.as_array().map_or(0, Vec::len), outcome.is_ok())
    });
}
