//! The container runtime as the agent sees it: CRI calls with errors that name them, and statuses in pod-lifecycle's words.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use cri_api::v1 as cri;
use cri_api::v1::image_service_client::ImageServiceClient;
use cri_api::v1::runtime_service_client::RuntimeServiceClient;
use jiff::Timestamp;
use pod_lifecycle::observed::{self, Observed};
use tonic::transport::Channel;

use crate::termination_message;

mod streaming_url;

pub(crate) use streaming_url::StreamingUrl;

/// Labels by which sandboxes and containers are found again, upstream's own.
pub(crate) mod label {
    pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
    pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
    pub(crate) const CONTAINER: &str = "io.kubernetes.container.name";
}

/// Annotations of containers.
pub(crate) mod annotation {
    pub(crate) const SPEC_HASH: &str = "io.kubernetes.container.hash";
    pub(crate) const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    pub(crate) const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    pub(crate) const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
}

/// A CRI call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}")]
pub(crate) struct RuntimeError {
    /// The call, as `RunPodSandbox`.
    pub(crate) call: &'static str,
    /// What the runtime answered.
    #[source]
    pub(crate) status: tonic::Status,
}

impl RuntimeError {
    /// The runtime's words, as upstream puts gRPC errors into events.
    pub(crate) fn reason(&self) -> String {
        format!(
            "rpc error: code = {:?} desc = {}",
            self.status.code(),
            self.status.message()
        )
    }

    fn is_not_found(&self) -> bool {
        self.status.code() == tonic::Code::NotFound
    }
}

type Result<T> = std::result::Result<T, RuntimeError>;

/// Cheap to clone: one connection, many calls.
#[derive(Clone)]
pub(crate) struct Runtime {
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
}

/// Every call looks the same but for its name and type.
macro_rules! call {
    ($client:expr, $method:ident, $name:literal, $request:expr) => {{
        let asked = Instant::now();
        let answer = $client.clone().$method($request).await;
        // `cargo xtask bench` reads these lines.
        tracing::debug!(call = $name, microseconds = asked.elapsed().as_micros(), "answered");
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| RuntimeError { call: $name, status })
    }};
}

