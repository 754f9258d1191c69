//! Columns of kinds that extend or steer the API server.

use kube_types::dynamic::{Map, Value};

use super::{AGE, NAME, Printer, age, at, count, integer, list, name, number, string, text};

type Node = Map<String, Value>;

/// Webhook configurations.
pub static WEBHOOKS: Printer = Printer {
    columns: &[NAME, integer("Webhooks", "Number of webhooks."), AGE],
    cells: |object, now| vec![name(object), count(object, &["webhooks"]).into(), age(object, now)],
};

/// Validating policies.
pub static VALIDATING_POLICIES: Printer = Printer {
    columns: &[
        NAME,
        integer("Validations", "Number of expressions."),
        text("ParamKind", "Kind of the parameters."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            count(object, &["spec", "validations"]).into(),
            parameters(object),
            age(object, now),
        ]
    },
};

/// Mutating policies.
pub static MUTATING_POLICIES: Printer = Printer {
    columns: &[
        NAME,
        integer("Mutations", "Number of expressions."),
        text("ParamKind", "Kind of the parameters."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            count(object, &["spec", "mutations"]).into(),
            parameters(object),
            age(object, now),
        ]
    },
};

fn parameters(policy: &Node) -> Value {
    let of = |field: &str| string(policy, &["spec", "paramKind", field]);
    match of("kind") {
        "" => "<unset>".into(),
        kind => format!("{}/{kind}", of("apiVersion")).into(),
    }
}

/// Bindings of policies.
pub static POLICY_BINDINGS: Printer = Printer {
    columns: &[
        NAME,
        text("PolicyName", "Policy that is bound."),
        text("ParamRef", "Parameters of the policy."),
        AGE,
    ],
    cells: |object, now| {
        let of = |field: &str| string(object, &["spec", "paramRef", field]);
        let parameters = match (of("namespace"), of("name")) {
            (_, "") if at(object, &["spec", "paramRef", "selector"]).is_some() => "<selector>".to_owned(),
            (_, "") => "<unset>".to_owned(),
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}/{name}"),
        };
        vec![
            name(object),
            string(object, &["spec", "policyName"]).into(),
            parameters.into(),
            age(object, now),
        ]
    },
};

/// Definitions of custom resources.
pub static DEFINITIONS: Printer = Printer {
    columns: &[NAME, text("Created At", "When the definition was created.")],
    cells: |object, _| vec![name(object), string(object, &["metadata", "creationTimestamp"]).into()],
};

/// API services.
pub static API_SERVICES: Printer = Printer {
    columns: &[
        NAME,
        text("Service", "The reference to the service that hosts this API endpoint."),
        text("Available", "Whether this service is available."),
        AGE,
    ],
    cells: |object, now| {
        let of = |field: &str| string(object, &["spec", "service", field]);
        let service = if of("name").is_empty() {
            "Local".to_owned()
        } else {
            format!("{}/{}", of("namespace"), of("name"))
        };
        let condition = list(object, &["status", "conditions"])
            .iter()
            .find(|c| c["type"] == "Available");
        let available = match condition {
            None => "Unknown".to_owned(),
            Some(condition) if condition["status"] == "True" => "True".to_owned(),
            Some(condition) => {
                let field = |name: &str| condition[name].as_str().unwrap_or_default();
                format!("{} ({})", field("status"), field("reason"))
            }
        };
        vec![name(object), service.into(), available.into(), age(object, now)]
    },
};

/// Flow schemas.
pub static FLOW_SCHEMAS: Printer = Printer {
    columns: &[
        NAME,
        text("PriorityLevel", "Level of the requests that match."),
        integer("MatchingPrecedence", "The smaller, the earlier it is asked."),
        text("DistinguisherMethod", "How flows are told apart."),
        AGE,
        text("MissingPL", "Whether the level does not exist."),
    ],
    cells: |object, now| {
        let method = match string(object, &["spec", "distinguisherMethod", "type"]) {
            "" => "<none>",
            method => method,
        };
        let dangling = list(object, &["status", "conditions"])
            .iter()
            .find(|c| c["type"] == "Dangling");
        vec![
            name(object),
            string(object, &["spec", "priorityLevelConfiguration", "name"]).into(),
            number(object, &["spec", "matchingPrecedence"]).into(),
            method.into(),
            age(object, now),
            dangling
                .and_then(|condition| condition["status"].as_str())
                .unwrap_or("?")
                .into(),
        ]
    },
};

/// Priority levels.
pub static PRIORITY_LEVELS: Printer = Printer {
    columns: &[
        NAME,
        text("Type", "Limited or Exempt."),
        text("NominalConcurrencyShares", "Share of the server's concurrency."),
        text("Queues", "Number of queues."),
        text("HandSize", "Queues that a flow may use."),
        text("QueueLengthLimit", "Longest queue."),
        AGE,
    ],
    cells: |object, now| {
        let shown = |path: &[&str]| match at(object, path) {
            Some(value) => value.to_string(),
            None => "<none>".to_owned(),
        };
        let queuing = |field: &'static str| shown(&["spec", "limited", "limitResponse", "queuing", field]);
        vec![
            name(object),
            string(object, &["spec", "type"]).into(),
            shown(&["spec", "limited", "nominalConcurrencyShares"]).into(),
            queuing("queues").into(),
            queuing("handSize").into(),
            queuing("queueLengthLimit").into(),
            age(object, now),
        ]
    },
};
