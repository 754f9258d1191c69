//! What the region process writes below its home so that commands on the same machine find it and may speak to it.

use serde::{Deserialize, Serialize};

/// Where the running region's description is, relative to Ondol's home.
pub const ENDPOINT_FILE: &str = "region/endpoint.json";
/// Where the built-in administrator's keys are, relative to Ondol's home.
pub const CREDENTIALS_FILE: &str = "region/credentials.json";

/// The running region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionEndpoint {
    /// The region process.
    pub pid: u32,
    /// The AWS endpoint, for example `http://127.0.0.1:4566`.
    pub endpoint: String,
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
