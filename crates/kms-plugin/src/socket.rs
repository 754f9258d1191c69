//! The way to a plugin's unix socket.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// A channel to whoever listens on `path`; `/@name` is a socket without a file. Connects at the first call, and again after the
/// plugin was restarted.
pub fn connect(path: &Path) -> Channel {
    let path = address(path);
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    }))
}

/// The kernel marks a name without a file by a leading zero, where the endpoint has `/@`. Source: `util.ParseEndpoint`.
fn address(path: &Path) -> PathBuf {
    let Some(name) = path.to_str().and_then(|text| text.strip_prefix("/@")) else {
        return path.to_owned();
    };
    let mut address = OsString::from("\0");
    address.push(name);
    PathBuf::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_with_an_at_sign_has_no_file() {
        assert_eq!(address(Path::new("/run/kms.sock")), Path::new("/run/kms.sock"));
        assert_eq!(address(Path::new("/@kms")), Path::new("\0kms"));
    }
}
