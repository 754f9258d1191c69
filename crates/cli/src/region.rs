//! Finding the running region and its keys below Ondol's home.

use std::path::{Path, PathBuf};

use aws_types::AccountId;
use aws_types::region_files::{ACCOUNTS_DIRECTORY, CREDENTIALS_FILE, Credentials, ENDPOINT_FILE, RegionEndpoint};
use serde::de::DeserializeOwned;

/// Why the region cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No home is given and the user has none.
    #[error("neither --home, ONDOL_HOME nor HOME says where state is kept")]
    NoHome,
    /// There is no region, or it never ran.
    #[error("no region runs in {home}; start one with `ondol up`")]
    NotRunning {
        /// The home.
        home: PathBuf,
    },
    /// Nobody made the account.
    #[error("there is no account {0}; make it with `ondol account create {0}`")]
    NoAccount(String),
    /// A file of it cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of it is damaged.
    #[error("understand {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Ondol's home: the given one, or `~/.ondol`.
pub fn home(given: Option<&Path>) -> Result<PathBuf, FindError> {
    let default = || {
        std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(|home| PathBuf::from(home).join(".ondol"))
    };
    given.map(Path::to_owned).or_else(default).ok_or(FindError::NoHome)
}

/// The running region's description.
pub fn endpoint(home: &Path) -> Result<RegionEndpoint, FindError> {
    read(home, ENDPOINT_FILE)
}

/// The variable that says whose keys commands use: an account's id.
pub const ACCOUNT: &str = "ONDOL_ACCOUNT";

/// The keys of the administrator of the account that the environment names, or of the first account.
pub fn credentials(home: &Path) -> Result<Credentials, FindError> {
    let account = std::env::var(ACCOUNT).ok().filter(|account| !account.is_empty());
    credentials_of(home, account.as_deref())
}

/// The keys of the administrator of an account, the first one when none is named.
pub fn credentials_of(home: &Path, account: Option<&str>) -> Result<Credentials, FindError> {
    let first: Credentials = read(home, CREDENTIALS_FILE)?;
    match account {
        Some(account) if account != first.account_id.as_str() => {
            let no_account = || FindError::NoAccount(account.to_owned());
            let id = AccountId::new(account).map_err(|_malformed| no_account())?;
            match read(home, &format!("{ACCOUNTS_DIRECTORY}/{id}.json")) {
                Err(FindError::NotRunning { .. }) => Err(no_account()),
                found => found,
            }
        }
        _ => Ok(first),
    }
}

/// The keys of every account's administrator, the first account's first.
pub fn accounts(home: &Path) -> Result<Vec<Credentials>, FindError> {
    let mut all = vec![read(home, CREDENTIALS_FILE)?];
    let directory = home.join(ACCOUNTS_DIRECTORY);
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
        Err(source) => {
            return Err(FindError::Read {
                path: directory,
                source,
            });
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
    for name in names {
        all.push(read(home, &format!("{ACCOUNTS_DIRECTORY}/{name}"))?);
    }
    Ok(all)
}

fn read<T: DeserializeOwned>(home: &Path, file: &str) -> Result<T, FindError> {
    let path = home.join(file);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(FindError::NotRunning { home: home.to_owned() });
        }
        Err(source) => return Err(FindError::Read { path, source }),
    };
    serde_json::from_slice(&text).map_err(|source| FindError::Parse { path, source })
}
