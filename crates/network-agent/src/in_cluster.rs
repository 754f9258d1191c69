//! How a pod reaches the API server: the address in its environment, and its service account's mounted files.
use std::io;
use std::path::Path;

use kube_client::{ClientError, Credentials, kube};
use thiserror::Error;

const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why there is no client.
#[derive(Debug, Error)]
pub enum InClusterError {
    /// The kubelet sets this in every pod.
    #[error("environment variable {0} is not set")]
    Environment(&'static str),
    /// The kubelet mounts this in every pod that has a service account.
    #[error("read {path}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The files or the address are unusable.
    #[error("client of {endpoint}")]
    Client {
        /// The API server.
        endpoint: String,
        /// The cause.
        #[source]
        source: ClientError,
    },
}

/// A client of the cluster that this pod runs in.
///
/// # Errors
/// When the environment or the service account's files are missing.
pub fn client() -> Result<kube::Client, InClusterError> {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .ok_or(InClusterError::Environment(name))
    };
    let (host, port) = (
        variable("KUBERNETES_SERVICE_HOST")?,
        variable("KUBERNETES_SERVICE_PORT")?,
    );
    let endpoint = format!("https://{host}:{port}");
    let folder = Path::new(SERVICE_ACCOUNT);
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|source| InClusterError::File {
            path: path.display().to_string(),
            source,
        })
    };
    let namespace = read("namespace")?;
    let credentials = Credentials::TokenFile(folder.join("token"));
    let client = kube_client::https(&endpoint, &read("ca.crt")?, &credentials, namespace.trim());
    client.map_err(|source| InClusterError::Client { endpoint, source })
}
