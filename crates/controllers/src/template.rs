//! Pod templates: their hash, and when two are the same.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;

/// Label that tells the pods of one ReplicaSet from those of its siblings.
pub(crate) const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Letters and digits of upstream's safe names: no vowels, so that no words appear.
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template, as it stands in names and labels.
///
/// FNV-1a of the template's JSON, whose maps are ordered, written in upstream's safe alphabet. The digits differ from those
/// of upstream's hash, which is made of Go's memory layout; clients treat it as opaque.
pub(crate) fn hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    // A template is plain data: its serialisation has no failing case.
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    if let Some(count) = collision_count {
        bytes.extend_from_slice(&count.to_le_bytes());
    }
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    hash.to_string()
        .bytes()
        .map(|digit| char::from(SAFE[usize::from(digit) % SAFE.len()]))
        .collect()
}

/// Are the templates the same but for the hash label? Source of the rule: `EqualIgnoreHash`.
pub(crate) fn same(left: &PodTemplateSpec, right: &PodTemplateSpec) -> bool {
    normal(left) == normal(right)
}

/// Was the set made from `template`?
pub(crate) fn is_of(set: &ReplicaSet, template: &PodTemplateSpec) -> bool {
    set.spec
        .as_ref()
        .and_then(|spec| spec.template.as_ref())
        .is_some_and(|own| same(own, template))
}

fn normal(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    if let Some(metadata) = &mut template.metadata {
        if let Some(labels) = &mut metadata.labels {
            labels.remove(POD_TEMPLATE_HASH);
        }
        metadata.labels = metadata.labels.take().filter(|labels| !labels.is_empty());
        metadata.annotations = metadata
            .annotations
            .take()
            .filter(|annotations| !annotations.is_empty());
    }
    template.metadata = template.metadata.filter(|metadata| *metadata != Default::default());
    template
}
