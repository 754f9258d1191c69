//! Which Kubernetes user an AWS identity is in a cluster: by its access entry, else by `aws-auth`; the creator in any case.

use std::collections::BTreeMap;

use access_rules::identity::MASTERS;
use access_rules::{Attributes, User, access_policy};
use cluster_lifecycle::access_entry::{Scope, policy_name};
use cluster_lifecycle::aws_auth::{self, Principal};
use cluster_lifecycle::cluster::Cluster;

use crate::caller::Caller;
use crate::ledger::State;

/// Keys of what a user carries about the identity behind it.
const CANONICAL_ARN: &str = "canonicalArn";
const UID_PREFIX: &str = "aws-iam-authenticator:";

/// The user by the creator's right or an access entry; `None` when only `aws-auth` is left to ask, if the cluster reads it.
pub fn by_records(state: &State, cluster: &Cluster, caller: &Caller) -> Option<User> {
    let arn = caller.canonical_arn();
    if cluster.authentication_mode != "CONFIG_MAP"
        && let Some(entry) = state.access_entries.get(&(cluster.name.clone(), arn.clone()))
    {
        let principal = principal(state, cluster, caller, &arn);
        // Sessions' names must not smuggle colons or slashes into users.
        let name = aws_auth::template(&entry.username, &principal)?;
        return Some(described(User::authenticated(name, entry.all_groups()), caller));
    }
    // Clusters made in API modes have an entry for their creator; the others remember the creator themselves.
    let by_creation = cluster.authentication_mode == "CONFIG_MAP" && cluster.creator_is_admin;
    (by_creation && cluster.creator_arn == arn)
        .then(|| described(User::authenticated("kubernetes-admin", [MASTERS]), caller))
}

/// The user by the cluster's `aws-auth`.
pub fn by_config_map(
    state: &State,
    cluster: &Cluster,
    caller: &Caller,
    data: &BTreeMap<String, String>,
) -> Option<User> {
    let arn = caller.canonical_arn();
    let (mapped, broken) = aws_auth::map(data, &principal(state, cluster, caller, &arn));
    for error in broken {
        tracing::warn!(cluster = %cluster.name, error = supervision::error_chain(&error), "a part of aws-auth is passed over");
    }
    mapped.map(|(name, groups)| described(User::authenticated(name, groups), caller))
}

fn principal<'a>(state: &'a State, cluster: &'a Cluster, caller: &'a Caller, arn: &'a str) -> Principal<'a> {
    let session = caller.user_id.split_once(':').map_or("", |(_, session)| session);
    let mut instances = state.nodegroups_of(&cluster.name).flat_map(|group| &group.instances);
    Principal {
        canonical_arn: arn,
        account: caller.account.as_str(),
        session,
        access_key_id: &caller.access_key_id,
        private_dns_name: instances
            .find(|instance| instance.id.as_str() == session)
            .map(|instance| instance.node_name.as_str()),
    }
}

/// Whether an access policy of the identity behind a user allows what is asked. Who impersonates loses the identity.
pub fn allows(state: &State, cluster: &Cluster, attributes: &Attributes<'_>) -> Option<String> {
    let user = attributes.user;
    if !user.uid.as_ref().is_some_and(|uid| uid.starts_with(UID_PREFIX)) {
        return None;
    }
    // Names of headers have no case, so an aggregated server that asks about its caller knows the keys in small letters only.
    let mut extra = user.extra.iter();
    let arn = extra
        .find(|(key, _)| key.eq_ignore_ascii_case(CANONICAL_ARN))?
        .1
        .first()?;
    let entry = state.access_entries.get(&(cluster.name.clone(), arn.clone()))?;
    let fitting = entry.policies.iter().find(|(policy, association)| {
        let namespaces = match &association.scope {
            Scope::Cluster => None,
            Scope::Namespaces(names) => Some(names.as_slice()),
        };
        policy_name(policy).is_some_and(|name| access_policy::allows(name, namespaces, attributes))
    });
    fitting.map(|(policy, _)| format!("EKS Access Policy: allowed by ClusterAccessPolicy \"{policy}\""))
}

/// A user with what aws-iam-authenticator tells about the identity behind it.
fn described(mut user: User, caller: &Caller) -> User {
    let (id, session) = caller.user_id.split_once(':').unwrap_or((&caller.user_id, ""));
    user.uid = Some(format!("{UID_PREFIX}{}:{id}", caller.account));
    let extra = [
        ("accessKeyId", caller.access_key_id.clone()),
        ("arn", caller.arn.clone()),
        (CANONICAL_ARN, caller.canonical_arn()),
        ("principalId", id.to_owned()),
        ("sessionName", session.to_owned()),
    ];
    user.extra = extra
        .into_iter()
        .map(|(key, value)| (key.to_owned(), vec![value]))
        .collect();
    user
}
