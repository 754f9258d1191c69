//! `scale`: the replicas of a workload as an `autoscaling/v1` Scale.

use kube_types::dynamic::{Object, Value, json};
use kube_types::meta;
use kube_types::selector::LabelSelector;
use serde::Deserialize;

use crate::columns::{at, labels, number, string};
use crate::kinds::ScalePaths;
use crate::request::Reply;
use crate::status::{StatusError, Subject};

/// The scale of an object.
pub(crate) fn view(paths: &ScalePaths, object: &Object) -> Object {
    let text = |field: &str| object.metadata_text(field).unwrap_or_default().to_owned();
    let (replicas, present) = match paths {
        ScalePaths::Custom(scale) => (scale.replicas(&object.0).unwrap_or(0), scale.status_replicas(&object.0)),
        _ => (
            number(&object.0, &["spec", "replicas"]),
            number(&object.0, &["status", "replicas"]),
        ),
    };
    let mut scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": text("name"), "namespace": text("namespace"), "uid": text("uid"),
            "resourceVersion": text("resourceVersion"), "creationTimestamp": text("creationTimestamp")},
        "spec": {}, "status": {"replicas": present}});
    if replicas != 0 {
        scale["spec"]["replicas"] = replicas.into();
    }
    let selector = match paths {
        ScalePaths::Custom(scale) => scale.selector(&object.0).to_owned(),
        _ => selector_text(paths, at(&object.0, &["spec", "selector"])),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    match scale {
        Value::Object(map) => Object(map),
        _ => Object::default(),
    }
}

fn selector_text(paths: &ScalePaths, selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    if *paths == ScalePaths::Map {
        return labels(Some(selector)).replace("<none>", "");
    }
    match meta::LabelSelector::deserialize(selector) {
        Ok(typed) => LabelSelector::from_typed(&typed)
            .map(|selector| selector.to_string())
            .unwrap_or_default(),
        Err(error) => {
            tracing::debug!(%error, "selector cannot be shown in a scale");
            String::new()
        }
    }
}

/// Sets an object's replicas as a scale says.
pub(crate) fn apply(paths: &ScalePaths, scale: &Object, object: &mut Object) -> Result<(), StatusError> {
    let replicas = number(&scale.0, &["spec", "replicas"]);
    let name = string(&scale.0, &["metadata", "name"]);
    if replicas < 0 {
        let mut errors = object_rules::field::Errors::new();
        errors.invalid("spec.replicas", replicas, "must be greater than or equal to 0");
        return Err(StatusError::invalid(
            &Subject::new("autoscaling", "Scale"),
            name,
            &errors,
        ));
    }
    if let ScalePaths::Custom(scale) = paths {
        scale.set_replicas(&mut object.0, replicas);
        return Ok(());
    }
    if let Some(spec) = object.0.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    Ok(())
}

/// A scale can be read only where the replicas wanted are given.
pub(crate) fn check(paths: &ScalePaths, object: &Object) -> Result<(), StatusError> {
    match paths {
        ScalePaths::Custom(scale) if scale.replicas(&object.0).is_none() => {
            let problem = format!("the spec replicas field \"{}\" does not exist", scale.replicas_path);
            Err(StatusError::internal(problem))
        }
        _ => Ok(()),
    }
}

/// The answer to a request for a scale.
pub(crate) fn render(scale: &Object) -> Result<Reply, StatusError> {
    Ok(Reply::ok(serde_json::to_vec(scale).map_err(StatusError::internal)?))
}
