//! Records made again from what the API server knows: a simulated machine outlives the process that simulates it.

use std::time::Duration;

use cri_api::v1 as cri;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as ContainerSpec, ContainerStatus, Pod};

use super::{Container, FakeRuntime, Sandbox};
use crate::simulated::RUNS_FOR;

impl FakeRuntime {
    /// Takes up a pod as its status describes it; one that had no address yet is not here and will be begun anew.
    pub(crate) fn adopt(
        &self,
        pod: &Pod,
        config: cri::PodSandboxConfig,
        describe: impl Fn(&ContainerSpec, u32) -> cri::ContainerConfig,
    ) {
        let Some(status) = &pod.status else { return };
        let address = status.pod_ip.as_deref().and_then(|ip| ip.parse().ok());
        let Some(address) = address else { return };
        let on_host = Sandbox::on_host(&config);
        let mut running = Vec::new();
        let mut state = self.locked();
        let sandbox_id = state.id();
        let started = status.start_time.as_ref().map_or(0, |time| nanoseconds(time.0));
        state.sandboxes.insert(
            sandbox_id.clone(),
            Sandbox {
                config,
                ready: !pod_lifecycle::spec::is_terminal(pod),
                address: (!on_host).then_some(address),
                created: started,
            },
        );
        let lists = [
            &status.init_container_statuses,
            &status.container_statuses,
            &status.ephemeral_container_statuses,
        ];
        for found in lists.into_iter().flatten().flatten() {
            let spec = pod
                .spec
                .as_ref()
                .and_then(|spec| pod_lifecycle::spec::find(spec, &found.name));
            let Some(spec) = spec else { continue };
            let attempt = u32::try_from(found.restart_count).unwrap_or(0);
            let Some((id, container)) = record(found, &sandbox_id, describe(&spec, attempt)) else {
                continue;
            };
            // New ids must be others than those that are known already.
            let number = u64::from_str_radix(id.trim_start_matches('0'), 16).unwrap_or(0);
            state.next_id = state.next_id.max(number);
            state.images.insert(found.image_id.clone());
            if container.state == cri::ContainerState::ContainerRunning {
                running.push(id.clone());
            }
            state.containers.insert(id, container);
        }
        drop(state);
        running.iter().for_each(|id| self.end_in_time(id));
    }

    /// Lets a container that has been given a life end when it is over.
    pub(super) fn end_in_time(&self, id: &str) {
        let state = self.locked();
        let Some(container) = state.containers.get(id) else {
            return;
        };
        let life = container.config.annotations.get(RUNS_FOR);
        let (Some(seconds), Some(tasks)) = (life.and_then(|text| text.parse().ok()), state.tasks.clone()) else {
            return;
        };
        let lived = u64::try_from(self.now().saturating_sub(container.started)).unwrap_or(0);
        drop(state);
        let left = Duration::from_secs(seconds).saturating_sub(Duration::from_nanos(lived));
        let (runtime, id) = (self.clone(), id.to_owned());
        tasks.spawn_until_cancelled("life of a simulated container", async move {
            supervision::sleep(left).await;
            runtime.finish(&id, 0, "");
        });
    }
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(0)
}

/// A container by its status; `None` for one that has not been made.
fn record(found: &ContainerStatus, sandbox_id: &str, config: cri::ContainerConfig) -> Option<(String, Container)> {
    let (_, id) = found.container_id.as_deref()?.split_once("://")?;
    let state = found.state.as_ref()?;
    let time = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.map_or(0, |time| nanoseconds(time.0))
    };
    let (state, started, finished, exit_code) = match (&state.running, &state.terminated) {
        (Some(running), _) => (
            cri::ContainerState::ContainerRunning,
            time(running.started_at.as_ref()),
            0,
            0,
        ),
        (None, Some(ended)) => (
            cri::ContainerState::ContainerExited,
            time(ended.started_at.as_ref()),
            time(ended.finished_at.as_ref()),
            ended.exit_code,
        ),
        (None, None) => return None,
    };
    let config = cri::ContainerConfig {
        image: Some(cri::ImageSpec {
            image: found.image_id.clone(),
            user_specified_image: found.image.clone(),
            ..Default::default()
        }),
        ..config
    };
    let container = Container {
        sandbox_id: sandbox_id.to_owned(),
        config,
        state,
        created: started,
        started,
        finished,
        exit_code,
        reason: String::new(),
    };
    Some((id.to_owned(), container))
}
