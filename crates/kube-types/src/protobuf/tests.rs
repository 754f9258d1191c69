//! Bodies written field by field, as upstream's encoder writes them.

use super::*;
use crate::dynamic::json;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn bytes(tag: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn number(tag: u64, value: i64) -> Vec<u8> {
    [varint(tag << 3), varint(value.cast_unsigned())].concat()
}

fn read(bytes: &[u8]) -> Result<Value, ProtobufError> {
    decode(bytes).map(Value::Object)
}

fn envelope(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let type_meta = [bytes(1, api_version), bytes(2, kind)].concat();
    [
        MAGIC.to_vec(),
        bytes(1, type_meta),
        bytes(2, raw),
        bytes(3, ""),
        bytes(4, ""),
    ]
    .concat()
}

#[test]
fn a_deployment_reads_as_its_json() {
    let metadata = [
        bytes(1, "web"),
        bytes(3, ""),
        bytes(8, ""),
        bytes(11, [bytes(1, "app"), bytes(2, "web")].concat()),
    ]
    .concat();
    let limit = [bytes(1, "cpu"), bytes(2, bytes(1, "500m"))].concat();
    let port = [bytes(1, ""), number(2, 0), number(3, 80)].concat();
    let container = [
        bytes(1, "c"),
        bytes(3, "sh"),
        bytes(3, "-c"),
        bytes(6, port),
        bytes(8, bytes(1, limit)),
    ]
    .concat();
    let volume = [bytes(1, "v"), bytes(2, bytes(2, bytes(1, "Memory")))].concat();
    let spec = [bytes(1, volume), bytes(2, container), number(4, 0), number(11, 0)].concat();
    let template = bytes(2, spec);
    let surge = [number(1, 1), number(2, 0), bytes(3, "25%")].concat();
    let strategy = [bytes(1, ""), bytes(2, bytes(2, surge))].concat();
    let raw = [
        bytes(1, metadata),
        bytes(
            2,
            [number(1, 0), bytes(3, template), bytes(4, strategy), number(5, 0)].concat(),
        ),
    ];
    assert_eq!(
        read(&envelope("apps/v1", "Deployment", raw.concat())).unwrap(),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {
                "replicas": 0,
                "template": {"spec": {
                    "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}],
                    "containers": [{"name": "c", "command": ["sh", "-c"], "ports": [{"containerPort": 80}],
                                    "resources": {"limits": {"cpu": "500m"}}}],
                    "terminationGracePeriodSeconds": 0,
                }},
                "strategy": {"rollingUpdate": {"maxSurge": "25%"}},
            },
        })
    );
}

#[test]
fn scalars_of_their_own_form() {
    let time = [number(1, 1_767_225_600), number(2, 0)].concat();
    let owner = [bytes(1, "Pod"), number(6, 0)].concat();
    let metadata = [bytes(8, time.clone()), bytes(13, owner)].concat();
    let secret = [
        bytes(1, metadata),
        bytes(2, [bytes(1, "k"), bytes(2, b"\x00\xff")].concat()),
    ]
    .concat();
    assert_eq!(
        read(&envelope("v1", "Secret", secret)).unwrap(),
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "AP8="},
               "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{"kind": "Pod", "controller": false}]}})
    );
    let lease = bytes(2, [bytes(1, "me"), bytes(3, [time, number(2, 5000)].concat())].concat());
    assert_eq!(
        read(&envelope("coordination.k8s.io/v1", "Lease", lease)).unwrap()["spec"],
        json!({"holderIdentity": "me", "acquireTime": "2026-01-01T00:00:00.000005Z"})
    );
    let extra = bytes(
        5,
        [bytes(1, "k"), bytes(2, [bytes(1, "a"), bytes(1, "b")].concat())].concat(),
    );
    let review = bytes(2, extra);
    let read = read(&envelope("authorization.k8s.io/v1", "SubjectAccessReview", review)).unwrap();
    assert_eq!(read["spec"], json!({"extra": {"k": ["a", "b"]}}));
}

#[test]
fn options_of_a_deletion_belong_to_every_group() {
    let raw = [number(1, 0), bytes(4, "Background")].concat();
    let read = read(&envelope("apps/v1", "DeleteOptions", raw)).unwrap();
    assert_eq!(read["gracePeriodSeconds"], 0);
    assert_eq!(read["propagationPolicy"], "Background");
}

#[test]
fn malformed_bodies_are_refused() {
    assert_eq!(decode(b"{}"), Err(ProtobufError::Magic));
    assert!(matches!(
        decode(&envelope("v1", "Nonsense", Vec::new())),
        Err(ProtobufError::UnknownKind { .. })
    ));
    for broken in [
        vec![0x0a, 0x05, b'x'],
        vec![0x08],
        vec![0x07],
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(matches!(
            decode(&envelope("v1", "Pod", broken)),
            Err(ProtobufError::Malformed(_))
        ));
    }
    // A number where a message belongs.
    assert!(matches!(
        decode(&envelope("v1", "Pod", number(1, 5))),
        Err(ProtobufError::Malformed(_))
    ));
    let deep = (0..200).fold(Vec::new(), |inner, _| bytes(8, bytes(1, inner)));
    let crd = bytes(2, bytes(7, bytes(4, bytes(1, deep))));
    let outcome = decode(&envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd));
    assert!(!matches!(outcome, Err(ProtobufError::UnknownKind { .. })));
}

#[test]
fn an_eviction_of_the_earlier_version_is_read() {
    let eviction = serde_json::json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": "a", "namespace": "b"}, "deleteOptions": {"gracePeriodSeconds": 3}});
    let envelope = encode(eviction.as_object().unwrap()).unwrap();
    let mut bytes = head("policy/v1beta1", "Eviction");
    bytes.extend_from_slice(&envelope.bytes[envelope.content.clone()]);
    bytes.extend_from_slice(TAIL);
    let read = decode(&bytes).unwrap();
    assert_eq!(read["apiVersion"], "policy/v1beta1");
    assert_eq!(read["metadata"]["name"], "a");
    assert_eq!(read["deleteOptions"]["gracePeriodSeconds"], 3);
}
