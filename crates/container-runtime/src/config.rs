//! What a runtime is given: its directories, and the image store and pod network it stands on.

use std::error::Error;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::{Clock, Random};
use futures::future::BoxFuture;
use supervision::Supervisor;

/// Where a runtime keeps its things and how it starts its helpers.
#[derive(Clone, Debug)]
pub struct Config {
    /// Records, log cursors and the writable layers of containers. On a disk whose file system can hold an overlay's upper directory.
    pub root_dir: PathBuf,
    /// Namespace files, shared memory and sockets: what must vanish together with the machine (its own tmpfs).
    pub run_dir: PathBuf,
    /// The CRI socket, at most 107 bytes.
    pub socket: PathBuf,
    /// The command that becomes a shim; the shim's own arguments are appended (`["/proc/self/exe", "shim"]`).
    pub shim_command: Vec<OsString>,
    /// The cgroup below which pods get theirs, as a path from the root of every hierarchy (`/ondol/i-0abc`); `None` sets no limits.
    pub cgroup_parent: Option<String>,
    /// The version that `crictl version` and the node's status show.
    pub version: String,
}

/// The neighbours a runtime works with.
#[derive(Clone)]
pub struct Parts {
    /// Finds the root file system of an image.
    pub images: Arc<dyn Images>,
    /// Gives a pod its addresses.
    pub network: Arc<dyn PodNetwork>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers.
    pub random: Arc<dyn Random>,
    /// Owner of the runtime's tasks.
    pub supervisor: Supervisor,
}

/// Why a neighbour could not do what was asked; shown to the user with its causes.
pub type NeighbourError = Box<dyn Error + Send + Sync>;

/// An image, ready to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageRootfs {
    /// The image's identifier (`sha256:…` of its configuration).
    pub id: String,
    /// The reference with its digest (`docker.io/library/nginx@sha256:…`), or the identifier when the image has none.
    pub digest_reference: String,
    /// Unpacked layers, uppermost first, as overlayfs wants its `lowerdir`.
    pub lower_dirs: Vec<PathBuf>,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `ENV`, as `NAME=value`.
    pub environment: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// `USER`: name or number, with `:group` or without.
    pub user: String,
    /// `STOPSIGNAL` (`SIGQUIT`, `3`).
    pub stop_signal: String,
}

/// The images of this machine.
pub trait Images: Send + Sync {
    /// The image that a reference, a digest or an identifier names; `None` when it is not here. Blocks on the disk only.
    fn rootfs(&self, reference: &str) -> Result<Option<ImageRootfs>, NeighbourError>;
}

/// A pod that wants an address.
#[derive(Clone, Debug, PartialEq)]
pub struct PodNetworkRequest<'a> {
    /// The sandbox's identifier: attaching twice gives the same addresses.
    pub sandbox_id: &'a str,
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name.
    pub name: &'a str,
    /// The pod's uid.
    pub uid: &'a str,
    /// A file that holds the pod's network namespace.
    pub netns_path: &'a Path,
    /// The pod's hostname.
    pub hostname: &'a str,
    /// Ports of the machine that are to lead to it.
    pub ports: &'a [cri_api::v1::PortMapping],
}

/// What a pod was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAddresses {
    /// The first is the pod's address, the others additional ones.
    pub ips: Vec<IpAddr>,
}

/// The machine's network, as far as a pod needs it.
pub trait PodNetwork: Send + Sync {
    /// Gives the pod a link, addresses and routes. Asked again for the same sandbox it answers the same.
    fn attach<'a>(&'a self, request: PodNetworkRequest<'a>) -> BoxFuture<'a, Result<PodAddresses, NeighbourError>>;
    /// Takes back what [`PodNetwork::attach`] gave; nothing to take back is success.
    fn detach<'a>(&'a self, sandbox_id: &'a str) -> BoxFuture<'a, Result<(), NeighbourError>>;
    /// `None` when pods can be attached now, else why not (the node's `NetworkReady` condition).
    fn not_ready(&self) -> Option<String>;
}
