//! What `store` promises, as tests.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, State};
use axum::http::{Response, StatusCode, header};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::Credentials;

type Blobs = BTreeMap<String, Vec<u8>>;

/// A tar of the given files; names that end in `/` are directories.
fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        // The names of entries are set by hand because the builder refuses those that lead outside.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(if name.ends_with('/') {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_uid(nix::unistd::geteuid().as_raw().into());
        header.set_gid(nix::unistd::getegid().as_raw().into());
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Blobs of an image of these layers, and the digests of its manifest and its configuration.
fn image_blobs(layers: &[Vec<u8>]) -> (Blobs, String, String) {
    let quoted = |digests: Vec<String>| {
        digests
            .iter()
            .map(|digest| format!("{digest:?}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let diff_ids = quoted(layers.iter().map(|layer| digest_of(layer)).collect());
    let configuration = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["A=b"],"Cmd":["sh"],"Entrypoint":null,"User":"101:0"}},"rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    )
    .into_bytes();
    let mut blobs = Blobs::new();
    let mut descriptors = Vec::new();
    for layer in layers {
        let packed = gzip(layer);
        let (digest, size) = (digest_of(&packed), packed.len());
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}"#
        ));
        blobs.insert(digest, packed);
    }
    let id = digest_of(&configuration);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{id}","size":{}}},"layers":[{}]}}"#,
        configuration.len(),
        descriptors.join(",")
    )
    .into_bytes();
    let digest = digest_of(&manifest);
    blobs.insert(id.clone(), configuration);
    blobs.insert(digest.clone(), manifest);
    (blobs, digest, id)
}

/// Writes an OCI layout of these blobs as an archive.
fn write_layout(path: &Path, blobs: &Blobs, manifest: &str, name: &str) {
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest}","size":1,"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}]}}"#
    );
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
    };
    add("index.json", index.as_bytes());
    for (digest, content) in blobs {
        add(&format!("blobs/{}", digest.replace(':', "/")), content);
    }
    archive.finish().unwrap();
}

fn two_layers() -> Vec<Vec<u8>> {
    vec![
        tar_of(&[("etc/", ""), ("etc/a", "1"), ("etc/b", "2"), ("d/", ""), ("d/x", "x")]),
        tar_of(&[
            ("etc/", ""),
            ("etc/.wh.a", ""),
            ("d/", ""),
            ("d/.wh..wh..opq", ""),
            ("d/y", "yy"),
        ]),
    ]
}

#[test]
fn a_loaded_archive_is_found_by_every_name_and_its_layers_are_stackable() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let (blobs, manifest, id) = image_blobs(&two_layers());
    let archive = directory.path().join("app.tar");
    write_layout(&archive, &blobs, &manifest, "app:2");

    let names = store.load_archive(&archive).unwrap();
    assert_eq!(
        names.iter().map(Reference::as_str).collect::<Vec<_>>(),
        ["docker.io/library/app:2"]
    );
    for name in [
        "app:2",
        "docker.io/library/app:2",
        id.as_str(),
        &id["sha256:".len()..],
        &format!("app@{manifest}"),
    ] {
        let image = store.resolve(name).unwrap().unwrap_or_else(|| panic!("{name} is here"));
        assert_eq!(image.id, id, "{name}");
    }
    assert_eq!(store.resolve("app").unwrap(), None, "another tag is another name");

    let image = store.resolve("app:2").unwrap().unwrap();
    assert_eq!(
        (image.process.command.as_slice(), image.process.user.as_str()),
        (["sh".to_owned()].as_slice(), "101:0")
    );
    let lower = store.lower_directories(&image);
    assert_eq!(
        fs::read_to_string(lower[0].join("d/y")).unwrap(),
        "yy",
        "the uppermost layer comes first"
    );
    assert_eq!(fs::read_to_string(lower[1].join("etc/a")).unwrap(), "1");
    let whiteout = fs::symlink_metadata(lower[0].join("etc/a")).unwrap();
    assert!(
        whiteout.file_type().is_char_device(),
        "a removed file is a whiteout device"
    );
    assert!(!lower[0].join("d/.wh..wh..opq").exists());
}

