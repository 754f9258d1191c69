//! Which updates of a pod can make it ask for more.
//!
//! Source: `isSignificantPodUpdate` of `k8s.io/pod-security-admission/admission`.

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// Whether a pod has to be looked at again: another image, other containers, one more ephemeral container. What else
/// can change of a pod is nothing that a rule is about.
#[must_use]
pub fn is_significant_update(old: &PodSpec, new: &PodSpec) -> bool {
    let inits = |spec: &'_ PodSpec| spec.init_containers.clone().unwrap_or_default();
    if differ(&old.containers, &new.containers) || differ(&inits(old), &inits(new)) {
        return true;
    }
    let known = old.ephemeral_containers.as_deref().unwrap_or_default();
    new.ephemeral_containers.iter().flatten().any(|one| {
        let before = known.iter().find(|before| before.name == one.name);
        before.is_none_or(|before| image(before.image.as_ref()) != image(one.image.as_ref()))
    })
}

fn differ(old: &[Container], new: &[Container]) -> bool {
    let images =
        |list: &[Container]| -> Vec<String> { list.iter().map(|one| image(one.image.as_ref()).to_owned()).collect() };
    images(old) != images(new)
}

/// No image and an empty one are the same.
fn image(given: Option<&String>) -> &str {
    given.map_or("", String::as_str)
}
