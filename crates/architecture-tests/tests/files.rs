//! Files stay small, say what they are for, and the documents name what exists.

use std::collections::BTreeSet;
use std::fs;

use architecture_tests::{is_test, metadata, root, source_files};

/// Lines a source file may have, its tests not counted.
const MOST_LINES: usize = 500;

#[test]
fn files_stay_small_and_open_with_their_purpose() {
    let mut violations = Vec::new();
    for path in source_files().expect("sources can be listed") {
        let text = fs::read_to_string(&path).expect("sources are text");
        let shown = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        if !text.starts_with("//!") {
            violations.push(format!("{shown}: does not open with a `//!` sentence"));
        }
        let lines = text.lines().count();
        if !is_test(&path) && lines > MOST_LINES {
            violations.push(format!(
                "{shown}: {lines} lines, {MOST_LINES} are the limit; split it by idea"
            ));
        }
        if ["utils.rs", "util.rs", "common.rs", "helpers.rs"]
            .iter()
            .any(|name| path.ends_with(name))
        {
            violations.push(format!("{shown}: name it by what it holds"));
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn architecture_names_every_crate_and_no_other() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let described: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`').map(str::to_owned))
        .collect();
    let metadata = metadata(false).expect("cargo metadata answers");
    let existing: BTreeSet<String> = metadata["packages"]
        .as_array()
        .expect("metadata lists packages")
        .iter()
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(described, existing, "left: sections of ARCHITECTURE.md, right: crates");
    let sections = text.split("### `").skip(1);
    for section in sections {
        let crate_name = section.split('`').next().unwrap_or_default();
        assert!(
            section.contains("**Invariant"),
            "`{crate_name}` has no bold invariant in ARCHITECTURE.md"
        );
    }
}
