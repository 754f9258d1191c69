//! Python packages of an image: from PyPI, by pip, as files beside Debian's interpreter.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Entry, Tree};
use crate::command::{TaskError, at, on_path, run};

/// Where Debian's interpreter looks.
const PLACE: &str = "usr/lib/python3/dist-packages";

/// The services whose models stay: botocore has hundreds, and images are loaded by every test that needs one.
const SERVICES: [&str; 6] = ["autoscaling", "ec2", "eks", "iam", "ssm", "sts"];

/// Adds packages and what they need. They must be pure Python: the image's interpreter is another than this machine's.
pub fn add(tree: &mut Tree, packages: &[&str], directory: &Path) -> Result<(), TaskError> {
    if packages.is_empty() {
        return Ok(());
    }
    let python = on_path("python3").ok_or_else(|| {
        TaskError::Missing("python3 is not on PATH: packages of images are fetched with its pip".into())
    })?;
    let site = directory.join("python").join(packages.join("-"));
    run(Command::new(python)
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
            "--upgrade",
            "--target",
        ])
        .arg(&site)
        .args(packages))?;
    add_directory(tree, &site, PLACE)
}

fn add_directory(tree: &mut Tree, directory: &Path, place: &str) -> Result<(), TaskError> {
    tree.insert(place.to_owned(), Entry::Directory(0o755));
    let mut entries: Vec<_> = fs::read_dir(directory)
        .map_err(at(directory))?
        .collect::<Result<_, _>>()
        .map_err(at(directory))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{place}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            if is_wanted(&path, place) {
                add_directory(tree, &path, &name)?;
            }
            continue;
        }
        let mode = fs::metadata(&path).map_err(at(&path))?.permissions().mode() & 0o777;
        let content = fs::read(&path).map_err(at(&path))?;
        tree.insert(name, Entry::File { mode, content });
    }
    Ok(())
}

/// A folder of botocore's models is wanted for some services only.
fn is_wanted(path: &Path, place: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name == "__pycache__" {
        return false;
    }
    !place.ends_with("/botocore/data") || SERVICES.contains(&name)
}
