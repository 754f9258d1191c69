//! The store as a CRI image service.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use cri_api::v1;
use cri_api::v1::image_service_server;
use tonic::{Request, Response, Status};

use crate::{Credentials, Image, ImageError, ImageStore, Reference};

/// Answers the kubelet's questions about images.
#[derive(Clone)]
pub struct ImageService {
    store: ImageStore,
    clock: Arc<dyn Clock>,
}

impl ImageService {
    /// A service on a store.
    pub fn new(store: ImageStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

fn status(error: ImageError) -> Status {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    match error {
        ImageError::NotFound { .. } => Status::not_found(text),
        ImageError::Reference { .. } => Status::invalid_argument(text),
        ImageError::Pull { .. } => Status::unavailable(text),
        ImageError::Archive { .. }
        | ImageError::Load { .. }
        | ImageError::Digest { .. }
        | ImageError::Unsupported { .. } => Status::failed_precondition(text),
        ImageError::Disk { .. } => Status::internal(text),
    }
}

fn described(image: &Image) -> v1::Image {
    let name = image.process.user.split(':').next().unwrap_or_default();
    let number = name.parse().ok();
    v1::Image {
        id: image.id.clone(),
        repo_tags: image.tags.iter().map(ToString::to_string).collect(),
        repo_digests: image.repository_digests.clone(),
        size: image.size,
        uid: number.map(|value| v1::Int64Value { value }),
        username: if number.is_some() {
            String::new()
        } else {
            name.to_owned()
        },
        spec: None,
        pinned: image.tags.iter().any(Reference::is_built_in),
    }
}

fn asked(image: Option<v1::ImageSpec>) -> Result<String, Status> {
    image
        .map(|image| image.image)
        .filter(|image| !image.is_empty())
        .ok_or_else(|| Status::invalid_argument("no image was named"))
}

/// Kubernetes hands over what a pull secret holds: a name and a password, both in one base64 field, or a token.
fn credentials(auth: Option<v1::AuthConfig>) -> Result<Credentials, Status> {
    let Some(auth) = auth else {
        return Ok(Credentials::Anonymous);
    };
    if !auth.registry_token.is_empty() {
        return Ok(Credentials::Bearer(auth.registry_token));
    }
    if !auth.username.is_empty() {
        return Ok(Credentials::Basic {
            user: auth.username,
            password: auth.password,
        });
    }
    if auth.auth.is_empty() {
        return Ok(Credentials::Anonymous);
    }
    let wrong = || Status::invalid_argument("the pull secret's auth field is not base64 of name:password");
    let decoded = STANDARD
        .decode(&auth.auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(wrong)?;
    let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Credentials::Basic {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

#[tonic::async_trait]
impl image_service_server::ImageService for ImageService {
    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        let wanted = request
            .into_inner()
            .filter
            .and_then(|filter| filter.image)
            .map(|image| image.image)
            .filter(|image| !image.is_empty());
        let images = match wanted {
            Some(wanted) => self.store.resolve(&wanted).map_err(status)?.into_iter().collect(),
            None => self.store.list().map_err(status)?,
        };
        Ok(Response::new(v1::ListImagesResponse {
            images: images.iter().map(described).collect(),
        }))
    }

    async fn image_status(
        &self,
        request: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        let image = self
            .store
            .resolve(&asked(request.into_inner().image)?)
            .map_err(status)?;
        Ok(Response::new(v1::ImageStatusResponse {
            image: image.as_ref().map(described),
            ..v1::ImageStatusResponse::default()
        }))
    }

    async fn pull_image(
        &self,
        request: Request<v1::PullImageRequest>,
    ) -> Result<Response<v1::PullImageResponse>, Status> {
        let request = request.into_inner();
        let reference = Reference::parse(&asked(request.image)?).map_err(status)?;
        let image = self
            .store
            .pull(&reference, &credentials(request.auth)?)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::PullImageResponse { image_ref: image.id }))
    }

    async fn remove_image(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        match self.store.remove(&asked(request.into_inner().image)?) {
            // Removing what is gone is success (CRI: the call is idempotent).
            Ok(()) | Err(ImageError::NotFound { .. }) => Ok(Response::new(v1::RemoveImageResponse {})),
            Err(error) => Err(status(error)),
        }
    }

    async fn image_fs_info(
        &self,
        _: Request<v1::ImageFsInfoRequest>,
    ) -> Result<Response<v1::ImageFsInfoResponse>, Status> {
        let images = self.store.list().map_err(status)?;
        let usage = v1::FilesystemUsage {
            timestamp: i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX),
            fs_id: Some(v1::FilesystemIdentifier {
                mountpoint: self.store.directory().display().to_string(),
            }),
            used_bytes: Some(v1::UInt64Value {
                value: images.iter().map(|image| image.size).sum(),
            }),
            inodes_used: None,
        };
        Ok(Response::new(v1::ImageFsInfoResponse {
            image_filesystems: vec![usage],
            container_filesystems: Vec::new(),
        }))
    }
}
