//! Control groups of machines: an instance type's processors and memory as limits, on cgroup v1, on v2, or not at all.
//!
//! A machine is the group `<base>/ondol/<this Ondol>/<instance>`; its own processes are in the leaf `init`, because on v2 a group with
//! controllers may hold no process itself. Pods are made beside that leaf by the container runtime.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The controllers that a machine wants.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuacct", "memory", "pids"];

/// The leaf that holds a machine's own processes.
const OWN_LEAF: &str = "init";

/// Microseconds of the period in which a quota of processor time is counted (the kernel's default).
const PERIOD: u64 = 100_000;

/// What an instance type may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processors.
    pub processors: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// What of the limits this host can enforce for this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// Processor limits are real.
    pub processors: bool,
    /// Memory limits are real.
    pub memory: bool,
    /// A sentence for people when something is not enforced; empty otherwise.
    pub reason: String,
}

/// Why a control group could not be used.
#[derive(Debug, Error)]
#[error("{step} control group {path}")]
pub struct CgroupError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Where control groups can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hierarchy {
    /// A mount for each controller.
    V1(Vec<PathBuf>),
    /// One mount; groups are made below `base`, which is a path below the mount.
    V2 { mount: PathBuf, base: PathBuf },
    /// None that this user may use.
    Absent(String),
}

/// A machine's control group.
#[derive(Debug)]
pub struct MachineGroup {
    hierarchy: Hierarchy,
    path: PathBuf,
}

impl Enforcement {
    /// What can be enforced here, found by looking.
    pub fn here() -> Self {
        match Hierarchy::detect() {
            Hierarchy::Absent(reason) => Self {
                processors: false,
                memory: false,
                reason,
            },
            Hierarchy::V1(_) | Hierarchy::V2 { .. } => Self {
                processors: true,
                memory: true,
                reason: String::new(),
            },
        }
    }
}

impl MachineGroup {
    /// Makes the group with its limits; a group that is there is brought to these limits.
    ///
    /// # Errors
    /// When a group that this user may make cannot be made.
    pub fn create(name: &str, limits: &Limits) -> Result<Self, CgroupError> {
        let group = Self::named(name);
        match &group.hierarchy {
            Hierarchy::Absent(_) => {}
            Hierarchy::V1(mounts) => {
                for mount in mounts {
                    make(&mount.join(&group.path).join(OWN_LEAF))?;
                    limit_v1(&mount.join(&group.path), limits)?;
                }
            }
            Hierarchy::V2 { mount, .. } => {
                make(&mount.join(&group.path).join(OWN_LEAF))?;
                share_controllers(mount, &group.path)?;
                let directory = mount.join(&group.path);
                write(&directory.join("memory.max"), &limits.memory_bytes.to_string())?;
                write(
                    &directory.join("cpu.max"),
                    &format!("{} {PERIOD}", u64::from(limits.processors) * PERIOD),
                )?;
            }
        }
        Ok(group)
    }

    /// The group of this name, whether it was made or not.
    pub fn named(name: &str) -> Self {
        let hierarchy = Hierarchy::detect();
        let base = match &hierarchy {
            Hierarchy::V2 { base, .. } => base.clone(),
            Hierarchy::V1(_) | Hierarchy::Absent(_) => PathBuf::new(),
        };
        Self {
            hierarchy,
            path: base.join("ondol").join(name),
        }
    }

    /// The group's path from its hierarchy's root, for the container runtime; `None` where there are no groups.
    pub fn path(&self) -> Option<PathBuf> {
        (!matches!(self.hierarchy, Hierarchy::Absent(_))).then(|| Path::new("/").join(&self.path))
    }

