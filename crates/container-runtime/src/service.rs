//! The runtime as a CRI server: each call is checked and passed on.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cri_api::v1;
use cri_api::v1::runtime_service_server::RuntimeService;
use futures::Stream;
use remote_command::StreamSelection;
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use crate::runtime::{Runtime, RuntimeError};
use crate::streaming::{Session, Sessions};

type Answer<T> = Result<Response<T>, Status>;

/// The CRI runtime service.
#[derive(Clone)]
pub struct RuntimeServer {
    runtime: Arc<Runtime>,
    sessions: Arc<Sessions>,
}

impl RuntimeServer {
    /// Serves `runtime`; exec, attach and port-forward sessions are announced to `sessions`.
    pub fn new(runtime: Arc<Runtime>, sessions: Arc<Sessions>) -> Self {
        Self { runtime, sessions }
    }
}

fn required<T>(value: Option<T>, name: &'static str) -> Result<T, Status> {
    value.ok_or_else(|| RuntimeError::Missing(name).into())
}

fn answer<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

#[tonic::async_trait]
impl RuntimeService for RuntimeServer {
    async fn version(&self, _: Request<v1::VersionRequest>) -> Answer<v1::VersionResponse> {
        answer(v1::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "ondol".to_owned(),
            runtime_version: self.runtime.config().version.clone(),
            runtime_api_version: "v1".to_owned(),
        })
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::StatusResponse> {
        let not_ready = self.runtime.parts().network.not_ready();
        let network = v1::RuntimeCondition {
            r#type: "NetworkReady".to_owned(),
            status: not_ready.is_none(),
            reason: not_ready
                .as_ref()
                .map(|_| "NetworkPluginNotReady".to_owned())
                .unwrap_or_default(),
            message: not_ready.unwrap_or_default(),
        };
        let ready = v1::RuntimeCondition {
            r#type: "RuntimeReady".to_owned(),
            status: true,
            ..Default::default()
        };
        answer(v1::StatusResponse {
            status: Some(v1::RuntimeStatus {
                conditions: vec![ready, network],
            }),
            info: [("cgroup".to_owned(), self.runtime.cgroup_mode().to_owned())].into(),
            runtime_handlers: vec![v1::RuntimeHandler {
                name: String::new(),
                features: Some(v1::RuntimeHandlerFeatures {
                    recursive_read_only_mounts: true,
                    user_namespaces: false,
                }),
            }],
            features: Some(v1::RuntimeFeatures {
                supplemental_groups_policy: true,
                ..Default::default()
            }),
        })
    }

    async fn runtime_config(&self, _: Request<v1::RuntimeConfigRequest>) -> Answer<v1::RuntimeConfigResponse> {
        let linux = v1::LinuxRuntimeConfiguration {
            cgroup_driver: v1::CgroupDriver::Cgroupfs as i32,
        };
        answer(v1::RuntimeConfigResponse { linux: Some(linux) })
    }

    async fn update_runtime_config(
        &self,
        _: Request<v1::UpdateRuntimeConfigRequest>,
    ) -> Answer<v1::UpdateRuntimeConfigResponse> {
        // The pod network has its addresses from elsewhere; a pod CIDR means nothing to it.
        answer(v1::UpdateRuntimeConfigResponse {})
    }

