//! Upstream's figures: what the API server is compared with.

use std::time::Duration;

use super::Figures;
use super::watchers::Seen;

/// Upstream's API server with etcd under the same load.
pub struct Reference {
    /// Where the figures are from.
    pub origin: &'static str,
    /// Objects of a kibibyte created in a second.
    pub create: Option<f64>,
    /// Of them updated.
    pub update: Option<f64>,
    /// Of them read.
    pub get: Option<f64>,
    /// Pods created in a second.
    pub create_pods: Option<f64>,
    /// A list of all pods.
    pub list: Option<Duration>,
    /// A list of one pod in a hundred.
    pub select: Option<Duration>,
    /// Events in a second to 200 watchers.
    pub few_watchers: Option<f64>,
    /// To 1,000 of them.
    pub many_watchers: Option<f64>,
    /// Bytes before the load.
    pub idle: u64,
    /// Bytes after it.
    pub after: u64,
}

impl Reference {
    /// Figures of a machine with two cores, measured before this benchmark was written.
    pub fn elsewhere() -> Self {
        Self {
            origin: "of another machine with two cores",
            create: Some(1_950.0),
            update: None,
            get: Some(3_600.0),
            create_pods: Some(1_020.0),
            list: Some(Duration::from_millis(433)),
            select: None,
            few_watchers: Some(37_000.0),
            many_watchers: None,
            idle: 370 << 20,
            after: 1_434 << 20,
        }
    }

    /// Figures of upstream's own program; the memory of its etcd is not among them.
    pub fn of(figures: &Figures) -> Self {
        Self {
            origin: "of kube-apiserver with etcd in the same run",
            create: Some(figures.create.per_second()),
            update: Some(figures.update.per_second()),
            get: Some(figures.get.per_second()),
            create_pods: Some(figures.create_pods.per_second()),
            list: Some(figures.list.durations.median()),
            select: Some(figures.select.durations.median()),
            few_watchers: figures.few_watchers.as_ref().map(Seen::per_second),
            many_watchers: figures.many_watchers.as_ref().map(Seen::per_second),
            idle: figures.idle.resident,
            after: figures.after.resident,
        }
    }
}
