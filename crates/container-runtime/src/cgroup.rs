//! Limits and usage by cgroups: version 1, version 2, or none at all.

mod usage;
mod values;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cri_api::v1::LinuxContainerResources;

use crate::record::LaunchCgroup;
pub use usage::Usage;
use values::Setting;

/// Controllers of version 1 that limit or measure something CRI can ask for; each further one costs a process a lock of the whole kernel.
const WANTED: [&str; 3] = ["memory", "cpu", "cpuacct"];

/// Why a limit is not in force.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The directory could not be made.
    #[error("cannot make the cgroup {path}")]
    Make {
        /// The cgroup.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A limit was refused.
    #[error("cannot set {path} to {value}")]
    Set {
        /// The file.
        path: PathBuf,
        /// The limit.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The directory could not be removed.
    #[error("cannot remove the cgroup {path}")]
    Remove {
        /// The cgroup.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// `cpu,cpuacct`; empty for version 2.
    controllers: String,
    /// Our directory in it.
    base: PathBuf,
}

/// The cgroups of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// No limits and no usage.
    pub fn none() -> Self {
        Self::default()
    }

    /// Finds the hierarchies that are mounted here, and takes `parent` in each; none when one of them cannot be written.
    pub fn below(parent: &str) -> Self {
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let hierarchies = find_hierarchies(&text, parent);
        for hierarchy in &hierarchies {
            if let Err(error) = prepare(&hierarchy.base, hierarchy.controllers.is_empty()) {
                tracing::warn!(path = %hierarchy.base.display(), %error, "no cgroups here: limits are not enforced");
                return Self::none();
            }
        }
        Self { hierarchies }
    }

    /// `v1`, `v2` or `none`.
    pub fn mode(&self) -> &'static str {
        match self.hierarchies.first() {
            None => "none",
            Some(first) if first.controllers.is_empty() => "v2",
            Some(_) => "v1",
        }
    }

    fn version_2(&self) -> bool {
        self.mode() == "v2"
    }

    /// The directories of a cgroup, `path` being relative to ours.
    pub fn directories(&self, path: &str) -> Vec<LaunchCgroup> {
        let relative = path.trim_matches('/');
        let directory = |hierarchy: &Hierarchy| hierarchy.base.join(relative).display().to_string();
        self.hierarchies
            .iter()
            .map(|hierarchy| LaunchCgroup {
                controllers: hierarchy.controllers.clone(),
                directory: directory(hierarchy),
            })
            .collect()
    }

    /// Makes a cgroup with its parents and its limits.
    pub fn make(&self, path: &str, resources: &LinuxContainerResources) -> Result<(), CgroupError> {
        for hierarchy in &self.hierarchies {
            let mut directory = hierarchy.base.clone();
            let mut parts = path.trim_matches('/').split('/').peekable();
            while let Some(part) = parts.next() {
                directory.push(part);
                let inner = parts.peek().is_some();
                prepare(&directory, self.version_2() && inner).map_err(|source| CgroupError::Make {
                    path: directory.clone(),
                    source,
                })?;
            }
        }
        self.update(path, resources)
    }

    /// Changes limits; a limit of 0 stays as it is.
    pub fn update(&self, path: &str, resources: &LinuxContainerResources) -> Result<(), CgroupError> {
        let settings = if self.version_2() {
            values::version_2(resources)
        } else {
            values::version_1(resources)
        };
        for cgroup in self.directories(path) {
            for setting in settings
                .iter()
                .filter(|setting| setting.belongs_to(&cgroup.controllers))
            {
                write_setting(Path::new(&cgroup.directory), setting)?;
            }
        }
        Ok(())
    }

    /// Kills what is in a cgroup.
    pub fn kill(&self, path: &str) {
        crate::shim::kill_cgroups(&self.directories(path));
    }

    /// Removes a cgroup; one that is not there is removed.
    pub fn remove(&self, path: &str) -> Result<(), CgroupError> {
        for cgroup in self.directories(path) {
            match fs::remove_dir(&cgroup.directory) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(CgroupError::Remove {
                        path: cgroup.directory.into(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the processes of a cgroup use; `None` without cgroups.
    pub fn usage(&self, path: &str) -> Option<Usage> {
        Usage::read(&self.directories(path))
    }
}

/// Makes a directory; on version 2, one with inner nodes passes its controllers on.
fn prepare(directory: &Path, pass_on: bool) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(directory)?,
        other => other?,
    }
    if pass_on {
        for controller in ["memory", "cpu", "pids"] {
            // A controller that the level above does not pass on cannot be passed on here: its limits say so when they are set.
            if let Err(error) = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}")) {
                tracing::debug!(path = %directory.display(), controller, %error, "controller is not available");
            }
        }
    }
    Ok(())
}

fn write_setting(directory: &Path, setting: &Setting) -> Result<(), CgroupError> {
    let path = directory.join(&setting.file);
    match fs::write(&path, &setting.value) {
        Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| CgroupError::Set {
            path,
            value: setting.value.clone(),
            source,
        }),
    }
}

/// Reads /proc/self/mountinfo: version 2 when it has the memory controller, else what version 1 has.
fn find_hierarchies(mounts: &str, parent: &str) -> Vec<Hierarchy> {
    let relative = parent.trim_matches('/');
    let mut version_1 = Vec::new();
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = left.split(' ').nth(4).map(Path::new) else {
            continue;
        };
        let mut right = right.split(' ');
        let (kind, options) = (right.next().unwrap_or_default(), right.nth(1).unwrap_or_default());
        if kind == "cgroup2"
            && fs::read_to_string(point.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"))
        {
            return vec![Hierarchy {
                controllers: String::new(),
                base: point.join(relative),
            }];
        }
        let controllers: Vec<&str> = options.split(',').filter(|option| WANTED.contains(option)).collect();
        let known = version_1.iter().any(|hierarchy: &Hierarchy| {
            controllers
                .iter()
                .any(|name| hierarchy.controllers.split(',').any(|known| known == *name))
        });
        if kind == "cgroup" && !controllers.is_empty() && !known {
            version_1.push(Hierarchy {
                controllers: controllers.join(","),
                base: point.join(relative),
            });
        }
    }
    version_1
}

#[cfg(test)]
mod tests;