    async fn run_pod_sandbox(&self, request: Request<v1::RunPodSandboxRequest>) -> Answer<v1::RunPodSandboxResponse> {
        let request = request.into_inner();
        if !request.runtime_handler.is_empty() {
            return Err(Status::invalid_argument(format!(
                "no runtime for {:?} is configured",
                request.runtime_handler
            )));
        }
        let config = required(request.config, "sandbox config")?;
        let pod_sandbox_id = self.runtime.run_sandbox(config, request.runtime_handler).await?;
        answer(v1::RunPodSandboxResponse { pod_sandbox_id })
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<v1::StopPodSandboxRequest>,
    ) -> Answer<v1::StopPodSandboxResponse> {
        self.runtime.stop_sandbox(&request.into_inner().pod_sandbox_id).await?;
        answer(v1::StopPodSandboxResponse {})
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<v1::RemovePodSandboxRequest>,
    ) -> Answer<v1::RemovePodSandboxResponse> {
        self.runtime
            .remove_sandbox(&request.into_inner().pod_sandbox_id)
            .await?;
        answer(v1::RemovePodSandboxResponse {})
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<v1::PodSandboxStatusRequest>,
    ) -> Answer<v1::PodSandboxStatusResponse> {
        let (status, containers_statuses) = self.runtime.sandbox_status(&request.into_inner().pod_sandbox_id)?;
        let timestamp = self.runtime.now();
        answer(v1::PodSandboxStatusResponse {
            status: Some(status),
            containers_statuses,
            timestamp,
            ..Default::default()
        })
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<v1::ListPodSandboxRequest>,
    ) -> Answer<v1::ListPodSandboxResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        answer(v1::ListPodSandboxResponse {
            items: self.runtime.list_sandboxes(&filter),
        })
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<v1::UpdatePodSandboxResourcesRequest>,
    ) -> Answer<v1::UpdatePodSandboxResourcesResponse> {
        // The pod's own limits are the kubelet's; a runtime is only told.
        self.runtime.sandbox_status(&request.into_inner().pod_sandbox_id)?;
        answer(v1::UpdatePodSandboxResourcesResponse {})
    }

    async fn create_container(
        &self,
        request: Request<v1::CreateContainerRequest>,
    ) -> Answer<v1::CreateContainerResponse> {
        let request = request.into_inner();
        let config = required(request.config, "container config")?;
        let container_id = self.runtime.create_container(&request.pod_sandbox_id, config)?;
        answer(v1::CreateContainerResponse { container_id })
    }

    async fn start_container(&self, request: Request<v1::StartContainerRequest>) -> Answer<v1::StartContainerResponse> {
        self.runtime.start_container(&request.into_inner().container_id).await?;
        answer(v1::StartContainerResponse {})
    }

    async fn stop_container(&self, request: Request<v1::StopContainerRequest>) -> Answer<v1::StopContainerResponse> {
        let request = request.into_inner();
        let grace = Duration::from_secs(u64::try_from(request.timeout).unwrap_or(0));
        self.runtime.stop_container(&request.container_id, grace).await?;
        answer(v1::StopContainerResponse {})
    }

    async fn remove_container(
        &self,
        request: Request<v1::RemoveContainerRequest>,
    ) -> Answer<v1::RemoveContainerResponse> {
        self.runtime
            .remove_container(&request.into_inner().container_id)
            .await?;
        answer(v1::RemoveContainerResponse {})
    }

    async fn list_containers(&self, request: Request<v1::ListContainersRequest>) -> Answer<v1::ListContainersResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        answer(v1::ListContainersResponse {
            containers: self.runtime.list_containers(&filter),
        })
    }

    async fn container_status(
        &self,
        request: Request<v1::ContainerStatusRequest>,
    ) -> Answer<v1::ContainerStatusResponse> {
        let status = self.runtime.container_status(&request.into_inner().container_id)?;
        answer(v1::ContainerStatusResponse {
            status: Some(status),
            ..Default::default()
        })
    }

    async fn update_container_resources(
        &self,
        request: Request<v1::UpdateContainerResourcesRequest>,
    ) -> Answer<v1::UpdateContainerResourcesResponse> {
        let request = request.into_inner();
        self.runtime
            .update_resources(&request.container_id, &request.linux.unwrap_or_default())?;
        answer(v1::UpdateContainerResourcesResponse {})
    }

    async fn reopen_container_log(
        &self,
        request: Request<v1::ReopenContainerLogRequest>,
    ) -> Answer<v1::ReopenContainerLogResponse> {
        self.runtime.reopen_log(&request.into_inner().container_id).await?;
        answer(v1::ReopenContainerLogResponse {})
    }

    type GetContainerEventsStream = Pin<Box<dyn Stream<Item = Result<v1::ContainerEventResponse, Status>> + Send>>;

    async fn get_container_events(&self, _: Request<v1::GetEventsRequest>) -> Answer<Self::GetContainerEventsStream> {
        let told = self.runtime.subscribe();
        let events = futures::stream::unfold(Some(told), |told| async {
            let mut told = told?;
            match told.recv().await {
                Ok(event) => Some((Ok(event), Some(told))),
                Err(RecvError::Closed) => None,
                Err(RecvError::Lagged(missed)) => {
                    let behind = Status::resource_exhausted(format!("{missed} events were missed: list again"));
                    Some((Err(behind), None))
                }
            }
        });
        answer(Box::pin(events))
    }

    async fn exec_sync(&self, request: Request<v1::ExecSyncRequest>) -> Answer<v1::ExecSyncResponse> {
        let request = request.into_inner();
        let (stdout, stderr, exit_code) = self
            .runtime
            .exec_sync(&request.container_id, request.cmd, request.timeout)
            .await?;
        answer(v1::ExecSyncResponse {
            stdout,
            stderr,
            exit_code,
        })
    }

    async fn exec(&self, request: Request<v1::ExecRequest>) -> Answer<v1::ExecResponse> {
        let request = request.into_inner();
        if request.cmd.is_empty() {
            return Err(RuntimeError::Missing("cmd").into());
        }
        self.expect_running(&request.container_id)?;
        let selection = StreamSelection {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr && !request.tty,
            tty: request.tty,
        };
        let session = Session::Exec {
            container_id: request.container_id,
            command: request.cmd,
            selection,
        };
        answer(v1::ExecResponse {
            url: self.sessions.announce("exec", session),
        })
    }

    async fn attach(&self, request: Request<v1::AttachRequest>) -> Answer<v1::AttachResponse> {
        let request = request.into_inner();
        self.expect_running(&request.container_id)?;
        let selection = StreamSelection {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr && !request.tty,
            tty: request.tty,
        };
        let session = Session::Attach {
            container_id: request.container_id,
            selection,
        };
        answer(v1::AttachResponse {
            url: self.sessions.announce("attach", session),
        })
    }

    async fn port_forward(&self, request: Request<v1::PortForwardRequest>) -> Answer<v1::PortForwardResponse> {
        let request = request.into_inner();
        let (status, _) = self.runtime.sandbox_status(&request.pod_sandbox_id)?;
        if status.state() != v1::PodSandboxState::SandboxReady {
            return Err(RuntimeError::SandboxNotReady(request.pod_sandbox_id).into());
        }
        let ports = request
            .port
            .iter()
            .filter_map(|port| u16::try_from(*port).ok())
            .collect();
        let session = Session::PortForward {
            sandbox_id: status.id,
            ports,
        };
        answer(v1::PortForwardResponse {
            url: self.sessions.announce("portforward", session),
        })
    }

    async fn container_stats(&self, request: Request<v1::ContainerStatsRequest>) -> Answer<v1::ContainerStatsResponse> {
        let stats = self.runtime.container_stats(&request.into_inner().container_id)?;
        answer(v1::ContainerStatsResponse { stats: Some(stats) })
    }

    async fn list_container_stats(
        &self,
        request: Request<v1::ListContainerStatsRequest>,
    ) -> Answer<v1::ListContainerStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        answer(v1::ListContainerStatsResponse {
            stats: self.runtime.list_container_stats(&filter),
        })
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<v1::PodSandboxStatsRequest>,
    ) -> Answer<v1::PodSandboxStatsResponse> {
        let stats = self.runtime.sandbox_stats(&request.into_inner().pod_sandbox_id)?;
        answer(v1::PodSandboxStatsResponse { stats: Some(stats) })
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<v1::ListPodSandboxStatsRequest>,
    ) -> Answer<v1::ListPodSandboxStatsResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        answer(v1::ListPodSandboxStatsResponse {
            stats: self.runtime.list_sandbox_stats(&filter),
        })
    }
}

impl RuntimeServer {
    fn expect_running(&self, id: &str) -> Result<(), Status> {
        let status = self.runtime.container_status(id)?;
        if status.state() == v1::ContainerState::ContainerRunning {
            return Ok(());
        }
        Err(RuntimeError::WrongState {
            id: status.id.clone(),
            state: status.state().as_str_name(),
        }
        .into())
    }
}
