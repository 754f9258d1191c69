//! Where everything of a runtime lies.

use std::path::{Path, PathBuf};

/// The runtime's directories.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// `root` outlives the machine, `run` does not.
    pub fn new(root: &Path, run: &Path) -> Self {
        Self {
            root: root.to_owned(),
            run: run.to_owned(),
        }
    }

    /// All sandboxes' records.
    pub fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    /// All containers.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// A sandbox's record.
    pub fn sandbox_record(&self, id: &str) -> PathBuf {
        self.sandboxes().join(format!("{id}.pb"))
    }

    /// What a sandbox has while the machine runs: namespace files, shared memory, the shim's socket.
    pub fn sandbox_run(&self, id: &str) -> PathBuf {
        self.run.join("sandboxes").join(id)
    }

    /// One container.
    pub fn container(&self, id: &str) -> ContainerFiles {
        ContainerFiles {
            directory: self.containers().join(id),
        }
    }

    /// The socket on which exec, attach and port-forward sessions are served.
    pub fn streaming_socket(&self) -> PathBuf {
        self.run.join("streaming.sock")
    }
}

/// Name of the shim's socket in its sandbox's directory.
pub const SHIM_SOCKET: &str = "shim.sock";

/// A container's directory.
#[derive(Clone, Debug)]
pub struct ContainerFiles {
    /// The directory itself.
    pub directory: PathBuf,
}

impl ContainerFiles {
    /// [`crate::record::ContainerRecord`]
    pub fn record(&self) -> PathBuf {
        self.directory.join("container.pb")
    }

    /// [`crate::record::Launch`]
    pub fn launch(&self) -> PathBuf {
        self.directory.join("launch.pb")
    }

    /// [`crate::record::StartedRecord`]
    pub fn started(&self) -> PathBuf {
        self.directory.join("started.pb")
    }

    /// [`crate::record::ExitedRecord`]
    pub fn exited(&self) -> PathBuf {
        self.directory.join("exited.pb")
    }

    /// The writable layer.
    pub fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// Overlayfs' scratch directory.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// Mount point of the overlay, in the container's own mount namespace only.
    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }
}
