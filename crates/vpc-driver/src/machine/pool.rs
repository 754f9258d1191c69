//! Which sandbox has which address: a small file, replaced as a whole at each change, locked by one process.
//!
//! Not synced to disk: when the host loses power, the machine and its pods are gone with the record.
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::Clock;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PodAttachment;

/// How long an address rests after a pod gave it back (`IP_COOLDOWN_PERIOD` of the VPC CNI): so long peers may still
/// send to the old pod.
const COOLDOWN_SECONDS: i64 = 30;

const RECORD: &str = "addresses.json";

/// Why the record of addresses could not be used.
#[derive(Debug, Error)]
pub enum PoolError {
    /// All addresses of the ENI are given out.
    #[error("no free address: all {total} of the network interface are assigned to pods")]
    NoFreeAddress {
        /// How many there are.
        total: usize,
    },
    /// The folder or a file in it failed.
    #[error("{action} {path}")]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another process has the pool.
    #[error("{path} is locked by another process")]
    Locked {
        /// The lock file.
        path: String,
        /// The cause.
        #[source]
        source: nix::Error,
    },
    /// The record is not what was written.
    #[error("read {path}")]
    Record {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

/// An address that a sandbox has.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Allocation {
    /// The address.
    pub address: Ipv4Addr,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// Name of the link in the machine.
    pub link: String,
    /// Ports of the machine that are to lead to it.
    #[serde(default)]
    pub host_ports: Vec<PodPort>,
}

/// A port of the machine that is to lead to a pod.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct PodPort {
    /// The protocol's number in the IP header.
    pub protocol: u8,
    /// The machine's address, if it is not every one.
    pub host_address: Option<Ipv4Addr>,
    /// The machine's port.
    pub host_port: u16,
    /// The pod's port.
    pub pod_port: u16,
}

/// How full a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// All addresses of the ENI but its primary one.
    pub total: usize,
    /// Given to pods.
    pub assigned: usize,
    /// Given back less than 30 seconds ago.
    pub cooling: usize,
}

/// What is on disk, for whoever reports on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolRecord {
    /// All addresses of the ENI but its primary one.
    pub addresses: Vec<Ipv4Addr>,
    /// Who has one, by sandbox id.
    pub allocations: BTreeMap<String, Allocation>,
    /// When an address was given back, in seconds since 1970. Kept for good: the longest free is the next.
    pub released: BTreeMap<Ipv4Addr, i64>,
}

impl PoolRecord {
    /// Reads the record in a folder; an empty one when there is none yet.
    ///
    /// # Errors
    /// When it is unreadable.
    pub fn read(dir: &Path) -> Result<Self, PoolError> {
        let path = dir.join(RECORD);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| PoolError::Record {
                path: path.display().to_string(),
                source,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(PoolError::File {
                action: "read",
                path: path.display().to_string(),
                source,
            }),
        }
    }
}

/// The addresses of one machine.
pub struct AddressPool {
    path: PathBuf,
    record: PoolRecord,
    clock: Arc<dyn Clock>,
    _lock: Flock<File>,
}

impl AddressPool {
    /// Opens the record in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// When another process has it, or it is unreadable.
    pub fn open(dir: &Path, addresses: Vec<Ipv4Addr>, clock: Arc<dyn Clock>) -> Result<Self, PoolError> {
        let file_error = |action, path: &Path| {
            let path = path.display().to_string();
            move |source| PoolError::File { action, path, source }
        };
        std::fs::create_dir_all(dir).map_err(file_error("make folder", dir))?;
        let lock_path = dir.join("addresses.lock");
        let lock = File::create(&lock_path).map_err(file_error("make lock file", &lock_path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, source)| PoolError::Locked {
            path: lock_path.display().to_string(),
            source,
        })?;
        let mut record = PoolRecord::read(dir)?;
        record.addresses = addresses;
        let pool = Self {
            path: dir.join(RECORD),
            record,
            clock,
            _lock: lock,
        };
        pool.write()?;
        Ok(pool)
    }

    /// The sandbox's address: the one it has, or the one that has been free longest. An address that still rests is
    /// taken only when no other is left.
    ///
    /// # Errors
    /// When none is free or the record cannot be written; nothing is taken then.
    pub fn take(&mut self, pod: &PodAttachment, link: &str) -> Result<Ipv4Addr, PoolError> {
        if let Some(present) = self.record.allocations.get(&pod.sandbox_id) {
            return Ok(present.address);
        }
        let given = |address: &Ipv4Addr| self.record.allocations.values().any(|taken| taken.address == *address);
        let free = self.record.addresses.iter().filter(|address| !given(address));
        let released = |address: &&Ipv4Addr| self.record.released.get(*address).copied().unwrap_or(i64::MIN);
        let Some(address) = free.min_by_key(released).copied() else {
            return Err(PoolError::NoFreeAddress {
                total: self.record.addresses.len(),
            });
        };
        let allocation = Allocation {
            address,
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            link: link.to_owned(),
            host_ports: pod.host_ports.clone(),
        };
        self.record.allocations.insert(pod.sandbox_id.clone(), allocation);
        if let Err(error) = self.write() {
            self.record.allocations.remove(&pod.sandbox_id);
            return Err(error);
        }
        Ok(address)
    }

    /// Takes a sandbox's address back; it rests from now on. One that has none is no error.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn release(&mut self, sandbox_id: &str) -> Result<(), PoolError> {
        let Some(allocation) = self.record.allocations.remove(sandbox_id) else {
            return Ok(());
        };
        self.record
            .released
            .insert(allocation.address, self.clock.now().as_second());
        self.write()
    }

    /// What a sandbox has.
    #[must_use]
    pub fn allocation(&self, sandbox_id: &str) -> Option<&Allocation> {
        self.record.allocations.get(sandbox_id)
    }

    /// All sandboxes that have an address.
    #[must_use]
    pub fn allocations(&self) -> BTreeMap<String, Allocation> {
        self.record.allocations.clone()
    }

    /// How full the pool is.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let since = self.clock.now().as_second() - COOLDOWN_SECONDS;
        let assigned: Vec<Ipv4Addr> = self.record.allocations.values().map(|taken| taken.address).collect();
        let resting = |address: &&Ipv4Addr| {
            !assigned.contains(address)
                && self
                    .record
                    .released
                    .get(*address)
                    .is_some_and(|released| *released > since)
        };
        let cooling = self.record.addresses.iter().filter(resting).count();
        PoolStatus {
            total: self.record.addresses.len(),
            assigned: assigned.len(),
            cooling,
        }
    }

    fn write(&self) -> Result<(), PoolError> {
        let next = self.path.with_extension("json.next");
        let error = |action, path: &Path| {
            let path = path.display().to_string();
            move |source| PoolError::File { action, path, source }
        };
        let bytes = serde_json::to_vec(&self.record).map_err(|source| PoolError::Record {
            path: self.path.display().to_string(),
            source,
        })?;
        std::fs::write(&next, bytes).map_err(error("write", &next))?;
        std::fs::rename(&next, &self.path).map_err(error("replace", &self.path))
    }
}

#[cfg(test)]
mod tests;
