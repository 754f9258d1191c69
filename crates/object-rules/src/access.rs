//! Roles and bindings.

use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, count, default, items, items_mut, text};

const GROUP: &str = "rbac.authorization.k8s.io";

const RBAC: Rules = Rules {
    name: names::path_segment,
    create_on_update: true,
    ..Rules::NAMED
};

pub(crate) static ROLE: Rules = Rules {
    validate: |role, errors| {
        for (index, rule) in items(&role.0, "rules").enumerate() {
            let path = format!("rules[{index}]");
            if count(rule, "verbs") == 0 {
                errors.required(format!("{path}.verbs"), "verbs must contain at least one value");
            }
            if count(rule, "nonResourceURLs") > 0 {
                if role.namespace().is_some() {
                    let detail = "namespaced rules cannot apply to non-resource URLs";
                    errors.invalid(
                        format!("{path}.nonResourceURLs"),
                        rule["nonResourceURLs"].clone(),
                        detail,
                    );
                }
                if count(rule, "resources") > 0 || count(rule, "apiGroups") > 0 {
                    let detail = "rules cannot apply to both regular resources and non-resource URLs";
                    errors.invalid(
                        format!("{path}.nonResourceURLs"),
                        rule["nonResourceURLs"].clone(),
                        detail,
                    );
                }
                continue;
            }
            if count(rule, "apiGroups") == 0 {
                let detail = "resource rules must supply at least one api group";
                errors.required(format!("{path}.apiGroups"), detail);
            }
            if count(rule, "resources") == 0 {
                errors.required(
                    format!("{path}.resources"),
                    "resource rules must supply at least one resource",
                );
            }
        }
    },
    ..RBAC
};

pub(crate) static ROLE_BINDING: Rules = Rules {
    defaults: binding_defaults,
    validate: |binding, errors| self::binding(binding, &["Role", "ClusterRole"], errors),
    validate_update: same_role,
    ..RBAC
};

pub(crate) static CLUSTER_ROLE_BINDING: Rules = Rules {
    defaults: binding_defaults,
    validate: |binding, errors| self::binding(binding, &["ClusterRole"], errors),
    validate_update: same_role,
    ..RBAC
};

fn binding_defaults(binding: &mut Object) {
    if let Some(role) = child_mut(&mut binding.0, "roleRef") {
        default(role, "apiGroup", GROUP);
    }
    for subject in items_mut(&mut binding.0, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            default(subject, "apiGroup", GROUP);
        }
    }
}

fn binding(binding: &Object, kinds: &[&str], errors: &mut Errors) {
    let empty = Node::new();
    let role = child(&binding.0, "roleRef").unwrap_or(&empty);
    if text(role, "apiGroup") != GROUP {
        errors.not_supported("roleRef.apiGroup", text(role, "apiGroup"), &[GROUP]);
    }
    let kind = text(role, "kind");
    if !kinds.contains(&kind) {
        errors.not_supported("roleRef.kind", kind, kinds);
    }
    if text(role, "name").is_empty() {
        errors.required("roleRef.name", "");
    }
    for (index, subject) in items(&binding.0, "subjects").enumerate() {
        let path = format!("subjects[{index}]");
        if text(subject, "name").is_empty() {
            errors.required(format!("{path}.name"), "");
        }
        match text(subject, "kind") {
            "ServiceAccount" => {
                if text(subject, "namespace").is_empty() && binding.namespace().is_none() {
                    errors.required(format!("{path}.namespace"), "");
                }
            }
            "User" | "Group" => {}
            other => {
                errors.not_supported(format!("{path}.kind"), other, &["ServiceAccount", "User", "Group"]);
            }
        }
    }
}

fn same_role(new: &Object, old: &Object, errors: &mut Errors) {
    if new.0.get("roleRef") != old.0.get("roleRef") {
        errors.invalid(
            "roleRef",
            new.0.get("roleRef").cloned().unwrap_or(Value::Null),
            "cannot change roleRef",
        );
    }
}
