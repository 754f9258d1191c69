//! Dependencies point down the rows of the house, never up or sideways; the pure rows stay pure.

use std::collections::{BTreeMap, BTreeSet};

use architecture_tests::metadata;

/// Lowest first. A crate may depend only on crates in strictly lower rows.
const ROWS: &[(&str, &[&str])] = &[
    ("types", &["kube-types", "aws-types", "clock", "certificates"]),
    ("rules of the vocabulary", &["plan"]),
    (
        "rules",
        &[
            "object-rules",
            "object-merge",
            "access-rules",
            "cel-rules",
            "flow-control",
            "scheduling",
            "service-routing",
        ],
    ),
    ("rules of kinds known at run time", &["custom-resources"]),
    (
        "planners",
        &["controllers", "pod-lifecycle", "cluster-lifecycle", "stack-planner"],
    ),
    ("supervision", &["supervision"]),
    (
        "machinery",
        &["store", "kube-client", "cri-api", "kms-plugin", "remote-command"],
    ),
    (
        "engines and drivers",
        &[
            "registry",
            "reconcile-loop",
            "container-runtime",
            "image-store",
            "vpc-driver",
            "packet-filter",
            "machine-driver",
        ],
    ),
    (
        "components",
        &[
            "kube-api",
            "aws-api",
            "scheduler",
            "controller-manager",
            "node-agent",
            "network-agent",
            "metrics-server",
            "load-balancer",
            "cli",
        ],
    ),
    ("binary", &["ondol"]),
    ("checks", &["architecture-tests", "fuzz", "xtask"]),
];

/// The rows that hold no async and no I/O.
const PURE_ROWS: usize = 5;

fn row_of() -> BTreeMap<&'static str, usize> {
    ROWS.iter()
        .enumerate()
        .flat_map(|(row, (_, crates))| crates.iter().map(move |name| (*name, row)))
        .collect()
}

fn name(value: &serde_json::Value) -> &str {
    value["name"].as_str().expect("packages and dependencies have names")
}

#[test]
fn dependencies_point_down() {
    let metadata = metadata(false).expect("cargo metadata answers");
    let rows = row_of();
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().expect("metadata lists packages") {
        let Some(own) = rows.get(name(package)) else {
            violations.push(format!("`{}` is in no row", name(package)));
            continue;
        };
        for dependency in package["dependencies"]
            .as_array()
            .expect("a package lists dependencies")
        {
            let upward = rows.get(name(dependency)).is_some_and(|theirs| own <= theirs);
            if dependency["kind"].is_null() && upward {
                violations.push(format!("`{}` must not depend on `{}`", name(package), name(dependency)));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn pure_rows_have_no_async_runtime_below_them() {
    let metadata = metadata(true).expect("cargo metadata answers");
    let by_id: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("metadata lists packages")
        .iter()
        .map(|package| (package["id"].as_str().expect("a package has an id"), name(package)))
        .collect();
    let edges = normal_edges(&metadata);
    let mut violations = Vec::new();
    for (_, crates) in &ROWS[..PURE_ROWS] {
        for pure in *crates {
            let start = by_id.iter().find(|(_, package)| *package == pure).map(|(id, _)| *id);
            let start = start.unwrap_or_else(|| panic!("`{pure}` is a package of the workspace"));
            if reachable(start, &edges)
                .iter()
                .any(|id| by_id.get(id) == Some(&"tokio"))
            {
                violations.push(format!("`{pure}` reaches tokio"));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

fn normal_edges(metadata: &serde_json::Value) -> BTreeMap<&str, Vec<&str>> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("metadata resolves");
    nodes
        .iter()
        .map(|node| {
            let targets = node["deps"].as_array().expect("a node lists deps").iter();
            let normal = targets
                .filter(|dep| {
                    dep["dep_kinds"]
                        .as_array()
                        .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
                })
                .filter_map(|dep| dep["pkg"].as_str())
                .collect();
            (node["id"].as_str().expect("a node has an id"), normal)
        })
        .collect()
}

fn reachable<'a>(start: &'a str, edges: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut queue = vec![start];
    while let Some(id) = queue.pop() {
        if seen.insert(id) {
            queue.extend(edges.get(id).into_iter().flatten());
        }
    }
    seen
}
