//! How keys and certificates lie in the cluster's directory: keys 0600, written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::{CertificatePair, PkiError};

pub(super) fn make_directory(dir: &Path) -> Result<(), PkiError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| PkiError::File {
        action: "make directory",
        path: dir.display().to_string(),
        source,
    })
}

/// The text of a file; `None` when there is no such file.
pub(super) fn read_text(dir: &Path, name: &str) -> Result<Option<String>, PkiError> {
    let path = dir.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::File {
            action: "read",
            path: path.display().to_string(),
            source,
        }),
    }
}

/// A certificate and its key, and what they were made for. `None` unless both are there: the certificate is written
/// last, so a key alone is the trace of an interrupted start.
pub(super) fn read_pair(dir: &Path, name: &str) -> Result<Option<(CertificatePair, String)>, PkiError> {
    let certificate = read_text(dir, &format!("{name}.crt"))?;
    let key = read_text(dir, &format!("{name}.key"))?;
    let made_for = read_text(dir, &format!("{name}.names"))?.unwrap_or_default();
    Ok(certificate.zip(key).map(|(certificate_pem, key_pem)| {
        (
            CertificatePair {
                certificate_pem,
                key_pem,
            },
            made_for,
        )
    }))
}

pub(super) fn write_pair(dir: &Path, name: &str, pair: &CertificatePair, made_for: &str) -> Result<(), PkiError> {
    write_secret(dir, &format!("{name}.key"), &pair.key_pem)?;
    if !made_for.is_empty() {
        write_public(dir, &format!("{name}.names"), made_for)?;
    }
    write_public(dir, &format!("{name}.crt"), &pair.certificate_pem)
}

pub(super) fn write_secret(dir: &Path, name: &str, text: &str) -> Result<(), PkiError> {
    write(dir, name, text, 0o600)
}

pub(super) fn write_public(dir: &Path, name: &str, text: &str) -> Result<(), PkiError> {
    write(dir, name, text, 0o644)
}

fn write(dir: &Path, name: &str, text: &str, mode: u32) -> Result<(), PkiError> {
    let path = dir.join(name);
    let draft = dir.join(format!(".{name}.new"));
    let failed = |source| PkiError::File {
        action: "write",
        path: path.display().to_string(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&draft, &path).map_err(failed)
}
