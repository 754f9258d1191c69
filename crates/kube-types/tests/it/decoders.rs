//! Decoders on bytes that nobody meant: whatever comes in, they answer and do not panic.

use kube_types::dynamic::{Map, Value, json};
use kube_types::selector::{FieldSelector, LabelSelector};
use kube_types::{decode, protobuf, quantity};
use proptest::prelude::*;

/// `ONDOL_TEST_FUZZ_CASES` makes a long run of it.
fn cases() -> u32 {
    let wanted = std::env::var("ONDOL_TEST_FUZZ_CASES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(400)
}

fn pod() -> Map<String, Value> {
    let pod = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": "a", "labels": {"k": "v"}, "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}],
            "tolerations": [{"operator": "Exists", "tolerationSeconds": 3}]}});
    pod.as_object().cloned().unwrap()
}

/// Nothing is asked of the answer but that it comes.
fn swallow<T>(answer: T) {
    drop(answer);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        swallow(decode::json(&bytes));
        swallow(decode::yaml(&bytes));
        swallow(protobuf::decode(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        swallow(LabelSelector::parse(&text));
        swallow(FieldSelector::parse(&text));
        swallow(quantity::parse(&text));
    }

    #[test]
    fn a_damaged_object_in_protobuf_is_answered(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = protobuf::encode(&pod()).unwrap().bytes;
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        swallow(protobuf::decode(&bytes));
        bytes.truncate(end.index(bytes.len()));
        swallow(protobuf::decode(&bytes));
    }

    #[test]
    fn what_was_decoded_can_be_written_and_reads_the_same(name in "\\PC{0,20}", seconds in any::<i64>(), image in "\\PC*") {
        let mut pod = pod();
        pod["metadata"]["name"] = name.into();
        pod["spec"]["activeDeadlineSeconds"] = seconds.into();
        pod["spec"]["containers"][0]["image"] = image.into();
        let once = protobuf::decode(&protobuf::encode(&pod).unwrap().bytes).unwrap();
        let twice = protobuf::decode(&protobuf::encode(&once).unwrap().bytes).unwrap();
        prop_assert_eq!(&once["spec"]["activeDeadlineSeconds"], &pod["spec"]["activeDeadlineSeconds"]);
        prop_assert_eq!(once, twice);
    }
}
