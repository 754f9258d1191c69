//! Which rule counts for which request.

use super::*;
use crate::identity::{ResourceAttributes, User};

fn policy(rules: &str) -> Policy {
    serde_json::from_str(&format!(
        r#"{{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":{rules}}}"#
    ))
    .unwrap()
}

/// `<user> <verb> <path>` or `<user> <verb> <group>:<resource>[:<sub>] <namespace|-> <name|->`
fn level(policy: &Policy, line: &str) -> Level {
    let words: Vec<&str> = line.split_whitespace().collect();
    let user = User::authenticated(words[0], ["dev"]);
    let or_empty = |text: &'static str| if text == "-" { "" } else { text };
    let line: &'static [&'static str] = Box::leak(words.iter().map(|word| &*(*word).to_owned().leak()).collect());
    let parts: Vec<&str> = line[2].split(':').collect();
    let resource = (line.len() > 3).then(|| ResourceAttributes {
        group: parts[0],
        version: "v1",
        resource: parts[1],
        subresource: parts.get(2).copied().unwrap_or(""),
        namespace: or_empty(line[3]),
        name: or_empty(line[4]),
        ..ResourceAttributes::default()
    });
    let path = if resource.is_none() { line[2] } else { "" };
    policy
        .verdict(&Attributes {
            user: &user,
            verb: line[1],
            resource,
            path,
        })
        .level
}

#[test]
fn the_first_rule_that_fits_counts() {
    let policy = policy(
        r#"[{"level":"None","users":["quiet"]},
            {"level":"None","nonResourceURLs":["/healthz*","/version"]},
            {"level":"RequestResponse","verbs":["create"],"resources":[{"group":"","resources":["pods"]}]},
            {"level":"Request","resources":[{"group":"","resources":["pods/*"],"resourceNames":["one"]}]},
            {"level":"None","namespaces":["kube-system"],"resources":[{"group":"apps"}]},
            {"level":"Request","resources":[{"group":"apps","resources":["*/scale"]}]},
            {"level":"Metadata","userGroups":["dev"]}]"#,
    );
    assert_eq!(policy.problems(), Vec::<String>::new());
    for (line, expected) in [
        ("quiet create :pods a -", Level::None),
        ("ann get /healthz/ping", Level::None),
        ("ann get /version", Level::None),
        ("ann get /versions", Level::Metadata),
        ("ann create :pods a -", Level::RequestResponse),
        ("ann create :pods:eviction a two", Level::Metadata),
        ("ann create :pods:eviction a one", Level::Request),
        ("ann get :pods a one", Level::Request),
        ("ann get apps:deployments kube-system -", Level::None),
        ("ann get apps:deployments a -", Level::Metadata),
        ("ann update apps:deployments:scale a d", Level::Request),
    ] {
        assert_eq!(level(&policy, line), expected, "{line}");
    }
}

#[test]
fn stages_and_owners_are_left_out_as_rules_and_policy_say() {
    let policy = policy(r#"[{"level":"Metadata","omitStages":["Panic"],"omitManagedFields":true}]"#);
    let user = User::anonymous();
    let verdict = policy.verdict(&Attributes {
        user: &user,
        verb: "get",
        resource: None,
        path: "/",
    });
    assert!(verdict.omit_managed_fields && verdict.writes(Stage::ResponseComplete));
    assert!(!verdict.writes(Stage::RequestReceived) && !verdict.writes(Stage::Panic));
}

#[test]
fn a_policy_that_means_nothing_is_refused() {
    assert_eq!(policy("[]").problems(), ["loaded illegal policy with 0 rules"]);
    let bad = policy(
        r#"[{"level":"None","nonResourceURLs":["x","/a*b"],"namespaces":["n"]},
            {"level":"None","resources":[{"group":"apps/v1","resourceNames":["n"]}]}]"#,
    );
    assert_eq!(bad.problems().len(), 5, "{:?}", bad.problems());
    assert!(serde_json::from_str::<Policy>(r#"{"apiVersion":"a","kind":"k","rules":[{"level":"All"}]}"#).is_err());
}
