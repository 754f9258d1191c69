//! From CRI's resources to the words of both cgroup versions.

use cri_api::v1::LinuxContainerResources;

/// One file of a cgroup and what to write into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the file; what comes before its first dot is its controller.
    pub file: String,
    /// What to write.
    pub value: String,
    /// A kernel without this file is no error.
    pub optional: bool,
}

impl Setting {
    fn new(file: &str, value: impl ToString) -> Self {
        Self {
            file: file.to_owned(),
            value: value.to_string(),
            optional: false,
        }
    }

    /// Whether the file is one of the hierarchy with these controllers (all files are, on version 2).
    pub fn belongs_to(&self, controllers: &str) -> bool {
        let controller = self.file.split('.').next().unwrap_or_default();
        controllers.is_empty() || controllers.split(',').any(|name| name == controller)
    }
}

/// The files of version 1. A value of 0 asks for nothing.
pub fn version_1(resources: &LinuxContainerResources) -> Vec<Setting> {
    let mut settings = Vec::new();
    if resources.cpu_shares > 0 {
        settings.push(Setting::new("cpu.shares", resources.cpu_shares));
    }
    if resources.cpu_period > 0 {
        settings.push(Setting::new("cpu.cfs_period_us", resources.cpu_period));
    }
    if resources.cpu_quota != 0 {
        settings.push(Setting::new("cpu.cfs_quota_us", resources.cpu_quota));
    }
    if resources.memory_limit_in_bytes > 0 {
        settings.push(Setting::new("memory.limit_in_bytes", resources.memory_limit_in_bytes));
    }
    if resources.memory_swap_limit_in_bytes > 0 {
        let setting = Setting::new("memory.memsw.limit_in_bytes", resources.memory_swap_limit_in_bytes);
        settings.push(Setting {
            optional: true,
            ..setting
        });
    }
    settings
}

/// The files of version 2. A value of 0 asks for nothing; a negative quota asks for no limit.
pub fn version_2(resources: &LinuxContainerResources) -> Vec<Setting> {
    /// The kernel's own period in microseconds.
    const DEFAULT_PERIOD: i64 = 100_000;
    let mut settings = Vec::new();
    if resources.cpu_shares > 0 {
        settings.push(Setting::new("cpu.weight", weight(resources.cpu_shares)));
    }
    if resources.cpu_quota != 0 {
        let period = if resources.cpu_period > 0 {
            resources.cpu_period
        } else {
            DEFAULT_PERIOD
        };
        let quota = if resources.cpu_quota < 0 {
            "max".to_owned()
        } else {
            resources.cpu_quota.to_string()
        };
        settings.push(Setting::new("cpu.max", format!("{quota} {period}")));
    }
    if resources.memory_limit_in_bytes > 0 {
        settings.push(Setting::new("memory.max", resources.memory_limit_in_bytes));
    }
    if resources.memory_swap_limit_in_bytes > 0 {
        // CRI counts memory and swap together, version 2 counts swap alone.
        let swap = (resources.memory_swap_limit_in_bytes - resources.memory_limit_in_bytes).max(0);
        settings.push(Setting {
            optional: true,
            ..Setting::new("memory.swap.max", swap)
        });
    }
    settings.extend(resources.unified.iter().map(|(file, value)| Setting::new(file, value)));
    settings
}

/// Shares (2 to 262144) as weight (1 to 10000), by the formula that runc and the kubelet share.
fn weight(shares: i64) -> i64 {
    1 + ((shares.clamp(2, 262_144) - 2) * 9_999) / 262_142
}