#[test]
fn content_that_is_not_what_its_digest_says_is_refused_and_nothing_is_entered() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let (mut blobs, manifest, id) = image_blobs(&[tar_of(&[("a", "1")])]);
    let other = gzip(&tar_of(&[("a", "2")]));
    let layer = blobs
        .iter()
        .find(|(digest, content)| **digest != manifest && **digest != id && content[0] == 0x1f)
        .unwrap()
        .0
        .clone();
    blobs.insert(layer, other);
    let archive = directory.path().join("app.tar");
    write_layout(&archive, &blobs, &manifest, "app");
    let refused = store.load_archive(&archive).unwrap_err();
    let ImageError::Load { path, source } = refused else {
        panic!("{refused}");
    };
    assert_eq!(path, archive);
    assert!(matches!(*source, ImageError::Digest { .. }), "{source}");
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(fs::read_dir(store.directory().join("layers")).unwrap().count(), 0);
    assert_eq!(
        fs::read_dir(store.directory().join("temporary")).unwrap().count(),
        0,
        "nothing unfinished is left"
    );
}

#[test]
fn entries_that_lead_outside_the_image_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    for name in ["../escaped", "a/../../escaped", "a/../../.wh.escaped"] {
        let (blobs, manifest, _) = image_blobs(&[tar_of(&[(name, "x")])]);
        let archive = directory.path().join("app.tar");
        write_layout(&archive, &blobs, &manifest, "app");
        assert!(store.load_archive(&archive).is_err(), "{name}");
    }
    assert!(!directory.path().join("images/temporary/escaped").exists());
}

#[test]
fn what_is_no_archive_is_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let path = directory.path().join("x");
    for (content, expected) in [
        (b"hello".to_vec(), "x is not an image archive"),
        (tar_of(&[("a", "")]), "neither index.json"),
    ] {
        fs::write(&path, content).unwrap();
        let error = store.load_archive(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = directory.path().join("missing.tar");
    assert!(matches!(store.load_archive(&missing), Err(ImageError::Disk { .. })));
}

#[test]
fn removed_images_leave_their_layers_to_garbage_collection() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let (blobs, manifest, id) = image_blobs(&two_layers());
    let archive = directory.path().join("app.tar");
    for name in ["app:1", "app:2"] {
        write_layout(&archive, &blobs, &manifest, name);
        store.load_archive(&archive).unwrap();
    }
    store.remove("app:1").unwrap();
    assert_eq!(store.resolve("app:1").unwrap(), None);
    assert_eq!(
        store.collect_garbage().unwrap(),
        0,
        "the other name still wants the layers"
    );
    store.remove(&id).unwrap();
    assert!(matches!(store.remove("app:2"), Err(ImageError::NotFound { .. })));
    assert_eq!(store.collect_garbage().unwrap(), 2);
}

#[test]
fn the_built_in_images_hold_this_program_and_enter_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    store.import_builtin("1.2.3").unwrap();
    let before = store.list().unwrap();
    store.import_builtin("1.2.3").unwrap();
    assert_eq!(store.list().unwrap(), before);
    let image = store.resolve("ondol.local/demo").unwrap().unwrap();
    assert_eq!(image.id, store.resolve("ondol.local/demo:1.2.3").unwrap().unwrap().id);
    let root = &store.lower_directories(&image)[0];
    let said = std::process::Command::new(root.join("ondol"))
        .arg("--list")
        .output()
        .unwrap();
    assert!(said.status.success(), "the copy runs");
    assert!(root.join("etc/passwd").is_file());
}

