//! Columns of namespaces, config maps, secrets, accounts, leases, budgets, roles' bindings and requests.

use kube_types::dynamic::{Map, Value};

use super::{AGE, NAME, Printer, age, at, count, integer, list, name, number, since, string, text, wide};

type Node = Map<String, Value>;

/// Namespaces.
pub static NAMESPACES: Printer = Printer {
    columns: &[NAME, text("Status", "The status of the namespace"), AGE],
    cells: |object, now| {
        vec![
            name(object),
            string(object, &["status", "phase"]).into(),
            age(object, now),
        ]
    },
};

/// Config maps.
pub static CONFIG_MAPS: Printer = Printer {
    columns: &[NAME, integer("Data", "Number of entries."), AGE],
    cells: |object, now| {
        vec![
            name(object),
            (count(object, &["data"]) + count(object, &["binaryData"])).into(),
            age(object, now),
        ]
    },
};

/// Secrets.
pub static SECRETS: Printer = Printer {
    columns: &[
        NAME,
        text("Type", "Used to facilitate programmatic handling of secret data."),
        integer("Data", "Number of entries."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            string(object, &["type"]).into(),
            count(object, &["data"]).into(),
            age(object, now),
        ]
    },
};

/// Service accounts.
pub static SERVICE_ACCOUNTS: Printer = Printer {
    columns: &[
        NAME,
        integer("Secrets", "Number of secrets that pods of the account may use."),
        AGE,
    ],
    cells: |object, now| vec![name(object), count(object, &["secrets"]).into(), age(object, now)],
};

/// Kinds that show when they were made, as a time.
pub static CREATED_AT: Printer = Printer {
    columns: &[NAME, text("Created At", "When the object was created.")],
    cells: |object, _| vec![name(object), string(object, &["metadata", "creationTimestamp"]).into()],
};

/// Leases.
pub static LEASES: Printer = Printer {
    columns: &[
        NAME,
        text(
            "Holder",
            "holderIdentity contains the identity of the holder of a current lease",
        ),
        AGE,
    ],
    cells: |object, now| {
        vec![
            name(object),
            string(object, &["spec", "holderIdentity"]).into(),
            age(object, now),
        ]
    },
};

/// Disruption budgets.
pub static POD_DISRUPTION_BUDGETS: Printer = Printer {
    columns: &[
        NAME,
        text("Min Available", "The minimum number of pods that must be available."),
        text("Max Unavailable", "The maximum number of pods that may be unavailable."),
        integer(
            "Allowed Disruptions",
            "Calculated number of pods that may be disrupted at this time.",
        ),
        AGE,
    ],
    cells: |object, now| {
        let shown = |field: &str| match at(object, &["spec", field]) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "N/A".to_owned(),
        };
        vec![
            name(object),
            shown("minAvailable").into(),
            shown("maxUnavailable").into(),
            number(object, &["status", "disruptionsAllowed"]).into(),
            age(object, now),
        ]
    },
};

/// Resource quotas.
pub static RESOURCE_QUOTAS: Printer = Printer {
    columns: &[
        NAME,
        text("Request", "Used and allowed requests."),
        text("Limit", "Used and allowed limits."),
        AGE,
    ],
    cells: |object, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let hard = at(object, &["status", "hard"]).and_then(Value::as_object);
        let mut names: Vec<&String> = hard.into_iter().flatten().map(|(name, _)| name).collect();
        names.sort();
        for resource in names {
            let of = |field: &str| string(object, &["status", field, resource]);
            let used = of("used");
            let shown = format!(
                "{resource}: {}/{}",
                if used.is_empty() { "0" } else { used },
                of("hard")
            );
            if resource.starts_with("limits") {
                &mut limits
            } else {
                &mut requests
            }
            .push(shown);
        }
        vec![
            name(object),
            requests.join(", ").into(),
            limits.join(", ").into(),
            age(object, now),
        ]
    },
};

/// Bindings of roles.
pub static ROLE_BINDINGS: Printer = Printer {
    columns: &[
        NAME,
        text("Role", "The role that is bound."),
        AGE,
        wide("Users", "Users in the binding."),
        wide("Groups", "Groups in the binding."),
        wide("ServiceAccounts", "Service accounts in the binding."),
    ],
    cells: |object, now| {
        let role = format!(
            "{}/{}",
            string(object, &["roleRef", "kind"]),
            string(object, &["roleRef", "name"])
        );
        let mut cells = vec![name(object), role.into(), age(object, now)];
        cells.extend(["User", "Group", "ServiceAccount"].map(|kind| subjects(object, kind)));
        cells
    },
};

fn subjects(binding: &Node, kind: &str) -> Value {
    let subjects = list(binding, &["subjects"])
        .iter()
        .filter(|subject| subject["kind"] == kind);
    let names: Vec<String> = subjects
        .map(|subject| {
            let name = subject["name"].as_str().unwrap_or_default();
            match subject["namespace"].as_str().filter(|_| kind == "ServiceAccount") {
                Some(namespace) => format!("{namespace}/{name}"),
                None => name.to_owned(),
            }
        })
        .collect();
    names.join(", ").into()
}

/// Certificate signing requests.
pub static CERTIFICATE_SIGNING_REQUESTS: Printer = Printer {
    columns: &[
        NAME,
        AGE,
        text("SignerName", "Who shall sign."),
        text("Requestor", "Who asks."),
        text("RequestedDuration", "How long the certificate shall be valid."),
        text("Condition", "How far the request has come."),
    ],
    cells: |object, now| {
        let wanted = at(object, &["spec", "expirationSeconds"]).and_then(Value::as_i64);
        vec![
            name(object),
            since(at(object, &["metadata", "creationTimestamp"]), now).into(),
            string(object, &["spec", "signerName"]).into(),
            string(object, &["spec", "username"]).into(),
            wanted.map_or_else(|| "<none>".to_owned(), super::duration).into(),
            condition(object).into(),
        ]
    },
};

/// Source: `extractCSRStatus`.
fn condition(request: &Node) -> String {
    let has = |kind: &str| {
        list(request, &["status", "conditions"])
            .iter()
            .any(|condition| condition["type"] == kind)
    };
    let mut status = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !string(request, &["status", "certificate"]).is_empty() {
        status.push_str(",Issued");
    }
    status
}
