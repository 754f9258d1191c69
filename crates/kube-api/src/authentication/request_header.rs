//! Users that a front proxy has authenticated and names in headers.
//!
//! Source: `apiserver/pkg/authentication/request/headerrequest`.

use access_rules::User;
use http::HeaderMap;

use crate::pki::{ClusterPki, FRONT_PROXY_CLIENT};

/// Which proxies may name users, and in which headers they do. Names of headers are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The authority that signs the proxies' certificates, PEM.
    pub authority_pem: String,
    /// Common names of the proxies; empty = every one that the authority has signed.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name; the first that is there counts.
    pub username_headers: Vec<String>,
    /// Headers with the user's uid; the first that is there counts.
    pub uid_headers: Vec<String>,
    /// Headers with groups, all of which count.
    pub group_headers: Vec<String>,
    /// Beginnings of headers with what is known besides.
    pub extra_prefixes: Vec<String>,
}

impl RequestHeader {
    /// The headers that every front proxy uses.
    #[must_use]
    pub fn usual(authority_pem: impl Into<String>, allowed_names: Vec<String>) -> Self {
        Self {
            authority_pem: authority_pem.into(),
            allowed_names,
            username_headers: vec!["x-remote-user".to_owned()],
            uid_headers: vec!["x-remote-uid".to_owned()],
            group_headers: vec!["x-remote-group".to_owned()],
            extra_prefixes: vec!["x-remote-extra-".to_owned()],
        }
    }

    /// The proxy that the cluster's own authority for proxies has signed.
    #[must_use]
    pub fn of_cluster(pki: &ClusterPki) -> Self {
        Self::usual(pki.front_proxy_ca_pem(), vec![FRONT_PROXY_CLIENT.to_owned()])
    }

    /// The user that this proxy names, if it may and does.
    pub(crate) fn user(&self, proxy: &str, headers: &HeaderMap) -> Option<User> {
        if !self.allowed_names.is_empty() && !self.allowed_names.iter().any(|name| name == proxy) {
            tracing::info!(proxy, "x509: subject with cn={proxy} is not in the allowed list");
            return None;
        }
        let all = |names: &[String]| -> Vec<String> {
            let values = names.iter().flat_map(|name| headers.get_all(name.as_str()));
            let texts = values.filter_map(|value| value.to_str().ok());
            texts
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .collect()
        };
        let name = all(&self.username_headers).into_iter().next()?;
        let mut user = User {
            name,
            uid: all(&self.uid_headers).into_iter().next(),
            groups: all(&self.group_headers),
            ..User::default()
        };
        for (name, value) in headers {
            let mut prefixes = self.extra_prefixes.iter();
            let key = prefixes.find_map(|prefix| name.as_str().strip_prefix(prefix.as_str()));
            if let Some((key, value)) = key.zip(value.to_str().ok()) {
                let key = percent_encoding::percent_decode_str(key)
                    .decode_utf8_lossy()
                    .into_owned();
                user.extra.entry(key).or_default().push(value.to_owned());
            }
        }
        Some(user)
    }
}
