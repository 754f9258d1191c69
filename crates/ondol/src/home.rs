//! Where an Ondol keeps what it must not lose: the state directory and the places in it.

use std::path::{Path, PathBuf};

use aws_api::credentials::DEFAULT_ACCOUNT;
use aws_api::host::ClusterRef;
use aws_types::InstanceId;

/// A cluster among those of all accounts and regions: the first account's have no account before them.
pub fn part_of(cluster: &ClusterRef) -> String {
    let ClusterRef { account, region, name } = cluster;
    match account.as_str() {
        DEFAULT_ACCOUNT => format!("{region}/{name}"),
        account => format!("{account}/{region}/{name}"),
    }
}

/// The state directory. One Ondol has one; two with different directories do not see each other.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

impl Home {
    /// The state directory at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The region's own store, log and process id.
    pub fn region(&self) -> PathBuf {
        self.0.join("region")
    }

    /// Images, shared by all machines.
    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    /// All clusters; made with the first one.
    pub fn clusters(&self) -> PathBuf {
        self.0.join("clusters")
    }

    /// One cluster's store and keys.
    pub fn cluster(&self, cluster: &ClusterRef) -> PathBuf {
        self.clusters().join(part_of(cluster))
    }

    /// All machines. Short, because sockets below it may have paths of 107 bytes only.
    pub fn machines(&self) -> PathBuf {
        self.0.join("m")
    }

    /// One machine's configuration, sockets, pods and logs.
    pub fn machine(&self, instance: &InstanceId) -> PathBuf {
        self.machines().join(instance.as_str())
    }
}
