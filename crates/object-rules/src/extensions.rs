//! Kinds that extend or steer the API server.

use kube_types::dynamic::{Object, Value, json};

use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, default, ensure, items_mut, text};

/// Kinds that count changes and have no other rules of their own.
pub(crate) static COUNTED: Rules = Rules {
    generation: true,
    ..Rules::NAMED
};

pub(crate) static POLICY: Rules = Rules {
    defaults: |policy| {
        let Some(spec) = child_mut(&mut policy.0, "spec") else {
            return;
        };
        default(spec, "failurePolicy", "Fail");
        if let Some(constraints) = child_mut(spec, "matchConstraints") {
            matching(constraints);
        }
    },
    status: true,
    ..COUNTED
};

fn matching(node: &mut Node) {
    default(node, "matchPolicy", "Equivalent");
    ensure(node, "namespaceSelector");
    ensure(node, "objectSelector");
    for list in ["resourceRules", "excludeResourceRules", "rules"] {
        for rule in items_mut(node, list) {
            default(rule, "scope", "*");
        }
    }
}

fn webhooks(configuration: &mut Object, mutating: bool) {
    for webhook in items_mut(&mut configuration.0, "webhooks") {
        default(webhook, "failurePolicy", "Fail");
        default(webhook, "timeoutSeconds", 10);
        matching(webhook);
        if mutating {
            default(webhook, "reinvocationPolicy", "Never");
        }
        if let Some(service) = child_mut(webhook, "clientConfig").and_then(|config| child_mut(config, "service")) {
            default(service, "port", 443);
        }
    }
}

pub(crate) static MUTATING_WEBHOOKS: Rules = Rules {
    defaults: |configuration| webhooks(configuration, true),
    ..COUNTED
};

pub(crate) static VALIDATING_WEBHOOKS: Rules = Rules {
    defaults: |configuration| webhooks(configuration, false),
    ..COUNTED
};

pub(crate) static CUSTOM_RESOURCE_DEFINITION: Rules = Rules {
    defaults: |definition| {
        let Some(spec) = child_mut(&mut definition.0, "spec") else {
            return;
        };
        default(ensure(spec, "conversion"), "strategy", "None");
        let kind = child(spec, "names")
            .map(|names| text(names, "kind").to_owned())
            .unwrap_or_default();
        let names = ensure(spec, "names");
        default(names, "singular", kind.to_lowercase());
        default(names, "listKind", format!("{kind}List"));
    },
    // Serving custom resources is the Kubernetes API issue: no condition says that they are.
    prepare_create: |definition| {
        let stored: Vec<Value> = child(&definition.0, "spec")
            .into_iter()
            .flat_map(|spec| crate::tree::items(spec, "versions"))
            .filter(|version| crate::tree::flag(version, "storage"))
            .map(|version| text(version, "name").into())
            .collect();
        definition
            .0
            .insert("status".to_owned(), json!({"storedVersions": stored}));
    },
    validate: |definition, errors| {
        let empty = Node::new();
        let spec = child(&definition.0, "spec").unwrap_or(&empty);
        let plural = child(spec, "names").map_or("", |names| text(names, "plural"));
        let wanted = format!("{plural}.{}", text(spec, "group"));
        if definition.name() != Some(wanted.as_str()) {
            let detail = "must be spec.names.plural+\".\"+spec.group";
            errors.invalid("metadata.name", definition.name().unwrap_or_default(), detail);
        }
        if crate::tree::count(spec, "versions") == 0 {
            errors.invalid(
                "spec.versions",
                json!([]),
                "must have exactly one version marked as storage version",
            );
        }
    },
    status: true,
    ..COUNTED
};

pub(crate) static API_SERVICE: Rules = Rules {
    defaults: |service| {
        if let Some(backend) = child_mut(&mut service.0, "spec").and_then(|spec| child_mut(spec, "service")) {
            default(backend, "port", 443);
        }
    },
    status: true,
    ..Rules::NAMED
};

pub(crate) static FLOW_SCHEMA: Rules = Rules {
    defaults: |schema| default(ensure(&mut schema.0, "spec"), "matchingPrecedence", 1000),
    status: true,
    ..COUNTED
};

pub(crate) static PRIORITY_LEVEL: Rules = Rules {
    defaults: |level| {
        let spec = ensure(&mut level.0, "spec");
        if let Some(limited) = child_mut(spec, "limited") {
            default(limited, "nominalConcurrencyShares", 30);
            default(limited, "lendablePercent", 0);
        }
    },
    status: true,
    ..COUNTED
};
