//! A numbered pod: its name, its identity, its volumes.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, Volume};
use plan::{Change, Step, controller_reference};

use super::{State, claims};
use crate::daemon_set::REVISION_HASH;
use crate::pod;

/// Label with the pod's own name, so that a Service can select one pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label with the pod's number.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The set's name and the pod's number, as the pod's name tells them: `web-0`.
pub(super) fn parent(pod: &Pod) -> Option<(&str, i32)> {
    let (set, number) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then_some((set, number.parse().ok()?))
}

/// The revision that a pod was made from.
pub(super) fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(REVISION_HASH).map(String::as_str)
}

/// A new pod with this number.
pub(super) fn make(state: &State<'_>, ordinal: i32) -> Pod {
    let (revision, template) = if state.is_behind(ordinal) {
        &state.current
    } else {
        &state.update
    };
    let set = state.set;
    let set_name = set.metadata.name.as_deref().unwrap_or_default();
    let namespace = set.metadata.namespace.as_deref();
    let mut pod = pod::from_template(template, namespace, set_name, controller_reference(set));
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(format!("{set_name}-{ordinal}"));
    identify(state, &mut pod, ordinal);
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = pod.metadata.name.clone();
    spec.subdomain = set.spec.as_ref().and_then(|spec| spec.service_name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_HASH.to_owned(), revision.clone());
    mount(state, &mut pod);
    pod
}

fn identify(state: &State<'_>, pod: &mut Pod, ordinal: i32) {
    let name = pod.metadata.name.clone().unwrap_or_default();
    pod.metadata.namespace.clone_from(&state.set.metadata.namespace);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.to_owned(), name);
    labels.insert(POD_INDEX.to_owned(), ordinal.to_string());
}

/// A volume for each claim template, in the place of one of the same name.
fn mount(state: &State<'_>, pod: &mut Pod) {
    let claimed: Vec<Volume> = claims::of(state, pod)
        .into_iter()
        .map(|(template, claim)| Volume {
            name: template,
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.metadata.name.unwrap_or_default(),
                read_only: None,
            }),
            ..Volume::default()
        })
        .collect();
    if claimed.is_empty() {
        return;
    }
    let spec = pod.spec.get_or_insert_default();
    let mut others = spec.volumes.take().unwrap_or_default();
    others.retain(|volume| claimed.iter().all(|claim| claim.name != volume.name));
    spec.volumes = Some(claimed.into_iter().chain(others).collect());
}

/// Gives a pod back the labels that make it the set's, if somebody took them.
pub(super) fn correction(state: &State<'_>, pod: &Pod) -> Option<Step> {
    let (_, ordinal) = parent(pod)?;
    let mut right = pod.clone();
    identify(state, &mut right, ordinal);
    if right == *pod || pod::is_deleting(pod) {
        return None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    Some(state.about(Change::update(right.clone()), "update", &format!("Pod {name}")))
}
