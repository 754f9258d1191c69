//! TLS of the kubelet port, and who a client certificate says that its bearer is.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::BoxError;
use crate::config::Serving;

/// Who calls: the subject of a verified client certificate, or whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// Common name of the certificate by which an API server calls kubelets.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";

impl Caller {
    pub(super) fn may_use_kubelet(&self) -> bool {
        self.name == API_SERVER || self.groups.iter().any(|group| group == MASTERS)
    }
}

/// Serves with the configured certificate; client certificates of the cluster's CA are verified, none is required (the
/// health check needs none).
pub(super) fn server_config(serving: &Serving) -> Result<ServerConfig, BoxError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(serving.certificate_pem.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(serving.key_pem.as_bytes())?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(serving.client_ca_pem.as_bytes()) {
        roots.add(authority?)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Common name and organizations of the certificate that the client has shown.
pub(super) fn caller(certificates: Option<&[CertificateDer<'_>]>) -> Option<Caller> {
    let first = certificates?.first()?;
    let (_, certificate) = match X509Certificate::from_der(first) {
        Ok(parsed) => parsed,
        Err(error) => {
            tracing::debug!(%error, "client certificate on the kubelet port");
            return None;
        }
    };
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject
        .iter_organization()
        .filter_map(|group| group.as_str().ok().map(str::to_owned))
        .collect();
    Some(Caller { name, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_and_the_api_server_may_call() {
        let caller = |name: &str, group: &str| Caller {
            name: name.into(),
            groups: vec![group.into()],
        };
        assert!(caller("kubernetes-admin", "system:masters").may_use_kubelet());
        assert!(caller("kube-apiserver-kubelet-client", "").may_use_kubelet());
        assert!(!caller("system:node:a", "system:nodes").may_use_kubelet());
    }
}
