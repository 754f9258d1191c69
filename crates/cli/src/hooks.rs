//! What the commands need from the binary: starting and stopping the region process, and the image store.
//!
//! These run in the command's own process, before any runtime is started, because they may fork, enter namespaces, or work
//! while no region runs.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a hook failed. Its chain of causes is printed.
pub type HookError = Box<dyn Error + Send + Sync>;

/// Implemented by the binary.
pub trait Hooks {
    /// Starts the region process, detached, and returns when its endpoint answers. A region that runs already is success.
    fn up(&self, options: &UpOptions) -> Result<UpReport, HookError>;

    /// Stops the region process, its clusters and machines; works without a running region too.
    fn down(&self, options: &DownOptions) -> Result<DownReport, HookError>;

    /// Makes an account whose keys are below the home, unless it is there; answers its id. A region that runs sees it at once.
    fn account_create(&self, home: &Path, id: Option<&str>) -> Result<String, HookError>;

    /// Reads an OCI or docker-save archive into the image store; returns the references it now holds.
    fn image_load(&self, home: &Path, archive: &Path) -> Result<Vec<String>, HookError>;

    /// The images of the store.
    fn image_list(&self, home: &Path) -> Result<Vec<Image>, HookError>;
}

/// `ondol up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpOptions {
    /// The state directory.
    pub home: PathBuf,
    /// The region to be, `ap-northeast-2`.
    pub region: String,
    /// The AWS endpoint's port; 0 takes a free one.
    pub port: u16,
    /// The port at which load balancers answer by host name.
    pub load_balancer_port: u16,
    /// Nodes without containers.
    pub simulated: bool,
    /// The etcd in which clusters keep their objects; none is this machine's disk.
    pub store: Option<String>,
}

/// What `ondol up` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpReport {
    /// The AWS endpoint.
    pub endpoint: String,
    /// Whether it ran before.
    pub already_running: bool,
    /// What is not available or not enforced on this machine, a sentence each.
    pub notices: Vec<String>,
}

/// `ondol down`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownOptions {
    /// The state directory.
    pub home: PathBuf,
    /// Whether clusters, images and keys are removed too.
    pub purge: bool,
    /// How long to wait for processes to end before they are killed.
    pub grace: Duration,
}

/// What `ondol down` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownReport {
    /// Whether anything ran.
    pub was_running: bool,
    /// Processes that were ended.
    pub processes_ended: usize,
}

/// An image of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The name it is found by.
    pub reference: String,
    /// Its manifest's digest.
    pub digest: String,
    /// Bytes on disk.
    pub size_bytes: u64,
}
