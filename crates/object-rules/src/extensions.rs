//! Kinds that extend or steer the API server.

use kube_types::dynamic::Object;

use crate::rules::Rules;
use crate::tree::{Node, child_mut, default, ensure, items_mut};

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
    validate: crate::webhooks::validate,
    ..COUNTED
};

pub(crate) static VALIDATING_WEBHOOKS: Rules = Rules {
    defaults: |configuration| webhooks(configuration, false),
    validate: crate::webhooks::validate,
    ..COUNTED
};