    /// Moves a process into the machine's own leaf.
    pub(crate) fn enter(&self, pid: u32) -> Result<(), CgroupError> {
        for directory in self.directories() {
            write(&directory.join(OWN_LEAF).join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Removes the group and all below it, and the parents that became empty. Its processes must be gone.
    ///
    /// # Errors
    /// When a group still holds processes.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for directory in self.directories() {
            remove_tree(&directory)?;
            // The parents are shared: they go with the last machine, and stay while another is in them.
            for parent in directory.ancestors().skip(1).take(2) {
                if fs::remove_dir(parent).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn directories(&self) -> Vec<PathBuf> {
        match &self.hierarchy {
            Hierarchy::Absent(_) => Vec::new(),
            Hierarchy::V1(mounts) => mounts.iter().map(|mount| mount.join(&self.path)).collect(),
            Hierarchy::V2 { mount, .. } => vec![mount.join(&self.path)],
        }
    }
}

impl Hierarchy {
    fn detect() -> Self {
        let mounts = match fs::read_to_string("/proc/self/mountinfo") {
            Ok(mounts) => mounts,
            Err(error) => return Self::Absent(format!("limits are not enforced: /proc/self/mountinfo: {error}")),
        };
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::choose(&mounts, &own, &|directory| is_usable(directory))
    }

    /// Chooses from the mount table, the caller's own groups, and what may be written.
    fn choose(mounts: &str, own: &str, is_usable: &dyn Fn(&Path) -> bool) -> Self {
        let v1: Vec<PathBuf> = CONTROLLERS
            .iter()
            .filter_map(|controller| v1_mount(mounts, controller))
            .collect();
        let has = |name: &str| v1_mount(mounts, name).is_some();
        if has("cpu") && has("memory") {
            if v1.iter().all(|mount| is_usable(mount)) {
                return Self::V1(v1);
            }
            return Self::Absent("limits are not enforced: cgroup v1 groups cannot be made by this user".to_owned());
        }
        let Some(mount) = v2_mount(mounts) else {
            return Self::Absent("limits are not enforced: no control groups are mounted".to_owned());
        };
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("0::/"))
            .unwrap_or_default();
        // The root first, for who owns the machine; then the highest group that was delegated to this user.
        let candidates = std::iter::once(PathBuf::new()).chain(prefixes(own));
        for base in candidates {
            if is_usable(&mount.join(&base)) {
                return Self::V2 { mount, base };
            }
        }
        Self::Absent(
            "limits are not enforced: no cgroup v2 group with cpu and memory is delegated to this user (systemd: `Delegate=yes` on user@.service)"
                .to_owned(),
        )
    }
}

/// `a/b/c` to `a`, `a/b`, `a/b/c`.
fn prefixes(path: &str) -> impl Iterator<Item = PathBuf> + '_ {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    (1..=parts.len()).map(move |length| parts[..length].iter().collect())
}

/// The fields of a line of mountinfo that matter here: where, what kind, which options of the file system.
fn mount_fields(line: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    Some((before.split(' ').nth(4)?, after.next()?, after.nth(1)?))
}

fn v1_mount(mounts: &str, controller: &str) -> Option<PathBuf> {
    mounts.lines().filter_map(mount_fields).find_map(|(at, kind, options)| {
        (kind == "cgroup" && options.split(',').any(|option| option == controller)).then(|| PathBuf::from(at))
    })
}

fn v2_mount(mounts: &str) -> Option<PathBuf> {
    mounts
        .lines()
        .filter_map(mount_fields)
        .find_map(|(at, kind, _)| (kind == "cgroup2").then(|| PathBuf::from(at)))
}

/// May this user make groups here, and would they have cpu and memory? (On v1 a mount has just its own controllers.)
fn is_usable(directory: &Path) -> bool {
    let may_write = nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok();
    let controllers = fs::read_to_string(directory.join("cgroup.controllers"));
    may_write
        && controllers.map_or(true, |list| {
            ["cpu", "memory"]
                .iter()
                .all(|wanted| list.split_whitespace().any(|has| has == *wanted))
        })
}

fn make(directory: &Path) -> Result<(), CgroupError> {
    fs::create_dir_all(directory).map_err(|source| CgroupError {
        step: "make",
        path: directory.to_path_buf(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CgroupError> {
    fs::write(path, text).map_err(|source| CgroupError {
        step: "write",
        path: path.to_path_buf(),
        source,
    })
}

fn limit_v1(directory: &Path, limits: &Limits) -> Result<(), CgroupError> {
    let quota = i64::from(limits.processors) * i64::try_from(PERIOD).unwrap_or(i64::MAX);
    let files = [
        ("cpu.cfs_quota_us", quota.to_string()),
        ("memory.limit_in_bytes", limits.memory_bytes.to_string()),
    ];
    for (file, text) in files {
        let path = directory.join(file);
        if path.exists() {
            write(&path, &text)?;
        }
    }
    Ok(())
}

/// On v2 a controller reaches a group only if every group above hands it down.
fn share_controllers(mount: &Path, group: &Path) -> Result<(), CgroupError> {
    let mut directory = mount.to_path_buf();
    let parts: Vec<_> = group.iter().collect();
    for part in std::iter::once(None).chain(parts.into_iter().map(Some)) {
        directory.extend(part);
        write(&directory.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
    }
    Ok(())
}

fn remove_tree(directory: &Path) -> Result<(), CgroupError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(CgroupError {
                step: "list",
                path: directory.to_path_buf(),
                source,
            });
        }
    };
    for entry in entries {
        let entry = entry.map_err(|source| CgroupError {
            step: "list",
            path: directory.to_path_buf(),
            source,
        })?;
        if entry.path().is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CgroupError {
            step: "remove",
            path: directory.to_path_buf(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V2: &str = "33 30 0:29 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const OWN: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n";

    #[test]
    fn the_hierarchy_follows_from_the_mounts_and_what_may_be_written() {
        let anywhere = |_: &Path| true;
        let nowhere = |_: &Path| false;
        let delegated = |path: &Path| path.ends_with("user@1000.service") || path.ends_with("app.slice");
        let cpu = PathBuf::from("/sys/fs/cgroup/cpu");
        assert_eq!(
            Hierarchy::choose(V1, "", &anywhere),
            Hierarchy::V1(vec![cpu.clone(), cpu, PathBuf::from("/sys/fs/cgroup/memory")])
        );
        let at = |base: &str| Hierarchy::V2 {
            mount: "/sys/fs/cgroup".into(),
            base: base.into(),
        };
        assert_eq!(Hierarchy::choose(V2, OWN, &anywhere), at(""));
        assert_eq!(
            Hierarchy::choose(V2, OWN, &delegated),
            at("user.slice/user-1000.slice/user@1000.service")
        );
        for mounts in [V1, V2, ""] {
            assert!(
                matches!(Hierarchy::choose(mounts, OWN, &nowhere), Hierarchy::Absent(_)),
                "{mounts}"
            );
        }
    }
}
