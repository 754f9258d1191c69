//! The two CRI services of the fake runtime.

use std::collections::HashMap;
use std::pin::Pin;

use cri_api::v1 as cri;
use cri_api::v1::image_service_server::ImageService;
use cri_api::v1::runtime_service_server::RuntimeService;
use futures::{Stream, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};

use super::{Container, FakeRuntime, Sandbox};

type Answer<T> = Result<Response<T>, Status>;

fn not_found(what: &str, id: &str) -> Status {
    Status::not_found(format!("{what} {id:?} not found"))
}

fn cannot(what: &str) -> Status {
    Status::unimplemented(format!("a simulated node has no {what}"))
}

fn matches(labels: &HashMap<String, String>, selector: &HashMap<String, String>) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

impl FakeRuntime {
    fn listed_containers(&self, filter: &cri::ContainerFilter) -> Vec<cri::Container> {
        let state = self.locked();
        let wanted = |id: &str, container: &Container| {
            (filter.id.is_empty() || filter.id == id)
                && (filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.sandbox_id)
                && filter
                    .state
                    .as_ref()
                    .is_none_or(|state| state.state() == container.state)
                && matches(&container.config.labels, &filter.label_selector)
        };
        let chosen = state.containers.iter().filter(|(id, container)| wanted(id, container));
        let one = |(id, container): (&String, &Container)| cri::Container {
            id: id.clone(),
            pod_sandbox_id: container.sandbox_id.clone(),
            metadata: container.config.metadata.clone(),
            image: container.config.image.clone(),
            state: container.state.into(),
            created_at: container.created,
            labels: container.config.labels.clone(),
            annotations: container.config.annotations.clone(),
            ..Default::default()
        };
        chosen.map(one).collect()
    }
}

#[tonic::async_trait]
impl RuntimeService for FakeRuntime {
    type GetContainerEventsStream =
        Pin<Box<dyn Stream<Item = Result<cri::ContainerEventResponse, Status>> + Send + 'static>>;

