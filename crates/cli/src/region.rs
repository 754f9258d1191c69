//! Finding the running region and its keys below Ondol's home.

use std::path::{Path, PathBuf};

use aws_types::region_files::{CREDENTIALS_FILE, Credentials, ENDPOINT_FILE, RegionEndpoint};
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

/// The administrator's keys.
pub fn credentials(home: &Path) -> Result<Credentials, FindError> {
    read(home, CREDENTIALS_FILE)
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
