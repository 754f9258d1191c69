//! The kubeconfig: a cluster's entry merged into the user's file, with everything else in it left as it is.
//!
//! Written aside and renamed under a lock file, as client-go does, so that two writers or a killed one lose nothing.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Why a kubeconfig cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// There is no place for it.
    #[error("neither --kubeconfig, KUBECONFIG nor HOME says where the kubeconfig is")]
    NoPlace,
    /// A file cannot be worked with.
    #[error("{step} {path}")]
    File {
        /// For example `read`.
        step: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else is writing it.
    #[error("{path} is there: another program writes the kubeconfig; remove it if none does")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// It is no kubeconfig.
    #[error("{path} is not a kubeconfig: {reason}; it is left as it is")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Any YAML value: what others wrote into the file is kept without being understood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Yaml {
    Null,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    List(Vec<Yaml>),
    Map(BTreeMap<String, Yaml>),
}

/// The entry of one cluster.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `<cluster>.<region>.eksctl.io`.
    pub cluster: String,
    /// `<user>@<cluster>.<region>.eksctl.io`: context and user.
    pub context: String,
    /// The API server.
    pub server: String,
    /// Its authority, base64 of PEM.
    pub certificate_authority_data: String,
    /// The program that gives tokens.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
}

impl Entry {
    /// eksctl's names for a cluster and the last part of its caller's ARN.
    pub fn names(cluster: &str, region: &str, user: &str) -> (String, String) {
        let name = format!("{cluster}.{region}.eksctl.io");
        let context = format!("{user}@{name}");
        (name, context)
    }
}

/// The file to change: the given one, the first of `KUBECONFIG`, or `~/.kube/config`.
///
/// # Errors
/// When none of them says where.
pub fn path(given: Option<&Path>) -> Result<PathBuf, KubeconfigError> {
    let from_list = || {
        let list = std::env::var_os("KUBECONFIG")?;
        std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    };
    let from_home = || {
        std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(|home| PathBuf::from(home).join(".kube/config"))
    };
    given
        .map(Path::to_owned)
        .or_else(from_list)
        .or_else(from_home)
        .ok_or(KubeconfigError::NoPlace)
}

/// The file of a cluster's own, `~/.kube/eksctl/clusters/<name>` (`--auto-kubeconfig`).
///
/// # Errors
/// When the user has no home.
pub fn own_path(cluster: &str) -> Result<PathBuf, KubeconfigError> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or(KubeconfigError::NoPlace)?;
    Ok(PathBuf::from(home).join(".kube/eksctl/clusters").join(cluster))
}

/// Writes the entry, and makes its context the current one if asked to.
///
/// # Errors
/// When the file cannot be locked, read, understood or written.
pub fn write(path: &Path, entry: &Entry, set_context: bool) -> Result<(), KubeconfigError> {
    change(path, |config| {
        put(
            config,
            "clusters",
            &entry.cluster,
            map([(
                "cluster",
                map([
                    ("certificate-authority-data", text(&entry.certificate_authority_data)),
                    ("server", text(&entry.server)),
                ]),
            )]),
        );
        put(
            config,
            "contexts",
            &entry.context,
            map([(
                "context",
                map([("cluster", text(&entry.cluster)), ("user", text(&entry.context))]),
            )]),
        );
        let variable = |(name, value): &(String, String)| map([("name", text(name)), ("value", text(value))]);
        let env = if entry.env.is_empty() {
            Yaml::Null
        } else {
            Yaml::List(entry.env.iter().map(variable).collect())
        };
        put(
            config,
            "users",
            &entry.context,
            map([(
                "user",
                map([(
                    "exec",
                    map([
                        ("apiVersion", text("client.authentication.k8s.io/v1beta1")),
                        (
                            "args",
                            Yaml::List(entry.args.iter().map(|argument| text(argument)).collect()),
                        ),
                        ("command", text(&entry.command)),
                        ("env", env),
                        ("interactiveMode", text("IfAvailable")),
                        ("provideClusterInfo", Yaml::Boolean(false)),
                    ]),
                )]),
            )]),
        );
        if set_context {
            config.insert("current-context".to_owned(), text(&entry.context));
        }
    })
}

