//! Between versions of one kind. Two kinds have more than one version: events and horizontal pod autoscalers.

use kube_types::dynamic::{Map, Object, Value, json};

use crate::kinds::ResourceKind;

/// Brings an object from one version of its kind into another.
pub(crate) fn convert(mut object: Object, from: &ResourceKind, to: &ResourceKind) -> Object {
    match (&*from.group, &*from.version, &*to.group, &*to.version) {
        ("events.k8s.io", _, "", _) => rename(&mut object.0, EVENT_FIELDS, false),
        ("", _, "events.k8s.io", _) => rename(&mut object.0, EVENT_FIELDS, true),
        ("autoscaling", "v1", "autoscaling", "v2") => autoscaler_to_v2(&mut object),
        ("autoscaling", "v2", "autoscaling", "v1") => autoscaler_to_v1(&mut object),
        _ => {}
    }
    object.0.insert("kind".to_owned(), (*to.kind).into());
    object.0.insert("apiVersion".to_owned(), to.api_version().into());
    object
}

/// Names of the same fields in core/v1 and in events.k8s.io/v1.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename(object: &mut Map<String, Value>, fields: &[(&str, &str)], to_new: bool) {
    for (old, new) in fields {
        let (from, to) = if to_new { (old, new) } else { (new, old) };
        if let Some(value) = object.shift_remove(*from) {
            object.insert((*to).to_owned(), value);
        }
    }
}

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Where the older version keeps, as annotations, what it has no fields for: section, field, annotation.
const ANNOTATED: &[(&str, &str, &str)] = &[
    ("spec", "metrics", METRICS),
    ("spec", "behavior", BEHAVIOR),
    ("status", "currentMetrics", CURRENT),
    ("status", "conditions", CONDITIONS),
];

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric["resource"]["name"] == "cpu"
}

fn autoscaler_to_v1(object: &mut Object) {
    for (section, list, of, number) in [
        ("spec", "metrics", "target", "targetCPUUtilizationPercentage"),
        ("status", "currentMetrics", "current", "currentCPUUtilizationPercentage"),
    ] {
        let Some(section) = object.0.get_mut(section).and_then(Value::as_object_mut) else {
            continue;
        };
        let Some(Value::Array(metrics)) = section.get_mut(list) else {
            continue;
        };
        let at = metrics
            .iter()
            .position(|metric| is_cpu_utilization(metric) && metric["resource"][of]["averageUtilization"].is_number());
        if let Some(at) = at {
            let metric = metrics.remove(at);
            section.insert(number.to_owned(), metric["resource"][of]["averageUtilization"].clone());
        }
    }
    for (section, field, annotation) in ANNOTATED {
        let value = object
            .0
            .get_mut(*section)
            .and_then(Value::as_object_mut)
            .and_then(|s| s.shift_remove(*field));
        let value = value.filter(|value| value.as_array().is_none_or(|list| !list.is_empty()));
        if let Some(value) = value {
            let annotations = object.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
            annotations[*annotation] = value.to_string().into();
        }
    }
}

fn autoscaler_to_v2(object: &mut Object) {
    for (section, field, annotation) in ANNOTATED {
        let annotations = object
            .metadata_mut()
            .get_mut("annotations")
            .and_then(Value::as_object_mut);
        let Some(text) = annotations.and_then(|annotations| annotations.shift_remove(*annotation)) else {
            continue;
        };
        let value = text.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let (Some(value), Some(section)) = (value, object.0.get_mut(*section).and_then(Value::as_object_mut)) {
            section.insert((*field).to_owned(), value);
        }
    }
    for (section, list, of, number) in [
        ("spec", "metrics", "target", "targetCPUUtilizationPercentage"),
        ("status", "currentMetrics", "current", "currentCPUUtilizationPercentage"),
    ] {
        let Some(section) = object.0.get_mut(section).and_then(Value::as_object_mut) else {
            continue;
        };
        let Some(percent) = section.shift_remove(number) else {
            continue;
        };
        let mut usage = json!({"averageUtilization": percent});
        if of == "target" {
            usage["type"] = "Utilization".into();
        }
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", of: usage}});
        if let Value::Array(metrics) = section.entry(list).or_insert_with(|| json!([])) {
            metrics.insert(0, metric);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KindTable;
    use kube_types::GroupVersionKind;

    fn round_trip(from: (&str, &str, &str), to: (&str, &str, &str), value: Value) -> (Value, Value) {
        let table = KindTable::built_in();
        let kind = |(g, v, k): (&str, &str, &str)| table.by_kind(&GroupVersionKind::new(g, v, k)).unwrap().clone();
        let (from, to) = (kind(from), kind(to));
        let there = convert(Object::from_value(value).unwrap(), &from, &to);
        let back = convert(there.clone(), &to, &from);
        (Value::Object(there.0), Value::Object(back.0))
    }

    #[test]
    fn events_have_the_same_fields_under_other_names() {
        let event = json!({"kind": "Event", "apiVersion": "v1", "metadata": {"name": "e"}, "reason": "R",
            "involvedObject": {"kind": "Pod"}, "message": "m", "reportingComponent": "c", "count": 2});
        let (new, back) = round_trip(("", "v1", "Event"), ("events.k8s.io", "v1", "Event"), event.clone());
        assert_eq!(new["note"], "m");
        assert_eq!(new["regarding"]["kind"], "Pod");
        assert_eq!(new["apiVersion"], "events.k8s.io/v1");
        assert_eq!(back, event);
    }

    #[test]
    fn the_older_autoscaler_keeps_in_annotations_what_it_cannot_say() {
        let v2 = json!({"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata":
            {"name": "h", "annotations": {"a": "b"}}, "spec": {"maxReplicas": 3, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50, "type": "Utilization"}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"averageValue": "1Gi", "type": "AverageValue"}}}]}});
        let hpa = |version| ("autoscaling", version, "HorizontalPodAutoscaler");
        let (v1, back) = round_trip(hpa("v2"), hpa("v1"), v2.clone());
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 50);
        assert!(
            v1["metadata"]["annotations"][METRICS]
                .as_str()
                .unwrap()
                .contains("memory")
        );
        assert_eq!(back, v2);
    }
}
