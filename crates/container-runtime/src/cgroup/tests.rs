//! Which hierarchies are used, and which words they are told.

use super::*;

fn settings(settings: Vec<Setting>) -> Vec<String> {
    settings
        .into_iter()
        .map(|setting| format!("{}={}", setting.file, setting.value))
        .collect()
}

#[test]
fn version_1_hierarchies_are_found_by_their_controllers() {
    let mounts = "29 24 0:26 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
        30 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        31 24 0:28 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
        32 24 0:29 / /elsewhere rw - cgroup cgroup rw,memory\n\
        33 24 0:30 / /proc rw - proc proc rw\n";
    let found = find_hierarchies(mounts, "/a/b");
    let expected = [
        ("memory", "/sys/fs/cgroup/memory/a/b"),
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a/b"),
    ];
    assert_eq!(
        found,
        expected.map(|(controllers, base)| Hierarchy {
            controllers: controllers.to_owned(),
            base: base.into()
        })
    );
}

#[test]
fn resources_become_files() {
    let resources = LinuxContainerResources {
        cpu_period: 100_000,
        cpu_quota: 50_000,
        cpu_shares: 512,
        memory_limit_in_bytes: 64 << 20,
        memory_swap_limit_in_bytes: 64 << 20,
        unified: [("memory.oom.group".to_owned(), "1".to_owned())].into(),
        ..LinuxContainerResources::default()
    };
    assert_eq!(
        settings(values::version_1(&resources)),
        [
            "cpu.shares=512",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=50000",
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=67108864"
        ]
    );
    assert_eq!(
        settings(values::version_2(&resources)),
        [
            "cpu.weight=20",
            "cpu.max=50000 100000",
            "memory.max=67108864",
            "memory.swap.max=0",
            "memory.oom.group=1"
        ]
    );
    assert!(values::version_1(&LinuxContainerResources::default()).is_empty());
    let unlimited = LinuxContainerResources {
        cpu_quota: -1,
        ..LinuxContainerResources::default()
    };
    assert_eq!(settings(values::version_2(&unlimited)), ["cpu.max=max 100000"]);
}