    async fn version(&self, _: Request<cri::VersionRequest>) -> Answer<cri::VersionResponse> {
        Ok(Response::new(cri::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "simulated".to_owned(),
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime_api_version: "v1".to_owned(),
        }))
    }

    async fn status(&self, _: Request<cri::StatusRequest>) -> Answer<cri::StatusResponse> {
        let condition = |kind: &str| cri::RuntimeCondition {
            r#type: kind.to_owned(),
            status: true,
            ..Default::default()
        };
        let conditions = vec![condition("RuntimeReady"), condition("NetworkReady")];
        let status = Some(cri::RuntimeStatus { conditions });
        Ok(Response::new(cri::StatusResponse {
            status,
            ..Default::default()
        }))
    }

    async fn run_pod_sandbox(&self, request: Request<cri::RunPodSandboxRequest>) -> Answer<cri::RunPodSandboxResponse> {
        let config = request.into_inner().config.unwrap_or_default();
        let created = self.now();
        let id = {
            let mut state = self.locked();
            let id = state.id();
            let address = if Sandbox::on_host(&config) {
                None
            } else {
                let full = || Status::resource_exhausted("failed to assign an IP address to container");
                Some(state.take_address().ok_or_else(full)?)
            };
            state.sandboxes.insert(
                id.clone(),
                Sandbox {
                    config,
                    ready: true,
                    address,
                    created,
                },
            );
            id
        };
        self.announce(&id, cri::ContainerEventType::ContainerStartedEvent);
        Ok(Response::new(cri::RunPodSandboxResponse { pod_sandbox_id: id }))
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<cri::StopPodSandboxRequest>,
    ) -> Answer<cri::StopPodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let containers: Vec<String> = {
            let mut state = self.locked();
            let Some(sandbox) = state.sandboxes.get_mut(&id) else {
                return Err(not_found("sandbox", &id));
            };
            sandbox.ready = false;
            let of_it = state
                .containers
                .iter()
                .filter(|(_, container)| container.sandbox_id == id);
            of_it.map(|(id, _)| id.clone()).collect()
        };
        containers.iter().for_each(|container| self.finish(container, 137, ""));
        self.announce(&id, cri::ContainerEventType::ContainerStoppedEvent);
        Ok(Response::new(cri::StopPodSandboxResponse {}))
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<cri::RemovePodSandboxRequest>,
    ) -> Answer<cri::RemovePodSandboxResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let mut state = self.locked();
        state.sandboxes.remove(&id);
        state.containers.retain(|_, container| container.sandbox_id != id);
        Ok(Response::new(cri::RemovePodSandboxResponse {}))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Answer<cri::PodSandboxStatusResponse> {
        let id = request.into_inner().pod_sandbox_id;
        let state = self.locked();
        let sandbox = state.sandboxes.get(&id).ok_or_else(|| not_found("sandbox", &id))?;
        Ok(Response::new(cri::PodSandboxStatusResponse {
            status: Some(sandbox.status(&id)),
            containers_statuses: state.statuses_of(&id),
            timestamp: self.now(),
            ..Default::default()
        }))
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Answer<cri::ListPodSandboxResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let state = self.locked();
        let chosen = state.sandboxes.iter().filter(|(id, sandbox)| {
            (filter.id.is_empty() || filter.id == **id) && matches(&sandbox.config.labels, &filter.label_selector)
        });
        let one = |(id, sandbox): (&String, &Sandbox)| cri::PodSandbox {
            id: id.clone(),
            metadata: sandbox.config.metadata.clone(),
            state: sandbox.state().into(),
            created_at: sandbox.created,
            labels: sandbox.config.labels.clone(),
            annotations: sandbox.config.annotations.clone(),
            ..Default::default()
        };
        Ok(Response::new(cri::ListPodSandboxResponse {
            items: chosen.map(one).collect(),
        }))
    }

    async fn create_container(
        &self,
        request: Request<cri::CreateContainerRequest>,
    ) -> Answer<cri::CreateContainerResponse> {
        let request = request.into_inner();
        let created = self.now();
        let id = {
            let mut state = self.locked();
            if !state.sandboxes.contains_key(&request.pod_sandbox_id) {
                return Err(not_found("sandbox", &request.pod_sandbox_id));
            }
            let id = state.id();
            let container = Container {
                sandbox_id: request.pod_sandbox_id,
                config: request.config.unwrap_or_default(),
                state: cri::ContainerState::ContainerCreated,
                created,
                started: 0,
                finished: 0,
                exit_code: 0,
                reason: String::new(),
            };
            state.containers.insert(id.clone(), container);
            id
        };
        self.announce(&id, cri::ContainerEventType::ContainerCreatedEvent);
        Ok(Response::new(cri::CreateContainerResponse { container_id: id }))
    }

    async fn start_container(
        &self,
        request: Request<cri::StartContainerRequest>,
    ) -> Answer<cri::StartContainerResponse> {
        let id = request.into_inner().container_id;
        let started = self.now();
        {
            let mut state = self.locked();
            let container = state
                .containers
                .get_mut(&id)
                .ok_or_else(|| not_found("container", &id))?;
            container.state = cri::ContainerState::ContainerRunning;
            container.started = started;
        }
        self.announce(&id, cri::ContainerEventType::ContainerStartedEvent);
        self.end_in_time(&id);
        Ok(Response::new(cri::StartContainerResponse {}))
    }

    async fn stop_container(&self, request: Request<cri::StopContainerRequest>) -> Answer<cri::StopContainerResponse> {
        self.finish(&request.into_inner().container_id, 143, "");
        Ok(Response::new(cri::StopContainerResponse {}))
    }

    async fn remove_container(
        &self,
        request: Request<cri::RemoveContainerRequest>,
    ) -> Answer<cri::RemoveContainerResponse> {
        self.locked().containers.remove(&request.into_inner().container_id);
        Ok(Response::new(cri::RemoveContainerResponse {}))
    }

    async fn list_containers(
        &self,
        request: Request<cri::ListContainersRequest>,
    ) -> Answer<cri::ListContainersResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        Ok(Response::new(cri::ListContainersResponse {
            containers: self.listed_containers(&filter),
        }))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Answer<cri::ContainerStatusResponse> {
        let id = request.into_inner().container_id;
        let state = self.locked();
        let container = state.containers.get(&id).ok_or_else(|| not_found("container", &id))?;
        Ok(Response::new(cri::ContainerStatusResponse {
            status: Some(container.status(&id)),
            ..Default::default()
        }))
    }

    async fn get_container_events(&self, _: Request<cri::GetEventsRequest>) -> Answer<Self::GetContainerEventsStream> {
        let stream = futures::stream::unfold(self.events.subscribe(), |mut events| async move {
            match events.recv().await {
                Ok(event) => Some((Ok(event), events)),
                // The stream ends; the agent subscribes again and looks at everything.
                Err(RecvError::Lagged(_) | RecvError::Closed) => None,
            }
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn exec_sync(&self, request: Request<cri::ExecSyncRequest>) -> Answer<cri::ExecSyncResponse> {
        let id = request.into_inner().container_id;
        let state = self.locked();
        let container = state.containers.get(&id).ok_or_else(|| not_found("container", &id))?;
        let name = container
            .config
            .metadata
            .as_ref()
            .map(|metadata| metadata.name.clone())
            .unwrap_or_default();
        let (exit_code, output) = state
            .commands
            .get(&name)
            .cloned()
            .ok_or_else(|| cannot("processes to run commands in"))?;
        Ok(Response::new(cri::ExecSyncResponse {
            stdout: output.into_bytes(),
            stderr: Vec::new(),
            exit_code,
        }))
    }

    async fn update_container_resources(
        &self,
        _: Request<cri::UpdateContainerResourcesRequest>,
    ) -> Answer<cri::UpdateContainerResourcesResponse> {
        Err(cannot("resources"))
    }

    async fn update_pod_sandbox_resources(
        &self,
        _: Request<cri::UpdatePodSandboxResourcesRequest>,
    ) -> Answer<cri::UpdatePodSandboxResourcesResponse> {
        Err(cannot("resources"))
    }

    async fn reopen_container_log(
        &self,
        _: Request<cri::ReopenContainerLogRequest>,
    ) -> Answer<cri::ReopenContainerLogResponse> {
        Err(cannot("logs"))
    }

    async fn exec(&self, _: Request<cri::ExecRequest>) -> Answer<cri::ExecResponse> {
        Err(cannot("processes to run commands in"))
    }

    async fn attach(&self, _: Request<cri::AttachRequest>) -> Answer<cri::AttachResponse> {
        Err(cannot("processes to attach to"))
    }

    async fn port_forward(&self, _: Request<cri::PortForwardRequest>) -> Answer<cri::PortForwardResponse> {
        Err(cannot("ports"))
    }

    async fn container_stats(&self, _: Request<cri::ContainerStatsRequest>) -> Answer<cri::ContainerStatsResponse> {
        Err(cannot("usage"))
    }

    async fn list_container_stats(
        &self,
        _: Request<cri::ListContainerStatsRequest>,
    ) -> Answer<cri::ListContainerStatsResponse> {
        Err(cannot("usage"))
    }

    async fn pod_sandbox_stats(&self, _: Request<cri::PodSandboxStatsRequest>) -> Answer<cri::PodSandboxStatsResponse> {
        Err(cannot("usage"))
    }

    async fn list_pod_sandbox_stats(
        &self,
        _: Request<cri::ListPodSandboxStatsRequest>,
    ) -> Answer<cri::ListPodSandboxStatsResponse> {
        Err(cannot("usage"))
    }

    async fn runtime_config(&self, _: Request<cri::RuntimeConfigRequest>) -> Answer<cri::RuntimeConfigResponse> {
        Err(cannot("cgroups"))
    }

    async fn update_runtime_config(
        &self,
        _: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Answer<cri::UpdateRuntimeConfigResponse> {
        Err(cannot("runtime configuration"))
    }
}

#[tonic::async_trait]
impl ImageService for FakeRuntime {
    async fn pull_image(&self, request: Request<cri::PullImageRequest>) -> Answer<cri::PullImageResponse> {
        let image = request.into_inner().image.unwrap_or_default().image;
        let mut state = self.locked();
        if let Some(message) = state.broken_images.get(&image) {
            return Err(Status::not_found(message.clone()));
        }
        state.images.insert(image.clone());
        Ok(Response::new(cri::PullImageResponse { image_ref: image }))
    }

    async fn image_status(&self, request: Request<cri::ImageStatusRequest>) -> Answer<cri::ImageStatusResponse> {
        let wanted = request.into_inner().image.unwrap_or_default().image;
        let present = self.locked().images.contains(&wanted);
        let image = present.then(|| image(&wanted));
        Ok(Response::new(cri::ImageStatusResponse {
            image,
            ..Default::default()
        }))
    }

    async fn list_images(&self, _: Request<cri::ListImagesRequest>) -> Answer<cri::ListImagesResponse> {
        let images = self.locked().images.iter().map(|name| image(name)).collect();
        Ok(Response::new(cri::ListImagesResponse { images }))
    }

    async fn remove_image(&self, request: Request<cri::RemoveImageRequest>) -> Answer<cri::RemoveImageResponse> {
        self.locked()
            .images
            .remove(&request.into_inner().image.unwrap_or_default().image);
        Ok(Response::new(cri::RemoveImageResponse {}))
    }

    async fn image_fs_info(&self, _: Request<cri::ImageFsInfoRequest>) -> Answer<cri::ImageFsInfoResponse> {
        Ok(Response::new(cri::ImageFsInfoResponse::default()))
    }
}

/// A simulated image's id is its name.
fn image(name: &str) -> cri::Image {
    cri::Image {
        id: name.to_owned(),
        repo_tags: vec![name.to_owned()],
        size: 1,
        ..Default::default()
    }
}
