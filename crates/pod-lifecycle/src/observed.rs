//! What the runtime reports of one pod, in our own words: the CRI's shape without its wire types.

use std::net::IpAddr;

use jiff::Timestamp;

/// Everything the runtime holds for one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// All containers of all sandboxes, newest attempt first.
    pub containers: Vec<Container>,
}

/// A pod sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// The runtime's id.
    pub id: String,
    /// 0 for the first sandbox of a pod.
    pub attempt: u32,
    /// Its namespaces are held and its network is up.
    pub ready: bool,
    /// Addresses; empty on the host network.
    pub ips: Vec<IpAddr>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Where a container is in its one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process has ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// One attempt at running a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The runtime's id, without the `ondol://` prefix.
    pub id: String,
    /// The sandbox it belongs to.
    pub sandbox_id: String,
    /// Name in the pod's spec.
    pub name: String,
    /// 0 for the first attempt; the restart count of the status.
    pub attempt: u32,
    /// Where it is.
    pub state: ContainerState,
    /// Image as the runtime names it (familiar name with tag).
    pub image: String,
    /// Image by digest: `imageID` of the status.
    pub image_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Of the first process; 128 + n for signal n.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// Termination message or the runtime's explanation.
    pub message: String,
    /// The identity it runs as, when the runtime tells.
    pub user: Option<User>,
    /// Fingerprint of the spec it was made from, written as an annotation by the agent; empty when unknown.
    pub spec_hash: String,
}

/// A process's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: i64,
    /// Group id.
    pub gid: i64,
    /// Further groups.
    pub groups: Vec<i64>,
}

impl Observed {
    /// The newest attempt of a container, in whichever sandbox.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers
            .iter()
            .filter(|container| container.name == name)
            .max_by_key(|c| (c.attempt, c.created_at))
    }

    /// Like `latest`, only in one sandbox.
    pub fn latest_in(&self, sandbox_id: &str, name: &str) -> Option<&Container> {
        self.containers
            .iter()
            .filter(|container| container.name == name && container.sandbox_id == sandbox_id)
            .max_by_key(|c| (c.attempt, c.created_at))
    }

    /// Attempts of a container, newest first.
    pub fn attempts(&self, name: &str) -> Vec<&Container> {
        let mut found: Vec<&Container> = self
            .containers
            .iter()
            .filter(|container| container.name == name)
            .collect();
        found.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
        found
    }

    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes
            .iter()
            .max_by_key(|sandbox| (sandbox.attempt, sandbox.created_at))
    }

    /// Anything that still has a process.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .iter()
            .filter(|container| container.state == ContainerState::Running)
    }
}
