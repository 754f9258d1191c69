//! The images that Ondol brings along: this very program and the libraries it runs with.
//!
//! The system image is what `aws-node`, `kube-proxy` and `coredns` run; the demo image serves a page. Both are one layer, named by the identity of
//! the program's file, so that a new build is a new image and an old one costs nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::image::{ProcessDefaults, Source};
use crate::layer::digest_of;
use crate::reference::BUILT_IN;
use crate::{ImageError, ImageStore, Reference};

/// Where the program is in its own images.
const PROGRAM: &str = "ondol";

const ACCOUNTS: &str = "root:x:0:0:root:/:/ondol\nnobody:x:65534:65534:nobody:/:/ondol\n";
const GROUPS: &str = "root:x:0:\nnogroup:x:65534:\n";
const NAME_SERVICES: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// The configuration of a built-in image, in the form of the OCI image specification.
#[derive(Serialize)]
struct BuiltIn<'a> {
    architecture: &'a str,
    os: &'a str,
    config: ProcessDefaults,
    rootfs: Layers<'a>,
}

#[derive(Serialize)]
struct Layers<'a> {
    r#type: &'a str,
    diff_ids: [&'a str; 1],
}

impl ImageStore {
    /// Enters the built-in images under `ondol.local/…:<version>` and `:latest`. Does nothing if they are those of this program already. Blocks.
    ///
    /// # Errors
    /// When the program's own files cannot be read or the store cannot be written.
    pub fn import_builtin(&self, version: &str) -> Result<(), ImageError> {
        let program = std::env::current_exe().map_err(ImageError::disk("find", "/proc/self/exe"))?;
        let libraries = libraries()?;
        let layer = identity(&program, &libraries)?;
        if !self.layer(&layer).is_dir() {
            let temporary = self.temporary()?;
            let root = temporary.path().join("root");
            build_root(&root, &program, &libraries)?;
            self.place_layer(&root, &self.layer(&layer))?;
        }
        let directories: BTreeSet<&Path> = libraries.iter().filter_map(|library| library.parent()).collect();
        let search: Vec<String> = directories
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        for (name, command) in [("system", Vec::new()), ("demo", vec!["serve-page".to_owned()])] {
            let configuration = BuiltIn {
                architecture: std::env::consts::ARCH,
                os: "linux",
                config: ProcessDefaults {
                    entrypoint: vec![format!("/{PROGRAM}")],
                    command,
                    environment: vec!["PATH=/".to_owned(), format!("LD_LIBRARY_PATH={}", search.join(":"))],
                    ..ProcessDefaults::default()
                },
                rootfs: Layers {
                    r#type: "layers",
                    diff_ids: [&layer],
                },
            };
            let content = serde_json::to_vec(&configuration).map_err(|error| ImageError::Unsupported {
                what: "built-in image".into(),
                reason: error.to_string(),
            })?;
            for tag in [version, "latest"] {
                let reference = Reference::parse(&format!("{BUILT_IN}/{name}:{tag}"))?;
                let id = digest_of(&content);
                let named = self.resolve(reference.as_str())?;
                if named.is_none_or(|image| image.id != id) {
                    self.enter(self.image_of(&content, Vec::new())?, Some((reference, Source::BuiltIn)))?;
                }
            }
        }
        Ok(())
    }
}

/// The shared libraries that this process runs with, its loader among them.
fn libraries() -> Result<BTreeSet<PathBuf>, ImageError> {
    let maps = fs::read_to_string("/proc/self/maps").map_err(ImageError::disk("read", "/proc/self/maps"))?;
    let mapped = maps
        .lines()
        .filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])));
    Ok(mapped
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains(".so"))
        })
        .collect())
}

/// Names the layer by what its files are, without reading the hundreds of megabytes of a debug build.
fn identity(program: &Path, libraries: &BTreeSet<PathBuf>) -> Result<String, ImageError> {
    let mut text = String::from("built-in layer 1\n");
    for path in std::iter::once(program).chain(libraries.iter().map(PathBuf::as_path)) {
        let metadata = fs::metadata(path).map_err(ImageError::disk("look at", path))?;
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        text += &format!(
            "{} {} {seconds}.{nanoseconds} {}\n",
            path.display(),
            metadata.ino(),
            metadata.len()
        );
    }
    Ok(digest_of(text.as_bytes()))
}

fn build_root(root: &Path, program: &Path, libraries: &BTreeSet<PathBuf>) -> Result<(), ImageError> {
    for directory in ["etc", "dev", "proc", "sys", "run", "usr/lib", "usr/lib64", "tmp", "var"] {
        let path = root.join(directory);
        fs::create_dir_all(&path).map_err(ImageError::disk("make", path))?;
    }
    let temporary = root.join("tmp");
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o1777))
        .map_err(ImageError::disk("set the mode of", temporary))?;
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).map_err(ImageError::disk("link", root.join(name)))?;
    }
    for (name, content) in [
        ("passwd", ACCOUNTS),
        ("group", GROUPS),
        ("nsswitch.conf", NAME_SERVICES),
    ] {
        let path = root.join("etc").join(name);
        fs::write(&path, content).map_err(ImageError::disk("write", path))?;
    }
    place(program, &root.join(PROGRAM))?;
    for library in libraries {
        let inside = library.strip_prefix("/").unwrap_or(library);
        let inside = if inside.starts_with("lib") || inside.starts_with("lib64") {
            Path::new("usr").join(inside)
        } else {
            inside.to_path_buf()
        };
        place(library, &root.join(inside))?;
    }
    // The program names its loader by a path of its own, often through a link.
    for loader in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
        let outside = Path::new("/").join(loader);
        let inside = root.join("usr").join(loader);
        if outside.exists() && !inside.exists() {
            place(&outside, &inside)?;
        }
    }
    Ok(())
}

/// Puts a file into the image: the same file where the file system allows it, so that its pages are shared in memory, else a copy.
fn place(from: &Path, to: &Path) -> Result<(), ImageError> {
    let from = from.canonicalize().map_err(ImageError::disk("find", from))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(ImageError::disk("make", parent))?;
    }
    if fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    fs::copy(&from, to).map(drop).map_err(ImageError::disk("copy to", to))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(ImageError::disk("set the mode of", to))
}
