//! Container images for tests, made from Debian packages: nothing is pulled from a registry and no binary is committed.
//!
//! An image is an OCI layout in a tar archive, as `ondol image load` and other engines read it.

mod python;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use crate::command::{TaskError, at, output, run, target};

/// What an image is made of.
struct Recipe {
    name: &'static str,
    packages: &'static [&'static str],
    /// Packages of PyPI.
    python: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    directories: &'static [&'static str],
    command: &'static [&'static str],
    stop_signal: Option<&'static str>,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        name: "busybox",
        packages: &["busybox-static"],
        python: &[],
        files: &[],
        directories: &[],
        command: &["sh"],
        stop_signal: None,
    },
    Recipe {
        name: "nginx",
        packages: &[
            "busybox-static",
            "libc6",
            "libcrypt1",
            "libpcre2-8-0",
            "libssl3",
            "zlib1g",
            "nginx",
            "nginx-common",
        ],
        python: &[],
        files: &[
            ("etc/nginx/nginx.conf", NGINX_CONFIGURATION),
            ("etc/nginx/conf.d/default.conf", NGINX_SITE),
        ],
        directories: &["var/lib/nginx", "var/log/nginx"],
        command: &["nginx", "-g", "daemon off;"],
        stop_signal: Some("SIGQUIT"),
    },
    // Debian's own boto3 is older than EKS Pod Identity and AWS_ENDPOINT_URL.
    Recipe {
        name: "boto3",
        packages: &[
            "busybox-static",
            "libbz2-1.0",
            "libc6",
            "libcrypt1",
            "libexpat1",
            "libffi8",
            "liblzma5",
            "libpython3.11-minimal",
            "libpython3.11-stdlib",
            "libssl3",
            "libuuid1",
            "python3-minimal",
            "python3.11-minimal",
            "zlib1g",
        ],
        python: &["boto3"],
        files: &[],
        directories: &[],
        command: &["python3"],
        stop_signal: None,
    },
];

