//! Facts about Kubernetes' types that no schema ships: protobuf tags, list keys and patch keys.
//!
//! They stand as attributes and markers in the sources of the published crates `k8s-pb` (protobuf) and `k8s-openapi`
//! (JSON names and kinds). Read are only numbers, names and markers; prose is left behind.

mod model;
mod tables;

use std::path::{Path, PathBuf};
use std::process::Command;

use model::Model;

use crate::command::{self, TaskError};

/// The crates that are read, with the versions whose form this reader knows.
const SOURCES: &[(&str, &str)] = &[("k8s-pb", "0.9.0"), ("k8s-openapi", "0.29.0")];
const OPENAPI_FEATURE: &str = "v1_36";

/// Rewrites `object-merge`'s merge keys and `kube-api`'s protobuf table.
pub fn extract() -> Result<(), TaskError> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let [protobuf, openapi] = fetch(&root.join("target/kube-facts"))?;
    let model = Model::read(&protobuf.join("src"), &openapi.join("src").join(OPENAPI_FEATURE))?;
    write(
        &root.join("crates/object-merge/src/merge_keys.txt"),
        &tables::merge_keys(&model),
    )?;
    write(
        &root.join("crates/kube-api/src/protobuf/messages.txt"),
        &tables::messages(&model),
    )
}

/// Where the sources lie after cargo has fetched them for a package that only names them.
fn fetch(dir: &Path) -> Result<[PathBuf; 2], TaskError> {
    let dependencies: String = SOURCES
        .iter()
        .map(|(name, version)| format!("{name} = \"={version}\"\n"))
        .collect();
    let manifest = format!(
        "[package]\nname = \"kube-facts\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{dependencies}"
    );
    std::fs::create_dir_all(dir.join("src")).map_err(|source| failed(dir, source))?;
    write(&dir.join("Cargo.toml"), &manifest)?;
    write(&dir.join("src/lib.rs"), "")?;
    let listed = command::output(
        Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--manifest-path"])
            .arg(dir.join("Cargo.toml")),
    )?;
    let metadata: Metadata =
        serde_json::from_str(&listed).map_err(|error| TaskError::Unexpected(format!("cargo metadata: {error}")))?;
    let find = |name: &str| {
        let package = metadata.packages.iter().find(|package| package.name == name);
        let directory = package.and_then(|package| package.manifest_path.parent().map(Path::to_owned));
        directory.ok_or_else(|| TaskError::Missing(format!("{name} is not among the fetched packages")))
    };
    Ok([find(SOURCES[0].0)?, find(SOURCES[1].0)?])
}

#[derive(serde::Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

fn failed(path: &Path, source: std::io::Error) -> TaskError {
    TaskError::File {
        path: path.display().to_string(),
        source,
    }
}

fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| failed(parent, source))?;
    }
    std::fs::write(path, text).map_err(|source| failed(path, source))
}

/// Every file below `dir`, in order.
fn files(dir: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|source| failed(dir, source))? {
        let path = entry.map_err(|source| failed(dir, source))?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