/// A not-found answer to a removal is success: what was asked for holds.
fn gone<T>(result: Result<T>) -> Result<()> {
    match result {
        Err(error) if !error.is_not_found() => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Runtime {
    pub(crate) fn new(channel: Channel) -> Self {
        // Pod statuses with many containers and image lists can be large.
        let limit = 32 * 1024 * 1024;
        Self {
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(limit),
            images: ImageServiceClient::new(channel).max_decoding_message_size(limit),
        }
    }

    pub(crate) async fn version(&self) -> Result<cri::VersionResponse> {
        call!(
            self.runtime,
            version,
            "Version",
            cri::VersionRequest {
                version: "v1".to_owned()
            }
        )
    }

    pub(crate) async fn status(&self) -> Result<cri::StatusResponse> {
        call!(self.runtime, status, "Status", cri::StatusRequest { verbose: false })
    }

    pub(crate) async fn run_sandbox(&self, config: cri::PodSandboxConfig, handler: &str) -> Result<String> {
        let request = cri::RunPodSandboxRequest {
            config: Some(config),
            runtime_handler: handler.to_owned(),
        };
        let response = call!(self.runtime, run_pod_sandbox, "RunPodSandbox", request)?;
        Ok(response.pod_sandbox_id)
    }

    pub(crate) async fn stop_sandbox(&self, id: &str) -> Result<()> {
        let request = cri::StopPodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        gone(call!(self.runtime, stop_pod_sandbox, "StopPodSandbox", request))
    }

    pub(crate) async fn remove_sandbox(&self, id: &str) -> Result<()> {
        let request = cri::RemovePodSandboxRequest {
            pod_sandbox_id: id.to_owned(),
        };
        gone(call!(self.runtime, remove_pod_sandbox, "RemovePodSandbox", request))
    }

    pub(crate) async fn create_container(
        &self,
        sandbox_id: &str,
        config: cri::ContainerConfig,
        sandbox_config: cri::PodSandboxConfig,
    ) -> Result<String> {
        let request = cri::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let response = call!(self.runtime, create_container, "CreateContainer", request)?;
        Ok(response.container_id)
    }

    pub(crate) async fn start_container(&self, id: &str) -> Result<()> {
        let request = cri::StartContainerRequest {
            container_id: id.to_owned(),
        };
        call!(self.runtime, start_container, "StartContainer", request).map(|_| ())
    }

    pub(crate) async fn stop_container(&self, id: &str, grace: i64) -> Result<()> {
        let request = cri::StopContainerRequest {
            container_id: id.to_owned(),
            timeout: grace,
        };
        gone(call!(self.runtime, stop_container, "StopContainer", request))
    }

    pub(crate) async fn remove_container(&self, id: &str) -> Result<()> {
        let request = cri::RemoveContainerRequest {
            container_id: id.to_owned(),
        };
        gone(call!(self.runtime, remove_container, "RemoveContainer", request))
    }

    pub(crate) async fn container_status(&self, id: &str) -> Result<cri::ContainerStatus> {
        let request = cri::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let response = call!(self.runtime, container_status, "ContainerStatus", request)?;
        Ok(response.status.unwrap_or_default())
    }

    pub(crate) async fn reopen_log(&self, id: &str) -> Result<()> {
        let request = cri::ReopenContainerLogRequest {
            container_id: id.to_owned(),
        };
        call!(self.runtime, reopen_container_log, "ReopenContainerLog", request).map(|_| ())
    }

    pub(crate) async fn exec_sync(
        &self,
        id: &str,
        command: Vec<String>,
        limit: Duration,
    ) -> Result<cri::ExecSyncResponse> {
        let timeout = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let request = cri::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command,
            timeout,
        };
        call!(self.runtime, exec_sync, "ExecSync", request)
    }

    pub(crate) async fn exec_url(&self, request: cri::ExecRequest) -> Result<String> {
        call!(self.runtime, exec, "Exec", request).map(|response: cri::ExecResponse| response.url)
    }

    pub(crate) async fn attach_url(&self, request: cri::AttachRequest) -> Result<String> {
        call!(self.runtime, attach, "Attach", request).map(|response: cri::AttachResponse| response.url)
    }

    pub(crate) async fn port_forward_url(&self, sandbox_id: &str, ports: Vec<i32>) -> Result<String> {
        let request = cri::PortForwardRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            port: ports,
        };
        call!(self.runtime, port_forward, "PortForward", request).map(|response: cri::PortForwardResponse| response.url)
    }

    pub(crate) async fn events(&self) -> Result<tonic::Streaming<cri::ContainerEventResponse>> {
        call!(
            self.runtime,
            get_container_events,
            "GetContainerEvents",
            cri::GetEventsRequest {}
        )
    }

    pub(crate) async fn pull_image(&self, image: &str, auth: Option<cri::AuthConfig>) -> Result<String> {
        let spec = cri::ImageSpec {
            image: image.to_owned(),
            user_specified_image: image.to_owned(),
            ..Default::default()
        };
        let request = cri::PullImageRequest {
            image: Some(spec),
            auth,
            sandbox_config: None,
        };
        let response = call!(self.images, pull_image, "PullImage", request)?;
        Ok(response.image_ref)
    }

    pub(crate) async fn image(&self, image: &str) -> Result<Option<cri::Image>> {
        let spec = cri::ImageSpec {
            image: image.to_owned(),
            ..Default::default()
        };
        let request = cri::ImageStatusRequest {
            image: Some(spec),
            verbose: false,
        };
        match call!(self.images, image_status, "ImageStatus", request) {
            Ok(response) => Ok(response.image),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn images(&self) -> Result<Vec<cri::Image>> {
        call!(
            self.images,
            list_images,
            "ListImages",
            cri::ListImagesRequest { filter: None }
        )
        .map(|response: cri::ListImagesResponse| response.images)
    }

    pub(crate) async fn sandbox_stats(&self) -> Result<Vec<cri::PodSandboxStats>> {
        let request = cri::ListPodSandboxStatsRequest { filter: None };
        call!(self.runtime, list_pod_sandbox_stats, "ListPodSandboxStats", request)
            .map(|response: cri::ListPodSandboxStatsResponse| response.stats)
    }

    /// All sandboxes, or those of one pod.
    pub(crate) async fn sandboxes(&self, pod_uid: Option<&str>) -> Result<Vec<cri::PodSandbox>> {
        let filter = pod_uid.map(|uid| cri::PodSandboxFilter {
            label_selector: uid_selector(uid),
            ..Default::default()
        });
        call!(
            self.runtime,
            list_pod_sandbox,
            "ListPodSandbox",
            cri::ListPodSandboxRequest { filter }
        )
        .map(|response: cri::ListPodSandboxResponse| response.items)
    }

    /// Everything that the runtime holds for a pod.
    pub(crate) async fn observe(&self, pod_uid: &str) -> Result<Observed> {
        let mut observed = Observed::default();
        let mut complete = true;
        for sandbox in self.sandboxes(Some(pod_uid)).await? {
            let request = cri::PodSandboxStatusRequest {
                pod_sandbox_id: sandbox.id.clone(),
                verbose: false,
            };
            let response = match call!(self.runtime, pod_sandbox_status, "PodSandboxStatus", request) {
                Ok(response) => response,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            let Some(status) = response.status else { continue };
            complete &= !response.containers_statuses.is_empty();
            let of_sandbox = response.containers_statuses.into_iter();
            observed
                .containers
                .extend(of_sandbox.map(|status| container(&sandbox.id, status)));
            observed.sandboxes.push(self::sandbox(status));
        }
        // Runtimes without evented status leave the containers out.
        if !complete || observed.sandboxes.is_empty() {
            self.observe_containers(pod_uid, &mut observed).await?;
        }
        observed
            .sandboxes
            .sort_by_key(|sandbox| std::cmp::Reverse((sandbox.attempt, sandbox.created_at)));
        observed
            .containers
            .sort_by_key(|one| std::cmp::Reverse((one.attempt, one.created_at)));
        Ok(observed)
    }

    async fn observe_containers(&self, pod_uid: &str, observed: &mut Observed) -> Result<()> {
        let filter = cri::ContainerFilter {
            label_selector: uid_selector(pod_uid),
            ..Default::default()
        };
        let request = cri::ListContainersRequest { filter: Some(filter) };
        let response = call!(self.runtime, list_containers, "ListContainers", request)?;
        for listed in response.containers {
            if observed.containers.iter().any(|known| known.id == listed.id) {
                continue;
            }
            match self.container_status(&listed.id).await {
                Ok(status) => observed.containers.push(container(&listed.pod_sandbox_id, status)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn uid_selector(uid: &str) -> HashMap<String, String> {
    HashMap::from([(label::POD_UID.to_owned(), uid.to_owned())])
}

fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0)
        .then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok())
        .flatten()
}

/// A sandbox's status in pod-lifecycle's words.
pub(crate) fn sandbox(status: cri::PodSandboxStatus) -> observed::Sandbox {
    let ready = status.state() == cri::PodSandboxState::SandboxReady;
    let network = status.network.unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|ip| ip.ip);
    let ips: Vec<IpAddr> = std::iter::once(network.ip)
        .chain(more)
        .filter_map(|ip| ip.parse().ok())
        .collect();
    observed::Sandbox {
        attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
        ready,
        ips,
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        id: status.id,
    }
}

/// A container's status in pod-lifecycle's words, its termination message read from the file that it was given.
pub(crate) fn container(sandbox_id: &str, status: cri::ContainerStatus) -> observed::Container {
    let state = match status.state() {
        cri::ContainerState::ContainerCreated => observed::ContainerState::Created,
        cri::ContainerState::ContainerRunning => observed::ContainerState::Running,
        cri::ContainerState::ContainerExited => observed::ContainerState::Exited,
        cri::ContainerState::ContainerUnknown => observed::ContainerState::Unknown,
    };
    let exited = state == observed::ContainerState::Exited;
    let message = if exited {
        termination_message::read(&status)
    } else {
        String::new()
    };
    let user = status
        .user
        .clone()
        .and_then(|user| user.linux)
        .map(|user| observed::User {
            uid: user.uid,
            gid: user.gid,
            groups: user.supplemental_groups,
        });
    let metadata = status.metadata.clone().unwrap_or_default();
    observed::Container {
        sandbox_id: sandbox_id.to_owned(),
        name: metadata.name,
        attempt: metadata.attempt,
        state,
        image: image_name(&status),
        image_id: if status.image_ref.is_empty() {
            status.image_id.clone()
        } else {
            status.image_ref.clone()
        },
        created_at: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        started_at: time(status.started_at),
        finished_at: time(status.finished_at),
        exit_code: status.exit_code,
        reason: exit_reason(&status, exited),
        message,
        user,
        spec_hash: status
            .annotations
            .get(annotation::SPEC_HASH)
            .cloned()
            .unwrap_or_default(),
        id: status.id,
    }
}

fn image_name(status: &cri::ContainerStatus) -> String {
    let spec = status.image.clone().unwrap_or_default();
    if spec.user_specified_image.is_empty() {
        spec.image
    } else {
        spec.user_specified_image
    }
}

fn exit_reason(status: &cri::ContainerStatus, exited: bool) -> String {
    if !status.reason.is_empty() || !exited {
        return status.reason.clone();
    }
    if status.exit_code == 0 {
        "Completed".to_owned()
    } else {
        "Error".to_owned()
    }
}

/// Host paths of a container's mounts by their place in the container.
pub(crate) fn mounts(status: &cri::ContainerStatus) -> BTreeMap<&str, &Path> {
    status
        .mounts
        .iter()
        .map(|mount| (mount.container_path.as_str(), Path::new(&mount.host_path)))
        .collect()
}
