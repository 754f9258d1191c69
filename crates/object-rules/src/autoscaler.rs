//! Horizontal pod autoscalers. Source: `pkg/apis/autoscaling/{v2/defaults.go,validation}`.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, count, default, ensure, int, items, text};

#[cfg(test)]
mod tests;

pub(crate) static HORIZONTAL_POD_AUTOSCALER: Rules = Rules {
    defaults: |scaler| {
        let Some(spec) = child_mut(&mut scaler.0, "spec") else {
            return;
        };
        default(spec, "minReplicas", 1);
        if count(spec, "metrics") == 0 {
            spec.insert(
                "metrics".to_owned(),
                json!([{"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 80}}}]),
            );
        }
        if let Some(behavior) = child_mut(spec, "behavior") {
            let doubled = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
            let four = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
            scaling(ensure(behavior, "scaleUp"), Some(0), json!([four, doubled]));
            scaling(ensure(behavior, "scaleDown"), None, json!([doubled]));
        }
    },
    validate,
    status: true,
    ..Rules::NAMED
};

fn scaling(rules: &mut Node, window: Option<i64>, policies: Value) {
    if let Some(seconds) = window {
        default(rules, "stabilizationWindowSeconds", seconds);
    }
    default(rules, "selectPolicy", "Max");
    if count(rules, "policies") == 0 {
        rules.insert("policies".to_owned(), policies);
    }
}

fn validate(scaler: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&scaler.0, "spec").unwrap_or(&empty);
    let (least, most) = (
        int(spec, "minReplicas").unwrap_or(1),
        int(spec, "maxReplicas").unwrap_or(0),
    );
    if least < 1 {
        errors.invalid("spec.minReplicas", least, "must be greater than or equal to 1");
    }
    if most < 1 {
        errors.invalid("spec.maxReplicas", most, "must be greater than 0");
    } else if most < least {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.invalid("spec.maxReplicas", most, detail);
    }
    let target = child(spec, "scaleTargetRef").unwrap_or(&empty);
    for field in ["kind", "name"] {
        if text(target, field).is_empty() {
            errors.required(format!("spec.scaleTargetRef.{field}"), "");
        }
    }
    for (index, metric) in items(spec, "metrics").enumerate() {
        self::metric(metric, &format!("spec.metrics[{index}]"), errors);
    }
    if let Some(behavior) = child(spec, "behavior") {
        for direction in ["scaleUp", "scaleDown"] {
            if let Some(rules) = child(behavior, direction) {
                self::behavior(rules, &format!("spec.behavior.{direction}"), errors);
            }
        }
    }
}

/// Types of metrics, the field that each is described by, and what may be its target.
const METRICS: &[(&str, &str)] = &[
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn metric(metric: &Node, path: &str, errors: &mut Errors) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        return errors.required(format!("{path}.type"), "must specify a metric source type");
    }
    let Some((_, field)) = METRICS.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
        return errors.not_supported(format!("{path}.type"), kind, &names);
    };
    let Some(source) = child(metric, field) else {
        let detail = "must populate information for the given metric source";
        return errors.required(format!("{path}.{field}"), detail);
    };
    for (_, other) in METRICS.iter().filter(|(_, other)| other != field) {
        if metric.contains_key(*other) {
            let detail = "must populate the given metric source only";
            errors.forbidden(format!("{path}.{other}"), detail);
        }
    }
    let at = format!("{path}.{field}");
    if field.to_lowercase().ends_with("resource") && text(source, "name").is_empty() {
        errors.required(format!("{at}.name"), "must specify a resource name");
    }
    if *field == "containerResource" && text(source, "container").is_empty() {
        errors.required(format!("{at}.container"), "must specify a container");
    }
    let empty = Node::new();
    let target = child(source, "target").unwrap_or(&empty);
    self::target(target, kind, &at, errors);
}

fn target(target: &Node, kind: &str, path: &str, errors: &mut Errors) {
    match text(target, "type") {
        "" => errors.required(format!("{path}.target.type"), "must specify a metric target type"),
        "Utilization" | "Value" | "AverageValue" => {}
        other => errors.invalid(
            format!("{path}.target.type"),
            other,
            "must be either Utilization, Value, or AverageValue",
        ),
    }
    if let Some(percent) = int(target, "averageUtilization").filter(|percent| *percent < 1) {
        let detail = "must be greater than 0";
        errors.invalid(format!("{path}.target.averageUtilization"), percent, detail);
    }
    let given = |field: &str| target.contains_key(field);
    match kind {
        "Resource" | "ContainerResource" => match (given("averageUtilization"), given("averageValue")) {
            (false, false) => errors.required(
                format!("{path}.target.averageUtilization"),
                "must set either a target raw value or a target utilization",
            ),
            (true, true) => errors.forbidden(
                format!("{path}.target.averageValue"),
                "may not set both a target raw value and a target utilization",
            ),
            _ => {}
        },
        "Pods" if !given("averageValue") => errors.required(
            format!("{path}.target.averageValue"),
            "must specify a positive target averageValue",
        ),
        "External" | "Object" if !given("value") && !given("averageValue") => errors.required(
            format!("{path}.target.averageValue"),
            "must set either a target value or averageValue",
        ),
        _ => {}
    }
}

fn behavior(rules: &Node, path: &str, errors: &mut Errors) {
    if let Some(seconds) = int(rules, "stabilizationWindowSeconds") {
        let at = format!("{path}.stabilizationWindowSeconds");
        if seconds < 0 {
            errors.invalid(at, seconds, "must be greater than or equal to zero");
        } else if seconds > 3600 {
            errors.invalid(at, seconds, "must be less than or equal to 3600");
        }
    }
    let select = text(rules, "selectPolicy");
    if !matches!(select, "" | "Max" | "Min" | "Disabled") {
        errors.not_supported(format!("{path}.selectPolicy"), select, &["Disabled", "Max", "Min"]);
    }
    if count(rules, "policies") == 0 {
        errors.required(format!("{path}.policies"), "must specify at least one Policy");
    }
    for (index, policy) in items(rules, "policies").enumerate() {
        let at = format!("{path}.policies[{index}]");
        let kind = text(policy, "type");
        if !matches!(kind, "Pods" | "Percent") {
            errors.not_supported(format!("{at}.type"), kind, &["Percent", "Pods"]);
        }
        for (field, most) in [("value", i64::MAX), ("periodSeconds", 1800)] {
            let number = int(policy, field).unwrap_or(0);
            if number <= 0 {
                errors.invalid(format!("{at}.{field}"), number, "must be greater than zero");
            } else if number > most {
                let detail = format!("must be less than or equal to {most}");
                errors.invalid(format!("{at}.{field}"), number, detail);
            }
        }
    }
}
