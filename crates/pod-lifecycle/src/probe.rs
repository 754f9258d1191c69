//! When a probe runs next and what its results mean: thresholds, initial values, who waits for whom.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

/// Which of the three probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Holds the other two back until it has succeeded; failing kills the container.
    Startup,
    /// Failing kills the container.
    Liveness,
    /// Decides whether the container is ready.
    Readiness,
}

impl Kind {
    /// All kinds, in the order in which they matter.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// As it starts events and messages: `Liveness probe failed: …`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    /// The container's probe of this kind.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Startup => container.startup_probe.as_ref(),
            Self::Liveness => container.liveness_probe.as_ref(),
            Self::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// Results of one running container. `None` means that the probe exists and has not decided yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// `Some(true)` also when there is no such probe.
    pub startup: Option<bool>,
    /// As `startup`.
    pub liveness: Option<bool>,
    /// As `startup`.
    pub readiness: Option<bool>,
}

impl Results {
    /// The values before the first probe has run: liveness counts as good, the others as undecided.
    pub fn initial(container: &Container) -> Self {
        let unless = |probe: &Option<Probe>, value: Option<bool>| if probe.is_some() { value } else { Some(true) };
        Self {
            startup: unless(&container.startup_probe, None),
            liveness: Some(true),
            readiness: unless(&container.readiness_probe, Some(false)),
        }
    }

    /// Whether the container counts as started.
    pub fn started(&self) -> bool {
        self.startup == Some(true)
    }

    /// Whether the container, running, counts as ready.
    pub fn ready(&self) -> bool {
        self.started() && self.readiness == Some(true)
    }
}

/// Settings of a probe with upstream's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the container's start to the first run.
    pub initial_delay: Duration,
    /// Between runs.
    pub period: Duration,
    /// For one run.
    pub timeout: Duration,
    /// Successes in a row that turn the result good.
    pub success_threshold: u32,
    /// Failures in a row that turn the result bad.
    pub failure_threshold: u32,
}

impl Settings {
    /// Of a probe; the API server has filled in defaults, zero means them too.
    pub fn of(probe: &Probe) -> Self {
        let value = |field: Option<i32>, default: i32| field.filter(|v| *v > 0).unwrap_or(default).unsigned_abs();
        let seconds = |field, default| Duration::from_secs(u64::from(value(field, default)));
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: value(probe.success_threshold, 1),
            failure_threshold: value(probe.failure_threshold, 3),
        }
    }
}

/// Counts one probe's runs and says when its result changes.
#[derive(Clone, Debug)]
pub struct Tracker {
    kind: Kind,
    settings: Settings,
    last: Option<bool>,
    run: u32,
    result: Option<bool>,
}

impl Tracker {
    /// Before the first run.
    pub fn new(kind: Kind, settings: Settings) -> Self {
        let result = match kind {
            Kind::Startup => None,
            Kind::Liveness => Some(true),
            Kind::Readiness => Some(false),
        };
        Self {
            kind,
            settings,
            last: None,
            run: 0,
            result,
        }
    }

    /// When the first run is due for a container started at `started`; never earlier than `now`.
    pub fn first_run(&self, started: Timestamp, now: Timestamp) -> Timestamp {
        (started + self.settings.initial_delay).max(now)
    }

    /// Takes the outcome of a run; answers the new result if it changed.
    pub fn record(&mut self, success: bool) -> Option<bool> {
        if self.last == Some(success) {
            self.run = self.run.saturating_add(1);
        } else {
            self.last = Some(success);
            self.run = 1;
        }
        let threshold = if success {
            self.settings.success_threshold
        } else {
            self.settings.failure_threshold
        };
        if self.run < threshold || self.result == Some(success) {
            return None;
        }
        self.result = Some(success);
        Some(success)
    }

    /// Whether the probe need not run again: a startup probe that has decided, a liveness probe that has failed (the
    /// container is about to be killed).
    pub fn is_done(&self) -> bool {
        match self.kind {
            Kind::Startup => self.result.is_some(),
            Kind::Liveness => self.result == Some(false),
            Kind::Readiness => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(success: u32, failure: u32) -> Settings {
        let second = Duration::from_secs(1);
        Settings {
            initial_delay: second,
            period: second,
            timeout: second,
            success_threshold: success,
            failure_threshold: failure,
        }
    }

    fn check(kind: Kind, success: u32, failure: u32, runs: &str, expected: &str) {
        let mut tracker = Tracker::new(kind, settings(success, failure));
        let seen: String = runs
            .chars()
            .map(|run| match tracker.record(run == '+') {
                None => '.',
                Some(true) => '+',
                Some(false) => '-',
            })
            .collect();
        assert_eq!(seen, expected, "{kind:?} {runs}");
    }

    #[test]
    fn results_change_at_their_thresholds() {
        check(Kind::Liveness, 1, 3, "--+---", ".....-");
        check(Kind::Readiness, 2, 3, "++---++", ".+..-.+");
        check(Kind::Readiness, 1, 3, "---", "...");
        check(Kind::Startup, 1, 2, "-+", ".+");
        check(Kind::Startup, 1, 2, "--", ".-");
    }

    #[test]
    fn results_before_the_first_run() {
        let none = Results::initial(&Container::default());
        assert!(none.started() && none.ready());
        let probed = Container {
            readiness_probe: Some(Probe::default()),
            ..Container::default()
        };
        assert!(Results::initial(&probed).started() && !Results::initial(&probed).ready());
        let slow = Container {
            startup_probe: Some(Probe::default()),
            ..Container::default()
        };
        assert!(!Results::initial(&slow).started());
    }
}
