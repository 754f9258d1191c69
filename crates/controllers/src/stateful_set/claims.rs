//! The volume claims of a StatefulSet's pods: made before the pod, kept or removed as the retention policy says.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use plan::{Change, EventRecord, MetadataPatch, Step, Target, controller_reference, object_reference};

use super::State;

/// The claims that a pod's templates give it, by the template's name.
pub(super) fn of(state: &State<'_>, pod: &Pod) -> Vec<(String, PersistentVolumeClaim)> {
    let spec = state.set.spec.as_ref();
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let selected = spec
        .and_then(|spec| spec.selector.match_labels.clone())
        .unwrap_or_default();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_ref());
    let one = |template: &PersistentVolumeClaim| {
        let name = template.metadata.name.clone().unwrap_or_default();
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(selected.clone());
        let claim = PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{pod_name}")),
                namespace: state.set.metadata.namespace.clone(),
                labels: (!labels.is_empty()).then_some(labels),
                annotations: template.metadata.annotations.clone(),
                owner_references: owners(state, pod, None, false),
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        };
        (name, claim)
    };
    templates.into_iter().flatten().map(one).collect()
}

/// Makes the claims of a pod that are not there.
pub(super) fn missing(state: &State<'_>, pod: &Pod) -> Vec<Step> {
    let namespace = state.set.metadata.namespace.as_deref().unwrap_or_default();
    let absent = |claim: &PersistentVolumeClaim| {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        state.world.persistent_volume_claims.named(namespace, name).is_none()
    };
    let claims = of(state, pod).into_iter().map(|(_, claim)| claim);
    claims.filter(absent).map(|claim| creation(state, pod, claim)).collect()
}

fn creation(state: &State<'_>, pod: &Pod, claim: PersistentVolumeClaim) -> Step {
    let what = format!(
        "create Claim {} Pod {} in StatefulSet {}",
        claim.metadata.name.as_deref().unwrap_or_default(),
        pod.metadata.name.as_deref().unwrap_or_default(),
        state.set.metadata.name.as_deref().unwrap_or_default()
    );
    let subject = || object_reference(state.set);
    Step::from(Change::create(claim))
        .succeeding_with(EventRecord::normal(
            subject(),
            "SuccessfulCreate",
            format!("{what} success"),
        ))
        .failing_with(EventRecord::warning(
            subject(),
            "FailedCreate",
            format!("{what} failed error: {{error}}"),
        ))
}

/// Makes the owners of a pod's claims those that the retention policy asks for; `condemned` says that the set has shrunk below the pod.
pub(super) fn corrections(state: &State<'_>, pod: &Pod, condemned: bool) -> Vec<Step> {
    let namespace = state.set.metadata.namespace.as_deref().unwrap_or_default();
    let mut steps = Vec::new();
    for (_, claim) in of(state, pod) {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let Some(known) = state.world.persistent_volume_claims.named(namespace, name) else {
            continue;
        };
        let before = known.metadata.owner_references.clone().unwrap_or_default();
        let after = owners(state, pod, Some(&before), condemned).unwrap_or_default();
        if before != after {
            let patch = MetadataPatch {
                owner_references: Some(after),
                ..MetadataPatch::default()
            };
            steps.push(
                Change::PatchMetadata {
                    target: Target::unchanged(known.as_ref()),
                    patch,
                }
                .into(),
            );
        }
    }
    steps
}

/// The owner references of a pod's claim: the set, when claims go with it; the pod, when claims go as the set shrinks and it has. References to others
/// stay. Source of the rule: `updateClaimOwnerRefForSetAndPod`.
fn owners(
    state: &State<'_>,
    pod: &Pod,
    before: Option<&[OwnerReference]>,
    condemned: bool,
) -> Option<Vec<OwnerReference>> {
    let spec = state.set.spec.as_ref();
    let policy = spec.and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |choice: Option<&String>| choice.is_some_and(|choice| choice == "Delete");
    let with_set = deletes(policy.and_then(|policy| policy.when_deleted.as_ref()));
    let with_scale = deletes(policy.and_then(|policy| policy.when_scaled.as_ref()));
    let is_set = |owner: &OwnerReference| Some(&owner.uid) == state.set.metadata.uid.as_ref();
    let is_pod = |owner: &OwnerReference| owner.kind == "Pod" && Some(&owner.name) == pod.metadata.name.as_ref();
    let mut owners: Vec<OwnerReference> = before.unwrap_or_default().to_vec();
    owners.retain(|owner| !is_pod(owner) && !is_set(owner));
    match (with_set, with_scale && condemned) {
        (_, true) => owners.push(controller_reference(pod)),
        (true, false) => owners.push(controller_reference(state.set)),
        (false, false) => {}
    }
    (!owners.is_empty()).then_some(owners)
}
