//! Which Kubernetes user an AWS identity is in a cluster.

use access_rules::User;
use access_rules::identity::MASTERS;
use cluster_lifecycle::cluster::Cluster;

use crate::caller::{Caller, TokenError};

/// The user that a caller is.
///
/// # Errors
/// When the cluster grants the identity nothing.
pub fn user(cluster: &Cluster, caller: &Caller) -> Result<User, TokenError> {
    if cluster.creator_is_admin && cluster.creator_arn == caller.canonical_arn() {
        return Ok(described(User::authenticated("kubernetes-admin", [MASTERS]), caller));
    }
    Err(TokenError::NotMapped {
        arn: caller.arn.clone(),
        cluster: cluster.name.to_string(),
    })
}

/// A user with what aws-iam-authenticator tells about the identity behind it.
fn described(mut user: User, caller: &Caller) -> User {
    let (id, session) = caller.user_id.split_once(':').unwrap_or((&caller.user_id, ""));
    user.uid = Some(format!("aws-iam-authenticator:{}:{id}", caller.account));
    let extra = [
        ("accessKeyId", caller.access_key_id.clone()),
        ("arn", caller.arn.clone()),
        ("canonicalArn", caller.canonical_arn()),
        ("principalId", id.to_owned()),
        ("sessionName", session.to_owned()),
    ];
    user.extra = extra
        .into_iter()
        .map(|(key, value)| (key.to_owned(), vec![value]))
        .collect();
    user
}
