//! Every check, from which version on it is so, and which others it takes the place of.
//!
//! Source: the `Check…` functions and `registry.go` of `k8s.io/pod-security-admission/policy`.

use super::pod::Pod;
use super::{Level, Standard, Version, baseline, restricted};

/// A rule that a pod breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The rule.
    pub reason: &'static str,
    /// What breaks it.
    pub detail: String,
}

/// Looks at one thing in a pod.
pub(super) type Check = fn(&Pod<'_>) -> Option<Finding>;

/// A check of a level.
pub(super) struct Row {
    pub id: &'static str,
    pub level: Level,
    /// The first version of each form, the oldest first.
    pub forms: &'static [(u64, Check)],
    /// The check of the level baseline that this one says more strictly, so that nobody hears of it twice.
    pub overrides: Option<&'static str>,
}

const fn baseline(id: &'static str, forms: &'static [(u64, Check)]) -> Row {
    Row {
        id,
        level: Level::Baseline,
        forms,
        overrides: None,
    }
}

const fn restricted(id: &'static str, forms: &'static [(u64, Check)]) -> Row {
    Row {
        id,
        level: Level::Restricted,
        forms,
        overrides: None,
    }
}

impl Row {
    const fn instead_of(mut self, id: &'static str) -> Self {
        self.overrides = Some(id);
        self
    }

    /// The form in a version; before its first there is none.
    fn form(&self, version: Version) -> Option<Check> {
        let newest = self.forms.iter().rfind(|(since, _)| Version::Minor(*since) <= version);
        newest.map(|(_, check)| *check)
    }
}

/// In the order in which violations are told: by level, then by name.
pub(super) const ROWS: &[Row] = &[
    baseline("appArmorProfile", &[(0, baseline::app_armor)]),
    baseline("capabilities_baseline", &[(0, baseline::capabilities)]),
    baseline("hostNamespaces", &[(0, baseline::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, baseline::host_path)]),
    baseline("hostPorts", &[(0, baseline::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, baseline::host_probes)]),
    baseline("privileged", &[(0, baseline::privileged)]),
    baseline(
        "procMount",
        &[(0, baseline::proc_mount), (35, baseline::proc_mount_of_the_nodes_users)],
    ),
    baseline(
        "seLinuxOptions",
        &[(0, baseline::selinux_1_0), (31, baseline::selinux_1_31)],
    ),
    baseline(
        "seccompProfile_baseline",
        &[(0, baseline::seccomp_annotations), (19, baseline::seccomp)],
    ),
    baseline(
        "sysctls",
        &[
            (0, baseline::sysctls_1_0),
            (27, baseline::sysctls_1_27),
            (29, baseline::sysctls_1_29),
            (32, baseline::sysctls_1_32),
        ],
    ),
    baseline("windowsHostProcess", &[(0, baseline::host_process)]),
    restricted(
        "allowPrivilegeEscalation",
        &[(8, restricted::escalation), (25, restricted::escalation_unless_windows)],
    ),
    restricted(
        "capabilities_restricted",
        &[
            (22, restricted::capabilities),
            (25, restricted::capabilities_unless_windows),
        ],
    )
    .instead_of("capabilities_baseline"),
    restricted("procMount_restricted", &[(35, baseline::proc_mount)]).instead_of("procMount"),
    restricted("restrictedVolumes", &[(0, restricted::volumes)]).instead_of("hostPathVolumes"),
    restricted(
        "runAsNonRoot",
        &[(0, restricted::non_root), (35, restricted::non_root_of_the_nodes_users)],
    ),
    restricted(
        "runAsUser",
        &[(23, restricted::user), (35, restricted::user_of_the_node)],
    ),
    restricted(
        "seccompProfile_restricted",
        &[(19, restricted::seccomp), (25, restricted::seccomp_unless_windows)],
    )
    .instead_of("seccompProfile_baseline"),
];

/// The checks of a standard, in order.
pub(super) fn of(standard: Standard) -> impl Iterator<Item = Check> {
    let asked = move |row: &Row| row.level <= standard.level;
    let form = move |row: &Row| row.form(standard.version).filter(|_| asked(row));
    let overridden = move |id: &str| {
        let mut stricter = ROWS.iter().filter(|row| row.overrides == Some(id));
        stricter.any(|row| form(row).is_some())
    };
    ROWS.iter().filter(move |row| !overridden(row.id)).filter_map(form)
}
