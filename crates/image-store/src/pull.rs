//! Pulls from registries, by the OCI distribution protocol.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use sha2::{Digest, Sha256};

use crate::image::{Configuration, Image, Source};
use crate::layer::digest_of;
use crate::{ImageError, ImageStore, Reference};

/// How to be someone at a registry.
#[derive(Clone, Default)]
pub enum Credentials {
    /// As nobody.
    #[default]
    Anonymous,
    /// By name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token that the registry gave.
    Bearer(String),
}

impl ImageStore {
    /// Makes the image of a reference be here, as its registry has it now, and returns it. The process must have chosen its
    /// TLS provider (`rustls::crypto::CryptoProvider::install_default`). A name that was loaded or is built in is its own registry.
    ///
    /// # Errors
    /// [`ImageError::Pull`] with the registry's answer; digest errors when content is not what was announced.
    pub async fn pull(&self, reference: &Reference, credentials: &Credentials) -> Result<Image, ImageError> {
        if let Some(image) = self.own(reference)? {
            return Ok(image);
        }
        let failed = |error: OciDistributionError| ImageError::Pull {
            reference: reference.to_string(),
            reason: explained(&error),
        };
        let name = oci_client::Reference::from(reference);
        let client = client_for(name.registry());
        let (manifest, digest, configuration) = client
            .pull_manifest_and_config(&name, &authentication(credentials))
            .await
            .map_err(failed)?;
        let found = digest_of(configuration.as_bytes());
        if found != manifest.config.digest {
            return Err(ImageError::Digest {
                what: "image configuration".into(),
                expected: manifest.config.digest,
                found,
            });
        }
        let diff_ids = diff_ids_of(&configuration, manifest.layers.len(), reference)?;
        for (layer, diff_id) in manifest.layers.iter().zip(&diff_ids) {
            if !self.layer(diff_id).is_dir() {
                self.pull_layer(&client, &name, layer, diff_id)
                    .await
                    .map_err(|error| named(error, reference))?;
            }
        }
        let image = self.image_of(
            configuration.as_bytes(),
            vec![format!("{}@{digest}", reference.repository())],
        )?;
        let id = image.id.clone();
        self.enter(
            image,
            reference
                .digest()
                .is_none()
                .then(|| (reference.clone(), Source::Pulled)),
        )?;
        self.resolve(&id)?.ok_or(ImageError::NotFound { reference: id })
    }

    /// The image of a name that no registry is asked about: built in, loaded, or content by digest that is here.
    fn own(&self, reference: &Reference) -> Result<Option<Image>, ImageError> {
        let source = self.source_of(reference)?;
        let is_own = reference.is_built_in() || matches!(source, Some(Source::Loaded | Source::BuiltIn));
        match self.resolve(reference.as_str())? {
            Some(image) if is_own || reference.digest().is_some() => Ok(Some(image)),
            None if is_own => Err(ImageError::NotFound {
                reference: reference.to_string(),
            }),
            Some(_) | None => Ok(None),
        }
    }

    async fn pull_layer(
        &self,
        client: &Client,
        name: &oci_client::Reference,
        layer: &OciDescriptor,
        diff_id: &str,
    ) -> Result<(), LayerError> {
        let temporary = self.temporary()?;
        let file = temporary.path().join("layer");
        let found = download(client, name, layer, &file).await?;
        if found != layer.digest {
            return Err(ImageError::Digest {
                what: "layer".into(),
                expected: layer.digest.clone(),
                found,
            }
            .into());
        }
        let (store, diff_id) = (self.clone(), diff_id.to_owned());
        let unpacked = tokio::task::spawn_blocking(move || store.unpack_layer(&file, &diff_id)).await;
        unpacked.map_err(|error| ImageError::Unsupported {
            what: "layer".into(),
            reason: format!("unpacking panicked: {error}"),
        })??;
        Ok(())
    }
}

/// The digests of the uncompressed layers, one for each layer of the manifest.
fn diff_ids_of(configuration: &str, layers: usize, reference: &Reference) -> Result<Vec<String>, ImageError> {
    let diff_ids = Configuration::parse(configuration.as_bytes())?.rootfs.diff_ids;
    if diff_ids.len() == layers {
        return Ok(diff_ids);
    }
    let reason = format!(
        "the configuration names {} layers, the manifest {layers}",
        diff_ids.len()
    );
    Err(ImageError::Pull {
        reference: reference.to_string(),
        reason,
    })
}

/// Why a layer did not come: our own error, or the registry's, to which the caller adds the image's name.
enum LayerError {
    Image(ImageError),
    Registry(OciDistributionError),
}

impl From<ImageError> for LayerError {
    fn from(error: ImageError) -> Self {
        Self::Image(error)
    }
}

fn named(error: LayerError, reference: &Reference) -> ImageError {
    match error {
        LayerError::Image(error) => error,
        LayerError::Registry(error) => ImageError::Pull {
            reference: reference.to_string(),
            reason: explained(&error),
        },
    }
}

/// Writes a layer to a file and returns its digest.
async fn download(
    client: &Client,
    name: &oci_client::Reference,
    layer: &OciDescriptor,
    path: &Path,
) -> Result<String, LayerError> {
    let at = |path: &Path| ImageError::disk("write", PathBuf::from(path));
    let mut file = File::create(path).map_err(at(path))?;
    let mut digest = Sha256::new();
    let mut stream = client
        .pull_blob_stream(name, layer)
        .await
        .map_err(LayerError::Registry)?
        .stream;
    let broken = |error: std::io::Error| LayerError::Registry(OciDistributionError::IoError(error));
    while let Some(piece) = stream.try_next().await.map_err(broken)? {
        digest.update(&piece);
        file.write_all(&piece).map_err(at(path))?;
    }
    Ok(format!("sha256:{}", hex::encode(digest.finalize())))
}

/// Registries on this host speak plain HTTP, as every engine assumes of them.
fn client_for(registry: &str) -> Client {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let protocol = if is_local {
        ClientProtocol::Http
    } else {
        ClientProtocol::Https
    };
    Client::new(ClientConfig {
        protocol,
        ..ClientConfig::default()
    })
}

fn authentication(credentials: &Credentials) -> RegistryAuth {
    match credentials {
        Credentials::Anonymous => RegistryAuth::Anonymous,
        Credentials::Basic { user, password } => RegistryAuth::Basic(user.clone(), password.clone()),
        Credentials::Bearer(token) => RegistryAuth::Bearer(token.clone()),
    }
}

/// The error with its causes: the outermost one says nothing about names that do not resolve.
fn explained(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
