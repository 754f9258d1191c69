//! Fuzz targets: the decoders of bodies and of what is written in queries. Whatever comes in, they answer; and what they
//! read can be written and reads the same again.

use fuzz::Corpus;
use kube_types::dynamic::{Map, Value, json};
use kube_types::selector::{FieldSelector, LabelSelector};
use kube_types::{GroupVersionKind, decode, protobuf, quantity, schema};

fn objects() -> Vec<Value> {
    let time = "2026-01-02T03:04:05Z";
    vec![
        json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": "a", "labels": {"k": "v"}, "creationTimestamp": time, "finalizers": ["f"],
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u", "controller": true}],
                "managedFields": [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:spec": {}}}]},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": "http"}}}],
                "tolerations": [{"operator": "Exists", "tolerationSeconds": 3}]},
            "status": {"phase": "Running", "startTime": time}}),
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "AP8="}}),
        json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "a"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
                "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}}),
        json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "a"},
            "spec": {"group": "g", "scope": "Cluster", "names": {"plural": "p", "kind": "K"}, "versions": [{"name": "v1",
                "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"a": {"type": "array", "items": {"type": "string"}, "default": ["x"]}}}}}]}}),
    ]
}

fn written(object: &Value) -> Vec<u8> {
    protobuf::encode(object.as_object().unwrap()).unwrap().bytes
}

#[test]
fn protobuf_is_answered_and_reads_the_same_again() {
    let inputs: Vec<Vec<u8>> = objects().iter().map(written).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let words = ["k8s\0", "\x0a", "\x12", "\x1a\x02", "v1", "Pod", "Secret"];
    let corpus = Corpus {
        inputs: &inputs,
        words: &words,
    };
    fuzz::run("protobuf", corpus, |bytes| match protobuf::decode(bytes) {
        Err(error) => error.to_string(),
        Ok(object) => match protobuf::encode(&object) {
            Err(error) => format!("cannot be written: {error}"),
            Ok(again) => {
                let once = protobuf::decode(&again.bytes).expect("what was written is read");
                let twice = protobuf::encode(&once).expect("what was read is written");
                assert!(twice.bytes == again.bytes, "written twice, two ways");
                normalized(&once)
            }
        },
    });
}

/// What the schema says of an object; normalising twice is normalising once.
fn normalized(object: &Map<String, Value>) -> String {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let gvk = GroupVersionKind::from_api_version(text("apiVersion"), text("kind"));
    let Some(schema) = schema::lookup(&gvk) else {
        return "of an unknown kind".to_owned();
    };
    let mut once = object.clone();
    match schema.normalize(&mut once) {
        Err(error) => error.to_string(),
        Ok(unknown) => {
            let mut twice = once.clone();
            let again = schema.normalize(&mut twice).expect("what is normal stays so");
            assert!(
                again.0.is_empty() && twice == once,
                "normalising twice changes {once:?} to {twice:?}"
            );
            format!("{} with {} unknown fields", gvk.kind, unknown.0.len().min(3))
        }
    }
}

#[test]
fn json_and_yaml_are_answered_and_normal_objects_stay_normal() {
    let json: Vec<String> = objects().iter().map(ToString::to_string).collect();
    let yaml = [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: &l {k: v}}\nspec:\n  containers:\n  - name: c\n    args: [\"a\", 'b', |\n      c]\n",
        "a: !!str 1\nb: *a\nc: ? [x]\n: y\n--- \n- 1e3\n- 0x1F\n- ~\n- .inf\n- 2026-01-02\n",
    ];
    let inputs: Vec<&[u8]> = json
        .iter()
        .map(String::as_bytes)
        .chain(yaml.map(str::as_bytes))
        .collect();
    let words = [
        "null",
        "true",
        "\\u0000",
        "\\ud800",
        "1e999",
        "\"a\":",
        "\n  ",
        "- ",
        "&x ",
        "*x",
        "!!binary ",
        "<<: ",
    ];
    let corpus = Corpus {
        inputs: &inputs,
        words: &words,
    };
    fuzz::run("json and yaml", corpus, |bytes| {
        let told = |decoded: Result<decode::Decoded, decode::DecodeError>| match decoded {
            Err(error) => error.to_string(),
            Ok(decoded) => match decoded.value {
                Value::Object(object) => normalized(&object),
                other => format!("{:?}", std::mem::discriminant(&other)),
            },
        };
        format!("{} / {}", told(decode::json(bytes)), told(decode::yaml(bytes)))
    });
}

#[test]
fn selectors_are_answered_and_read_the_same_again() {
    let inputs: [&[u8]; 6] = [
        b"a=b,c!=d,e in (f,g),h notin (i),!j,k",
        b"x.example.com/y==z",
        b"n>5,m<7",
        b"metadata.name=a,spec.nodeName!=b",
        b"a=b\\,c\\=d",
        b" a in ( ) ",
    ];
    let words = [" in ", " notin ", "(", ")", ",", "!=", "==", "\\,", "\\\\"];
    let corpus = Corpus {
        inputs: &inputs,
        words: &words,
    };
    fuzz::run("selectors", corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let labels = match LabelSelector::parse(&text) {
            Err(error) => error.to_string(),
            Ok(selector) => {
                let again = LabelSelector::parse(&selector.to_string()).expect("what was written is read");
                assert_eq!(again, selector, "{text}");
                let found = selector.matches_with(|key| key.starts_with('a').then_some("b"));
                format!("{} {found}", selector.requirements().len().min(4))
            }
        };
        let fields = match FieldSelector::parse(&text) {
            Err(error) => error.to_string(),
            Ok(selector) => format!("{}", selector.matches(|_| Some("b"))),
        };
        format!("{labels} / {fields}")
    });
}

#[test]
fn quantities_are_answered_and_canonical_ones_stay_so() {
    let inputs: [&[u8]; 8] = [
        b"1",
        b"100m",
        b"1.5Gi",
        b"-3e6",
        b"12E",
        b".5",
        b"9223372036854775807",
        b"0.000000001",
    ];
    let words = ["Ki", "Mi", "Ei", "E", "e", "m", "u", "n", "-", "+", ".", "e-", "E+"];
    let corpus = Corpus {
        inputs: &inputs,
        words: &words,
    };
    fuzz::run("quantities", corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match quantity::parse(&text) {
            Err(error) => error.to_string(),
            Ok(amount) => {
                let canonical = amount.to_string();
                let again = quantity::parse(&canonical).unwrap_or_else(|error| panic!("{text} → {canonical}: {error}"));
                assert_eq!(again.to_string(), canonical, "{text}");
                assert_eq!((again.sign(), again.value()), (amount.sign(), amount.value()), "{text}");
                format!("{:?} {} {}", amount.format(), amount.sign(), amount.is_integer())
            }
        }
    });
}
