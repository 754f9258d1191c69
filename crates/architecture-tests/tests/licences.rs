//! Every dependency carries a licence that `deny.toml` allows, and none that is banned by name.

use std::collections::BTreeSet;
use std::fs;

use architecture_tests::{metadata, root};

/// The strings of one array of `deny.toml`, which is written one entry a line.
fn listed(text: &str, array: &str) -> BTreeSet<String> {
    text.lines()
        .skip_while(|line| !line.starts_with(&format!("{array} = [")))
        .skip(1)
        .take_while(|line| !line.starts_with(']'))
        .filter_map(|line| line.split('"').nth(1).map(str::to_owned))
        .collect()
}

/// Can the SPDX expression be met with allowed licences alone?
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], " ");
    flat.split(" AND ")
        .all(|all| all.split(" OR ").any(|one| allowed.contains(one.trim())))
}

#[test]
fn dependencies_have_permissive_licences() {
    let text = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is there");
    let (allowed, banned) = (listed(&text, "allow"), listed(&text, "deny"));
    let metadata = metadata(true).expect("cargo metadata answers");
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().expect("metadata lists packages") {
        let name = package["name"].as_str().expect("a package has a name");
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &allowed) {
            violations.push(format!("`{name}`: {licence}"));
        }
        if banned.contains(name) {
            violations.push(format!("`{name}` is banned"));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn an_expression_is_met_by_one_allowed_choice() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    assert!(is_allowed("MIT OR GPL-3.0-only", &allowed));
    assert!(is_allowed("ISC AND (MIT OR Apache-2.0)", &allowed));
    assert!(!is_allowed("MIT AND GPL-3.0-only", &allowed));
}
