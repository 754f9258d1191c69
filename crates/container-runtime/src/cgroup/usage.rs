//! What the processes of a cgroup use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::record::LaunchCgroup;

/// Usage since the cgroup was made, and now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds on a processor.
    pub cpu: u64,
    /// Bytes charged.
    pub memory: u64,
    /// Bytes charged without file pages that the kernel may drop at will: what the kubelet calls the working set.
    pub working_set: u64,
    /// Bytes of anonymous memory.
    pub resident: u64,
    /// Page faults.
    pub page_faults: u64,
    /// Page faults that read from a disk.
    pub major_page_faults: u64,
}

impl Usage {
    /// Reads the files of all hierarchies; `None` when there are none.
    pub fn read(cgroups: &[LaunchCgroup]) -> Option<Self> {
        let mut usage = Self::default();
        let mut known = false;
        for cgroup in cgroups {
            let directory = Path::new(&cgroup.directory);
            if let Some(current) =
                number(&directory.join("memory.current")).or_else(|| number(&directory.join("memory.usage_in_bytes")))
            {
                usage.take_memory(current, &table(&directory.join("memory.stat")));
                known = true;
            }
            if let Some(nanoseconds) = number(&directory.join("cpuacct.usage")) {
                usage.cpu = nanoseconds;
            } else if let Some(microseconds) = table(&directory.join("cpu.stat")).get("usage_usec") {
                usage.cpu = microseconds * 1_000;
            }
        }
        known.then_some(usage)
    }

    /// The names of version 1 count below with `total_`, those of version 2 always count below.
    fn take_memory(&mut self, current: u64, statistics: &BTreeMap<String, u64>) {
        let value = |names: [&str; 2]| {
            names
                .iter()
                .find_map(|name| statistics.get(*name))
                .copied()
                .unwrap_or(0)
        };
        self.memory = current;
        self.working_set = current.saturating_sub(value(["total_inactive_file", "inactive_file"]));
        self.resident = value(["total_rss", "anon"]);
        self.page_faults = value(["total_pgfault", "pgfault"]);
        self.major_page_faults = value(["total_pgmajfault", "pgmajfault"]);
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn table(path: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect()
}
