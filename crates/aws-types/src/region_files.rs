//! What the region process writes below its home so that commands on the same machine find it and may speak to it.

use serde::{Deserialize, Serialize};

/// Where the running region's description is, relative to Ondol's home.
pub const ENDPOINT_FILE: &str = "region/endpoint.json";
/// Where the built-in administrator's keys are, relative to Ondol's home.
pub const CREDENTIALS_FILE: &str = "region/credentials.json";

/// Where the keys of further accounts' administrators are, a file for each account, relative to Ondol's home.
pub const ACCOUNTS_DIRECTORY: &str = "region/accounts";

/// The certificate of the authority that signs for the region's TLS endpoint, PEM, relative to Ondol's home.
pub const AUTHORITY_FILE: &str = "region/tls/ca.crt";
/// That authority and those that the system trusts, PEM, relative to Ondol's home: for clients that take one file instead of the system's.
pub const BUNDLE_FILE: &str = "region/tls/bundle.crt";

/// The running region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionEndpoint {
    /// The region process.
    pub pid: u32,
    /// The AWS endpoint, for example `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The same endpoint by TLS, by a name that its certificate has, for example `https://localhost:4566`.
    #[serde(default)]
    pub tls_endpoint: Option<String>,
    /// For example `ap-northeast-2`.
    pub region: String,
    /// The port at which load balancers answer by host name; `None` when there is none.
    #[serde(default)]
    pub load_balancer_port: Option<u16>,
}

/// An access key of the built-in administrator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The account that owns everything.
    pub account_id: crate::AccountId,
    /// The administrator's user name.
    pub user_name: String,
    /// `AKIA…`, 20 characters.
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} of {})", self.access_key_id, self.account_id)
    }
}
