//! Init containers in order, sidecars among them: which one is next, and whether the main containers may start.

use k8s_openapi::api::core::v1::Container;

use super::Step;
use crate::observed::{ContainerState, Sandbox};
use crate::spec;

/// How far initialization is.
pub(super) enum Progress {
    /// Main containers may run.
    Initialized,
    /// An init container runs, waits or was just asked to start.
    Pending,
    /// An init container failed and is not tried again.
    Failed,
}

impl Step<'_> {
    /// Pushes what the init containers need.
    pub(super) fn initialize(&mut self, sandbox: &Sandbox) -> Progress {
        let spec = self.spec;
        let inits = spec::init_containers(spec);
        let main_seen = spec
            .containers
            .iter()
            .any(|c| self.observed.latest_in(&sandbox.id, &c.name).is_some());
        for (index, container) in inits.iter().enumerate() {
            let later_seen = main_seen
                || inits[index + 1..]
                    .iter()
                    .any(|c| self.observed.latest_in(&sandbox.id, &c.name).is_some());
            let progress = if spec::is_sidecar(container) {
                self.sidecar(sandbox, container, later_seen)
            } else {
                self.one_shot(sandbox, container, later_seen)
            };
            if !matches!(progress, Progress::Initialized) {
                return progress;
            }
        }
        Progress::Initialized
    }

    fn sidecar(&mut self, sandbox: &Sandbox, container: &Container, later_seen: bool) -> Progress {
        let found = self.observed.latest_in(&sandbox.id, &container.name);
        let passed = if later_seen {
            Progress::Initialized
        } else {
            Progress::Pending
        };
        match found.filter(|found| found.state == ContainerState::Running) {
            Some(running) => {
                if self.kill_if_unhealthy(container, running) {
                    return passed;
                }
                if self.memory.results(container, &running.id).started() {
                    Progress::Initialized
                } else {
                    passed
                }
            }
            None => {
                self.start(container);
                passed
            }
        }
    }

    fn one_shot(&mut self, sandbox: &Sandbox, container: &Container, later_seen: bool) -> Progress {
        // It was run in this sandbox, whether or not the runtime still knows it.
        if later_seen {
            return Progress::Initialized;
        }
        let Some(found) = self.observed.latest_in(&sandbox.id, &container.name) else {
            self.start(container);
            return Progress::Pending;
        };
        match found.state {
            ContainerState::Running => Progress::Pending,
            ContainerState::Exited if found.exit_code == 0 => Progress::Initialized,
            ContainerState::Exited => {
                // `Always` means OnFailure here: a one-shot init container that succeeded is done.
                if !spec::restarts_after(self.spec, container, found.exit_code) {
                    return Progress::Failed;
                }
                self.start(container);
                Progress::Pending
            }
            ContainerState::Created | ContainerState::Unknown => {
                self.start(container);
                Progress::Pending
            }
        }
    }
}
