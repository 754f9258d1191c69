//! A client and a server find each other, and speak the published numbers.

use prost::Message;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::v1;
use crate::v1::image_service_client::ImageServiceClient;
use crate::v1::image_service_server::{ImageService, ImageServiceServer};

struct OneImage;

#[tonic::async_trait]
impl ImageService for OneImage {
    async fn image_status(
        &self,
        _: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        Err(Status::not_found("no such image"))
    }

    async fn list_images(&self, _: Request<v1::ListImagesRequest>) -> Result<Response<v1::ListImagesResponse>, Status> {
        let image = v1::Image {
            id: "sha256:1".to_owned(),
            ..Default::default()
        };
        Ok(Response::new(v1::ListImagesResponse { images: vec![image] }))
    }

    async fn pull_image(&self, _: Request<v1::PullImageRequest>) -> Result<Response<v1::PullImageResponse>, Status> {
        Err(Status::unimplemented("pulls"))
    }

    async fn remove_image(
        &self,
        _: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        Err(Status::unimplemented("removals"))
    }

    async fn image_fs_info(
        &self,
        _: Request<v1::ImageFsInfoRequest>,
    ) -> Result<Response<v1::ImageFsInfoResponse>, Status> {
        Err(Status::unimplemented("usage"))
    }
}

#[tokio::test]
async fn a_call_crosses_the_socket_and_a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cri.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Server::builder().add_service(ImageServiceServer::new(OneImage));
    let server = super::serve(&path, router, async {
        stopped.await.ok();
    });
    let client = async {
        let mut client = ImageServiceClient::new(super::connect(&path));
        let images = client
            .list_images(v1::ListImagesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .images;
        assert_eq!(images[0].id, "sha256:1");
        let missing = client
            .image_status(v1::ImageStatusRequest::default())
            .await
            .unwrap_err();
        assert_eq!(missing.code(), tonic::Code::NotFound);
        drop(client);
        stop.send(()).unwrap();
    };
    let (served, ()) = tokio::join!(server, client);
    served.unwrap();
}

#[test]
fn field_numbers_are_the_published_ones() {
    let context = v1::LinuxContainerSecurityContext {
        run_as_group: Some(v1::Int64Value { value: 5 }),
        no_new_privs: true,
        ..Default::default()
    };
    assert_eq!(context.encode_to_vec(), [11 << 3, 1, (12 << 3) | 2, 2, 1 << 3, 5]);
    let spec = v1::ImageSpec {
        user_specified_image: "a".to_owned(),
        ..Default::default()
    };
    assert_eq!(spec.encode_to_vec(), [0x92, 0x01, 1, b'a']);
    let config = v1::ContainerConfig {
        stop_signal: v1::Signal::Sigterm as i32,
        ..Default::default()
    };
    assert_eq!(config.encode_to_vec(), [0x90, 0x01, 23]);
}
