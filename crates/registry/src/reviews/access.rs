//! May somebody do something? The three kinds that ask, and what is wrong with a question.
//!
//! Source: `pkg/apis/authorization/validation` and `pkg/registry/authorization/util`.

use access_rules::{Attributes, Decision, ResourceAttributes, User};
use kube_types::dynamic::{Map, Object, Value, json};
use kube_types::selector::{FieldRequirement, FieldSelector, LabelSelector};
use object_rules::field::Errors;

use crate::columns::{list, string};
use crate::kinds::ResourceKind;
use crate::registry::Registry;
use crate::status::{StatusError, Subject};

type Node = Map<String, Value>;

impl Registry {
    /// The status of a review; `own` is whose access it is about when the review does not say.
    pub(super) async fn review_access(
        &self,
        kind: &ResourceKind,
        review: &Object,
        own: Option<&User>,
    ) -> Result<Value, StatusError> {
        let empty = Node::new();
        let spec = review.0.get("spec").and_then(Value::as_object).unwrap_or(&empty);
        let mut errors = Errors::new();
        check(kind, review, spec, own.is_none(), &mut errors);
        if !errors.is_empty() {
            return Err(StatusError::invalid(&Subject::kind(kind), "", &errors));
        }
        let of_review = reviewed_user(spec);
        let user = own.unwrap_or(&of_review);
        let Some(resource) = part(spec, "resourceAttributes") else {
            let path = part(spec, "nonResourceAttributes").unwrap_or(&empty);
            let attributes = Attributes {
                user,
                verb: string(path, &["verb"]),
                resource: None,
                path: string(path, &["path"]),
            };
            return Ok(status(self.authorize(&attributes).await, &[]));
        };
        let mut problems = Vec::new();
        let fields = fields(resource).unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        });
        problems.extend(labels(resource).err());
        let of = |field: &str| string(resource, &[field]);
        let attributes = Attributes {
            user,
            verb: of("verb"),
            resource: Some(ResourceAttributes {
                group: of("group"),
                version: of("version"),
                resource: of("resource"),
                subresource: of("subresource"),
                namespace: of("namespace"),
                name: of("name"),
                fields: &fields,
            }),
            path: "",
        };
        Ok(status(self.authorize(&attributes).await, &problems))
    }
}

fn part<'a>(node: &'a Node, field: &str) -> Option<&'a Node> {
    node.get(field).and_then(Value::as_object)
}

fn check(kind: &ResourceKind, review: &Object, spec: &Node, names_user: bool, errors: &mut Errors) {
    let (resource, path) = (part(spec, "resourceAttributes"), part(spec, "nonResourceAttributes"));
    let local = kind.kind == "LocalSubjectAccessReview";
    match (resource, path) {
        (Some(_), Some(path)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            errors.invalid("spec.nonResourceAttributes", Value::Object(path.clone()), detail);
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid("spec.resourceAttributes", Value::Null, detail);
        }
        _ => {}
    }
    if names_user && string(spec, &["user"]).is_empty() && list(spec, &["groups"]).is_empty() {
        errors.invalid("spec.user", "", "at least one of user or group must be specified");
    }
    for (field, name) in [
        ("fieldSelector", "spec.resourceAttributes.fieldSelector"),
        ("labelSelector", "spec.resourceAttributes.labelSelector"),
    ] {
        if let Some(selector) = resource.and_then(|resource| part(resource, field)) {
            check_selector(selector, name, errors);
        }
    }
    if !local {
        return;
    }
    let namespace = review.namespace().unwrap_or_default();
    if let Some(resource) = resource.filter(|resource| string(resource, &["namespace"]) != namespace) {
        let detail = "must match metadata.namespace";
        let given = string(resource, &["namespace"]);
        errors.invalid("spec.resourceAttributes.namespace", given, detail);
    }
    if let Some(path) = path {
        let detail = "disallowed on this kind of request";
        errors.invalid("spec.nonResourceAttributes", Value::Object(path.clone()), detail);
    }
}

fn check_selector(selector: &Node, path: &str, errors: &mut Errors) {
    let (raw, requirements) = (string(selector, &["rawSelector"]), list(selector, &["requirements"]));
    if !raw.is_empty() && !requirements.is_empty() {
        let detail = "may not specified at the same time as requirements";
        errors.invalid(format!("{path}.rawSelector"), raw, detail);
    }
    if raw.is_empty() && requirements.is_empty() {
        let detail = format!("when {path} is specified, requirements or rawSelector is required");
        errors.required(format!("{path}.requirements"), detail);
    }
    for (index, requirement) in requirements.iter().enumerate() {
        let path = format!("{path}.requirements[{index}]");
        if requirement["key"].as_str().unwrap_or_default().is_empty() {
            errors.required(format!("{path}.key"), "must be specified");
        }
        let values = requirement["values"].as_array().map_or(0, Vec::len);
        // Operators of later versions are let pass, and limit nothing.
        match requirement["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.required(format!("{path}.values"), detail);
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(format!("{path}.values"), detail);
            }
            _ => {}
        }
    }
}

/// The conditions of the field selector, of which there is none that compares with several values.
fn fields(resource: &Node) -> Result<Vec<FieldRequirement>, String> {
    let Some(selector) = part(resource, "fieldSelector") else {
        return Ok(Vec::new());
    };
    let raw = string(selector, &["rawSelector"]);
    if !raw.is_empty() {
        let parsed = FieldSelector::parse(raw).map_err(|error| error.to_string())?;
        return Ok(parsed.requirements().to_vec());
    }
    let each = list(selector, &["requirements"]).iter().map(|requirement| {
        let operator = requirement["operator"].as_str().unwrap_or_default();
        let values = requirement["values"].as_array().map_or(&[][..], Vec::as_slice);
        match (operator, values) {
            ("In" | "NotIn", [value]) => Ok(FieldRequirement {
                field: requirement["key"].as_str().unwrap_or_default().to_owned(),
                equal: operator == "In",
                value: value.as_str().unwrap_or_default().to_owned(),
            }),
            ("In" | "NotIn", _) => Err("fieldSelectors do not yet support multiple values".to_owned()),
            _ => Err(format!("fieldSelectors do not yet support {operator}")),
        }
    });
    each.collect()
}

/// Labels decide nothing here; only that they cannot be read is told.
fn labels(resource: &Node) -> Result<(), String> {
    let raw = part(resource, "labelSelector").map_or("", |selector| string(selector, &["rawSelector"]));
    LabelSelector::parse(raw).map(drop).map_err(|error| error.to_string())
}

fn status(decision: Decision, problems: &[String]) -> Value {
    let mut status = json!({"allowed": decision.is_allowed()});
    if matches!(decision, Decision::Deny { .. }) {
        status["denied"] = true.into();
    }
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    if !problems.is_empty() {
        status["evaluationError"] = problems.join(", ").into();
    }
    status
}

fn reviewed_user(spec: &Node) -> User {
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let uid = string(spec, &["uid"]);
    let extra = part(spec, "extra").into_iter().flatten();
    User {
        name: string(spec, &["user"]).to_owned(),
        uid: (!uid.is_empty()).then(|| uid.to_owned()),
        groups: spec.get("groups").map(texts).unwrap_or_default(),
        extra: extra.map(|(key, value)| (key.to_lowercase(), texts(value))).collect(),
    }
}