/// Removes a cluster with its contexts and users; what does not name it is left.
///
/// # Errors
/// When the file cannot be locked, read, understood or written.
pub fn remove(path: &Path, cluster: &str) -> Result<bool, KubeconfigError> {
    if !path.exists() {
        return Ok(false);
    }
    let suffix = format!("@{cluster}");
    let is_its = |name: &str| name == cluster || name.ends_with(&suffix);
    let mut removed = false;
    change(path, |config| {
        for section in ["clusters", "contexts", "users"] {
            if let Some(Yaml::List(items)) = config.get_mut(section) {
                let before = items.len();
                items.retain(|item| !name_of(item).is_some_and(is_its));
                removed |= items.len() != before;
            }
        }
        if matches!(config.get("current-context"), Some(Yaml::Text(current)) if is_its(current)) {
            config.insert("current-context".to_owned(), text(""));
        }
    })?;
    Ok(removed)
}

fn text(value: &str) -> Yaml {
    Yaml::Text(value.to_owned())
}

fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn name_of(item: &Yaml) -> Option<&str> {
    match item {
        Yaml::Map(fields) => match fields.get("name") {
            Some(Yaml::Text(name)) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Replaces the item of that name in a section, or adds it.
fn put(config: &mut BTreeMap<String, Yaml>, section: &str, name: &str, mut item: Yaml) {
    if let Yaml::Map(fields) = &mut item {
        fields.insert("name".to_owned(), text(name));
    }
    let items = config
        .entry(section.to_owned())
        .or_insert_with(|| Yaml::List(Vec::new()));
    if !matches!(items, Yaml::List(_)) {
        *items = Yaml::List(Vec::new());
    }
    if let Yaml::List(items) = items {
        match items.iter_mut().find(|other| name_of(other) == Some(name)) {
            Some(other) => *other = item,
            None => items.push(item),
        }
    }
}

fn change(path: &Path, edit: impl FnOnce(&mut BTreeMap<String, Yaml>)) -> Result<(), KubeconfigError> {
    // A link is followed, so that the file it names is replaced and not the link.
    let real = fs::canonicalize(path).unwrap_or_else(|_not_there_yet| path.to_owned());
    let file = |step, path: &Path| {
        let path = path.to_owned();
        move |source| KubeconfigError::File { step, path, source }
    };
    if let Some(folder) = real.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(file("create the directory", folder))?;
    }
    let _lock = Lock::take(&real)?;
    let mut config = read(&real)?;
    edit(&mut config);
    for (key, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        config.entry(key.to_owned()).or_insert_with(|| text(value));
    }
    config
        .entry("preferences".to_owned())
        .or_insert_with(|| Yaml::Map(BTreeMap::new()));
    // Block scalars would be right too, but other programs search these files line by line.
    let plain = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let written = serde_saphyr::to_string_with_options(&config, plain).map_err(|error| KubeconfigError::Parse {
        path: real.clone(),
        reason: error.to_string(),
    })?;
    let aside = real.with_extension(format!("{}.ondol", std::process::id()));
    let mut new = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(file("create", &aside))?;
    let stored = new
        .write_all(written.as_bytes())
        .and_then(|()| new.sync_all())
        .and_then(|()| fs::rename(&aside, &real));
    stored.map_err(file("write", &real))
}

fn read(path: &Path) -> Result<BTreeMap<String, Yaml>, KubeconfigError> {
    let content = match fs::read_to_string(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => {
            return Err(KubeconfigError::File {
                step: "read",
                path: path.to_owned(),
                source,
            });
        }
    };
    if content.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    serde_saphyr::from_str(&content).map_err(|error| KubeconfigError::Parse {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// client-go's own lock: a file beside the kubeconfig that only one program can make.
struct Lock {
    path: PathBuf,
}

impl Lock {
    fn take(kubeconfig: &Path) -> Result<Self, KubeconfigError> {
        let mut name = kubeconfig.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        match File::options().write(true).create_new(true).open(&path) {
            Ok(_made) => Ok(Self { path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KubeconfigError::Locked { path }),
            Err(source) => Err(KubeconfigError::File {
                step: "lock",
                path,
                source,
            }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("warning: remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests;
