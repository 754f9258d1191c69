//! What the checks read: the workspace as `cargo metadata` tells it, and its source files.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root directory.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_path_buf()
}

/// What `cargo metadata` says; with `dependencies` also of every crate from the registry.
pub fn metadata(dependencies: bool) -> io::Result<serde_json::Value> {
    let mut arguments = vec!["metadata", "--format-version=1", "--locked"];
    if !dependencies {
        arguments.push("--no-deps");
    }
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// Every Rust source file below `crates/` and `xtask/`, build output excluded.
pub fn source_files() -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for top in ["crates", "xtask"] {
        collect(&root().join(top), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Is this file a test: `tests.rs`, or below a `tests` or `benches` folder?
pub fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path
            .components()
            .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches")))
}