const NGINX_CONFIGURATION: &str = "user nginx;
worker_processes 1;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout combined;
  include /etc/nginx/conf.d/*.conf;
}
";

const NGINX_SITE: &str = "server {
  listen 80;
  server_name localhost;
  location / { root /usr/share/nginx/html; index index.html; }
}
";

const ACCOUNTS: &str = "root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nginx:x:101:101:nginx:/nonexistent:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";

const GROUPS: &str = "root:x:0:\nwww-data:x:33:\nnginx:x:101:\nnogroup:x:65534:\n";

/// Programs of busybox that tests call by name.
const APPLETS: &[&str] = &[
    "awk", "cat", "date", "df", "echo", "env", "false", "find", "grep", "head", "hostname", "httpd", "id", "ip",
    "kill", "ls", "mkdir", "mount", "nc", "nproc", "nslookup", "ping", "ps", "rm", "sed", "seq", "sh", "sleep", "stat",
    "tail", "test", "top", "touch", "tr", "true", "vi", "wc", "wget", "whoami",
];

/// Documentation and host integration that a container does not need.
const LEFT_OUT: &[&str] = &[
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/bug/",
    "usr/share/bash-completion/",
    "usr/lib/systemd/",
    "etc/init.d/",
    "etc/logrotate.d/",
    "etc/cron",
    "etc/ufw/",
    "usr/share/gdb/",
    "usr/share/vim/",
];

/// Seconds since the epoch that every entry carries, so that the same packages give the same digest.
const MODIFIED: u64 = 1_700_000_000;

/// One entry of the root file system.
enum Entry {
    Directory(u32),
    Link(String),
    File { mode: u32, content: Vec<u8> },
}

type Tree = BTreeMap<String, Entry>;

/// Builds the images that are not there yet and returns their archives.
pub fn build_all() -> Result<Vec<PathBuf>, TaskError> {
    let directory = target().join("test-images");
    fs::create_dir_all(&directory).map_err(at(&directory))?;
    RECIPES
        .iter()
        .map(|recipe| {
            let archive = directory.join(format!("{}.tar", recipe.name));
            if !archive.is_file() {
                build(recipe, &directory, &archive)?;
            }
            Ok(archive)
        })
        .collect()
}

fn build(recipe: &Recipe, directory: &Path, archive: &Path) -> Result<(), TaskError> {
    let mut tree = skeleton();
    for package in recipe.packages {
        let deb = download(package, &directory.join("packages"))?;
        add_package(&mut tree, &deb)?;
    }
    python::add(&mut tree, recipe.python, directory)?;
    for name in recipe.directories {
        tree.insert((*name).to_owned(), Entry::Directory(0o755));
    }
    for (name, content) in recipe.files {
        tree.insert(
            (*name).to_owned(),
            Entry::File {
                mode: 0o644,
                content: content.as_bytes().to_vec(),
            },
        );
    }
    let partial = archive.with_extension("partial");
    fs::write(&partial, layout(recipe, &layer(&tree)?)?).map_err(at(&partial))?;
    fs::rename(&partial, archive).map_err(at(archive))
}

/// Fetches one package, or finds it where an earlier run put it.
fn download(package: &str, directory: &Path) -> Result<PathBuf, TaskError> {
    fs::create_dir_all(directory).map_err(at(directory))?;
    let find = || -> Result<Option<PathBuf>, TaskError> {
        let prefix = format!("{package}_");
        for entry in fs::read_dir(directory).map_err(at(directory))? {
            let path = entry.map_err(at(directory))?.path();
            if path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".deb"))
            {
                return Ok(Some(path));
            }
        }
        Ok(None)
    };
    if let Some(found) = find()? {
        return Ok(found);
    }
    let fetch = || {
        output(
            Command::new("apt-get")
                .args(["download", "--quiet", package])
                .current_dir(directory),
        )
    };
    if fetch().is_err() {
        // A machine that never asked has no list of packages; asking needs root, as CI has it.
        run(Command::new("apt-get").args(["update", "--quiet"]))?;
        fetch()?;
    }
    find()?.ok_or_else(|| {
        TaskError::Unexpected(format!(
            "apt-get download {package} left no package in {}",
            directory.display()
        ))
    })
}

fn skeleton() -> Tree {
    let mut tree = Tree::new();
    for name in [
        "usr",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "etc",
        "proc",
        "sys",
        "dev",
        "run",
        "var",
        "root",
    ] {
        tree.insert(name.to_owned(), Entry::Directory(0o755));
    }
    tree.insert("tmp".to_owned(), Entry::Directory(0o1777));
    for name in ["bin", "sbin", "lib", "lib64"] {
        tree.insert(name.to_owned(), Entry::Link(format!("usr/{name}")));
    }
    for applet in APPLETS {
        tree.insert(format!("usr/bin/{applet}"), Entry::Link("/usr/bin/busybox".to_owned()));
    }
    tree.insert(
        "etc/passwd".to_owned(),
        Entry::File {
            mode: 0o644,
            content: ACCOUNTS.as_bytes().to_vec(),
        },
    );
    tree.insert(
        "etc/group".to_owned(),
        Entry::File {
            mode: 0o644,
            content: GROUPS.as_bytes().to_vec(),
        },
    );
    tree
}

/// Debian's packages of this release still name `/bin` and `/lib`, which are links into `/usr` in the image.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    match path.split('/').next() {
        Some("bin" | "sbin" | "lib" | "lib64") => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

fn add_package(tree: &mut Tree, deb: &Path) -> Result<(), TaskError> {
    let mut command = Command::new("dpkg-deb");
    let listing = command.arg("--fsys-tarfile").arg(deb).output();
    let listing = listing.map_err(|source| TaskError::Start {
        program: "dpkg-deb".into(),
        source,
    })?;
    if !listing.status.success() {
        return Err(TaskError::Unexpected(format!("dpkg-deb cannot read {}", deb.display())));
    }
    let mut archive = Archive::new(Cursor::new(listing.stdout));
    for entry in archive.entries().map_err(at(deb))? {
        let mut entry = entry.map_err(at(deb))?;
        let name = merged(&entry.path().map_err(at(deb))?.to_string_lossy());
        let is_kept = !name.is_empty() && !LEFT_OUT.iter().any(|prefix| format!("{name}/").starts_with(prefix));
        if !is_kept || matches!(tree.get(&name), Some(Entry::Link(_))) {
            continue;
        }
        let mode = entry.header().mode().map_err(at(deb))?;
        let made = match entry.header().entry_type() {
            EntryType::Directory => Entry::Directory(mode),
            EntryType::Symlink => {
                let to = entry.link_name().map_err(at(deb))?;
                Entry::Link(to.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default())
            }
            EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(at(deb))?;
                Entry::File { mode, content }
            }
            other => {
                return Err(TaskError::Unexpected(format!(
                    "{}: {name} is a {other:?}",
                    deb.display()
                )));
            }
        };
        tree.insert(name, made);
    }
    Ok(())
}

fn layer(tree: &Tree) -> Result<Vec<u8>, TaskError> {
    let mut archive = Builder::new(Vec::new());
    for (name, entry) in tree {
        let (kind, mode) = match entry {
            Entry::Directory(mode) => (EntryType::Directory, *mode),
            Entry::Link(_) => (EntryType::Symlink, 0o777),
            Entry::File { mode, .. } => (EntryType::Regular, *mode),
        };
        let mut header = header_of(kind, mode);
        match entry {
            Entry::Directory(_) => archive.append_data(&mut header, format!("{name}/"), std::io::empty()),
            Entry::Link(to) => archive.append_link(&mut header, name, to),
            Entry::File { content, .. } => {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, name, content.as_slice())
            }
        }
        .map_err(at(Path::new(name)))?;
    }
    archive.into_inner().map_err(at(Path::new("layer")))
}

fn header_of(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(MODIFIED);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The OCI layout of an image of one layer, as a tar archive.
fn layout(recipe: &Recipe, layer: &[u8]) -> Result<Vec<u8>, TaskError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(layer).map_err(at(Path::new(recipe.name)))?;
    let packed = encoder.finish().map_err(at(Path::new(recipe.name)))?;
    let mut process = json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": recipe.command,
    });
    if let Some(signal) = recipe.stop_signal {
        process["StopSignal"] = json!(signal);
    }
    let configuration = json!({
        "architecture": "amd64", "os": "linux", "config": process,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest(layer))] },
    })
    .to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": format!("sha256:{}", digest(configuration.as_bytes())), "size": configuration.len() },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": format!("sha256:{}", digest(&packed)), "size": packed.len() }],
    })
    .to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{}", digest(manifest.as_bytes())), "size": manifest.len(),
        "annotations": { "org.opencontainers.image.ref.name": format!("docker.io/library/{}:latest", recipe.name) },
    }] })
    .to_string();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    for blob in [packed, configuration.into_bytes(), manifest.into_bytes()] {
        files.push((format!("blobs/sha256/{}", digest(&blob)), blob));
    }
    let mut archive = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = header_of(EntryType::Regular, 0o644);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, &name, content.as_slice())
            .map_err(at(Path::new(&name)))?;
    }
    archive.into_inner().map_err(at(Path::new(recipe.name)))
}