/// A registry of one image, which counts nothing and checks nothing: only what it says matters.
async fn registry(blobs: Blobs, manifest: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |UrlPath(path): UrlPath<String>, State((blobs, manifest)): State<(Arc<Blobs>, String)>| async move {
        let wanted = path.rsplit('/').next().unwrap_or_default();
        let wanted = if wanted == "latest" { manifest.as_str() } else { wanted };
        let kind = if wanted == manifest {
            "application/vnd.oci.image.manifest.v1+json"
        } else {
            "application/octet-stream"
        };
        match blobs.get(wanted) {
            Some(content) => Response::builder()
                .header(header::CONTENT_TYPE, kind)
                .header("docker-content-digest", wanted)
                .body(content.clone().into()),
            None => Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(axum::body::Body::empty()),
        }
        .unwrap()
    };
    let router = axum::Router::new()
        .route("/v2/{*path}", axum::routing::get(answer))
        .with_state((Arc::new(blobs), manifest));
    supervision::Supervisor::new("test").spawn("registry", async move { axum::serve(listener, router).await.unwrap() });
    address.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_brings_what_the_registry_has_and_says_what_it_has_not() {
    // Another test of this process may have been first.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let (blobs, manifest, id) = image_blobs(&two_layers());
    let address = registry(blobs, manifest.clone()).await;

    let reference = Reference::parse(&format!("{address}/team/app")).unwrap();
    let image = store.pull(&reference, &Credentials::Anonymous).await.unwrap();
    assert_eq!(
        (image.id.as_str(), image.digest_reference()),
        (id.as_str(), format!("{address}/team/app@{manifest}").as_str())
    );
    assert_eq!(image.tags, [reference]);

    let missing = Reference::parse(&format!("{address}/team/app:nope")).unwrap();
    let error = store.pull(&missing, &Credentials::Anonymous).await.unwrap_err();
    assert!(
        matches!(&error, ImageError::Pull { reference, .. } if reference.ends_with("team/app:nope")),
        "{error}"
    );
}

#[tokio::test]
async fn a_loaded_name_is_its_own_registry_and_an_unknown_built_in_is_not_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let (blobs, manifest, id) = image_blobs(&[tar_of(&[("a", "1")])]);
    let archive = directory.path().join("app.tar");
    write_layout(&archive, &blobs, &manifest, "localhost:1/app:latest");
    store.load_archive(&archive).unwrap();
    let pulled = store
        .pull(&Reference::parse("localhost:1/app").unwrap(), &Credentials::Anonymous)
        .await
        .unwrap();
    assert_eq!(pulled.id, id, "nothing listens on port 1, so this came from here");
    let unknown = store
        .pull(
            &Reference::parse("ondol.local/nothing").unwrap(),
            &Credentials::Anonymous,
        )
        .await;
    assert!(matches!(unknown, Err(ImageError::NotFound { .. })));
}

#[test]
fn an_archive_of_which_one_image_is_damaged_loads_none_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = ImageStore::open(directory.path().join("images")).unwrap();
    let layer = two_layers().remove(0);
    let configuration = |diff_id: &str| {
        format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
        )
    };
    let saved = r#"[{"Config":"good.json","RepoTags":["good:1"],"Layers":["layer.tar"]},{"Config":"bad.json","RepoTags":["bad:1"],"Layers":["layer.tar"]}]"#;
    let archive = directory.path().join("both.tar");
    let mut builder = tar::Builder::new(File::create(&archive).unwrap());
    let files = [
        ("manifest.json", saved.as_bytes().to_vec()),
        ("good.json", configuration(&digest_of(&layer)).into_bytes()),
        ("bad.json", configuration(&digest_of(b"another")).into_bytes()),
        ("layer.tar", layer),
    ];
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.finish().unwrap();
    let refused = store.load_archive(&archive).unwrap_err();
    assert!(refused.to_string().contains(&*archive.to_string_lossy()), "{refused}");
    assert_eq!(store.resolve("good:1").unwrap(), None);
}
