//! `get identityprovider`: providers of Kubernetes users that a cluster has.

use std::path::Path;

use super::config;
use super::given::Given;
use crate::output;
use crate::session::{Done, Session};

/// `get identityprovider`. The region associates none, so there is nothing to list.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    session.existing_cluster(&config.metadata.name).await?;
    let none: [[String; 6]; 0] = [];
    let header = ["NAME", "TYPE", "CLIENT_ID", "ISSUER_URL", "ARN", "STATUS"];
    output::print(given.output()?, "identity providers", &none, header, Clone::clone)
}
