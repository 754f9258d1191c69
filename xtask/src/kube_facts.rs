//! Facts about Kubernetes' types that no schema ships: protobuf tags, list keys and patch keys.
//!
//! List and patch keys stand as markers in the published crates `k8s-pb` and `k8s-openapi`, protobuf tags in the struct
//! tags of the published Go modules. Read are only numbers, names and markers; prose is left behind.

mod go_types;
mod model;
mod tables;

use std::path::{Path, PathBuf};
use std::process::Command;

use go_types::GoTypes;
use model::Model;

use crate::command::{self, TaskError};

/// The crates that are read, with the versions whose form this reader knows.
const SOURCES: &[(&str, &str)] = &[("k8s-pb", "0.9.0"), ("k8s-openapi", "0.29.0")];
const OPENAPI_FEATURE: &str = "v1_36";

/// The Go modules that declare the types that protobuf carries.
const GO_MODULES: &[&str] = &["api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"];
/// The release that is served, and a later one for what its clients send.
const GO_RELEASES: &[&str] = &["v0.36.3", "v0.37.2"];

/// Rewrites `object-merge`'s merge keys and the protobuf table of `kube-types`.
pub fn extract() -> Result<(), TaskError> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let [protobuf, openapi] = fetch(&root.join("target/kube-facts"))?;
    let model = Model::read(&protobuf.join("src"), &openapi.join("src").join(OPENAPI_FEATURE))?;
    write(
        &root.join("crates/object-merge/src/merge_keys.txt"),
        &tables::merge_keys(&model),
    )?;
    let types = GoTypes::read(&go_modules()?)?;
    write(
        &root.join("crates/kube-types/src/protobuf/messages.txt"),
        &tables::messages(&types),
    )
}

/// Where the sources of each release's modules lie after the Go toolchain has fetched them.
fn go_modules() -> Result<Vec<Vec<PathBuf>>, TaskError> {
    let fetch = |release: &str| {
        let modules = GO_MODULES
            .iter()
            .map(|module| go_module(&format!("k8s.io/{module}"), release));
        modules.collect()
    };
    GO_RELEASES.iter().map(|release| fetch(release)).collect()
}

/// The published round-trip objects of the release that is served, after the Go toolchain has fetched them.
pub fn fixtures() -> Result<PathBuf, TaskError> {
    Ok(go_module("k8s.io/api", GO_RELEASES[0])?.join("testdata/HEAD"))
}

/// Fetches a Go module; answers where its sources lie.
pub fn go_module(module: &str, version: &str) -> Result<PathBuf, TaskError> {
    let wanted = format!("{module}@{version}");
    let answer = command::output(Command::new("go").args(["mod", "download", "-json", &wanted]))?;
    let fetched: GoModule =
        serde_json::from_str(&answer).map_err(|error| TaskError::Unexpected(format!("go mod download: {error}")))?;
    Ok(fetched.dir)
}

#[derive(serde::Deserialize)]
struct GoModule {
    #[serde(rename = "Dir")]
    dir: PathBuf,
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
