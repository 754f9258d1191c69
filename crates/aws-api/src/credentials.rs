//! The built-in administrator's access key: made once for a home, kept in a file that only its owner reads.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_types::AccountId;
use aws_types::region_files::Credentials;
use clock::Random;

/// Why the administrator's keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{step} {path}")]
    File {
        /// `read`, `write` or `create the directory of`.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is damaged. It is not replaced: kubeconfigs and environments may still hold its key.
    #[error("understand {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The account of a new home.
pub const DEFAULT_ACCOUNT: &str = "000000000000";
/// The administrator's user name.
pub const ADMINISTRATOR: &str = "admin";

/// The keys in `path`, made and written there at the first start.
///
/// # Errors
/// When the file cannot be read, understood or written.
pub fn load_or_create(path: &Path, random: &dyn Random) -> Result<Credentials, CredentialsError> {
    let account = AccountId::new(DEFAULT_ACCOUNT).expect("the default account is twelve digits");
    load_or_create_for(path, account, random)
}

/// The keys of an account's administrator in `path`, made and written there when there are none.
///
/// # Errors
/// When the file cannot be read, understood or written.
pub fn load_or_create_for(
    path: &Path,
    account: AccountId,
    random: &dyn Random,
) -> Result<Credentials, CredentialsError> {
    let file = |step| {
        move |source| CredentialsError::File {
            step,
            path: path.to_owned(),
            source,
        }
    };
    match read(path) {
        Err(CredentialsError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let made = generate(account, random);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(file("create the directory of"))?;
            }
            write(path, &made).map_err(file("write"))?;
            Ok(made)
        }
        known => known,
    }
}

/// The keys in a file that is there.
///
/// # Errors
/// When it cannot be read or understood.
pub fn read(path: &Path) -> Result<Credentials, CredentialsError> {
    let text = std::fs::read(path).map_err(|source| CredentialsError::File {
        step: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| CredentialsError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// New keys of an account's administrator in the form of AWS's: `AKIA` and 16 capital letters and digits, and a secret of 40 characters.
pub fn generate(account_id: AccountId, random: &dyn Random) -> Credentials {
    Credentials {
        account_id,
        user_name: ADMINISTRATOR.to_owned(),
        access_key_id: format!("AKIA{}", random.alphanumeric(16).to_uppercase()),
        secret_access_key: random.alphanumeric(40),
    }
}

/// Written aside and renamed, so that a killed process leaves no half file.
fn write(path: &Path, credentials: &Credentials) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let aside = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(&serde_json::to_vec_pretty(credentials)?)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}
