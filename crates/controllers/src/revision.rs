//! What a ControllerRevision holds: the patch that restores a pod template, for `kubectl rollout undo` and for pods of an older revision.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube_types::dynamic::Object;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Data {
    spec: Spec,
}

#[derive(Serialize, Deserialize)]
struct Spec {
    template: Template,
}

#[derive(Serialize, Deserialize)]
struct Template {
    #[serde(rename = "$patch")]
    patch: String,
    #[serde(flatten)]
    template: PodTemplateSpec,
}

/// The patch of a template.
pub(crate) fn data(template: &PodTemplateSpec) -> Option<RawExtension> {
    let data = Data {
        spec: Spec {
            template: Template {
                patch: "replace".to_owned(),
                template: template.clone(),
            },
        },
    };
    // A template is plain data: its serialisation has no failing case.
    let object = Object::from_typed(&data).ok()?;
    Some(RawExtension(object.0.into()))
}

/// The template that a revision restores, if it is one of ours or upstream's.
pub(crate) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let data: Data = serde_json::from_value(revision.data.as_ref()?.0.clone()).ok()?;
    Some(data.spec.template.template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_comes_back_as_it_was() {
        let text = r#"{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
        let before: PodTemplateSpec = serde_json::from_str(text).unwrap();
        let revision = ControllerRevision {
            data: data(&before),
            ..ControllerRevision::default()
        };
        assert_eq!(template(&revision), Some(before));
    }
}
