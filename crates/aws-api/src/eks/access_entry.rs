//! Access entries and their access policies.

use aws_types::ClusterName;
use aws_types::arn::Arn;
use aws_types::time::Time;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::access_entry::{self as rules, AccessEntry, Association, Choice, Scope};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::{check_tags, find_cluster, tag_map};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;
use crate::page;

/// EKS's quota.
const MOST_ENTRIES: usize = 2000;

fn view(entry: &AccessEntry) -> Value {
    json!({
        "clusterName": entry.cluster, "principalArn": entry.principal_arn, "kubernetesGroups": entry.groups,
        "accessEntryArn": entry.arn, "createdAt": Time(entry.created_at), "modifiedAt": Time(entry.modified_at),
        "tags": entry.tags, "username": entry.username, "type": entry.kind,
    })
}

/// The cluster, if access entries count in it.
fn open_cluster<'a>(state: &'a State, input: &Value) -> Result<&'a Cluster, Refusal> {
    let cluster = find_cluster(state, input.text("clusterName"))?;
    if cluster.authentication_mode == "CONFIG_MAP" {
        let message = "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.";
        return Err(Refusal::invalid_request(message).of_cluster(cluster.name.as_str()));
    }
    Ok(cluster)
}

fn find<'a>(state: &'a State, input: &Value) -> Result<&'a AccessEntry, Refusal> {
    let cluster = open_cluster(state, input)?;
    let principal = input.required("principalArn");
    state.access_entries.get(&(cluster.name.clone(), principal.to_owned())).ok_or_else(|| {
        let message = format!("The specified principalArn could not be found. You can view your available access entries with 'list-access-entries'. principalArn: {principal}");
        Refusal::new(RefusalKind::ResourceNotFound, message)
    })
}

fn choice(input: &Value) -> Choice {
    let groups = input.get("kubernetesGroups").is_some();
    Choice {
        username: input.text("username").map(str::to_owned),
        groups: groups.then(|| input.texts("kubernetesGroups").into_iter().map(str::to_owned).collect()),
    }
}

/// A new entry for a principal, after EKS's checks.
///
/// # Errors
/// EKS's sentences.
pub fn entry(
    context: &Context,
    cluster: &ClusterName,
    principal: &str,
    kind: Option<&str>,
    choice: Choice,
) -> Result<AccessEntry, Refusal> {
    let (kind, username, groups) = rules::identity(principal, kind, choice)?;
    let now = context.region.clock.now();
    let (account, resource) = principal
        .parse::<Arn>()
        .map(|arn| (arn.account, arn.resource))
        .map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
    let (what, path) = resource.split_once('/').unwrap_or(("role", &resource));
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(AccessEntry {
        cluster: cluster.clone(),
        principal_arn: principal.to_owned(),
        arn: format!(
            "arn:aws:eks:{}:{}:access-entry/{cluster}/{what}/{account}/{name}/{}",
            context.region.name,
            context.caller.account,
            context.region.random.uuid()
        ),
        kind,
        username,
        groups,
        created_at: now,
        modified_at: now,
        tags: Default::default(),
        policies: Default::default(),
        client_request_token: None,
    })
}

/// `CreateAccessEntry`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let principal = input.required("principalArn");
    let tags = tag_map(&input);
    check_tags(&tags)?;
    let made = context.region.ledger.change(|state| {
        let cluster = open_cluster(state, &input)?;
        if let Some(existing) = state.access_entries.get(&(cluster.name.clone(), principal.to_owned())) {
            if existing.client_request_token.is_some()
                && existing.client_request_token.as_deref() == input.text("clientRequestToken")
            {
                return Ok((view(existing), Vec::new()));
            }
            let message = "The specified access entry resource is already in use on this cluster.";
            return Err(ApiError::from(
                Refusal::in_use(message).of_cluster(cluster.name.as_str()),
            ));
        }
        if state
            .access_entries
            .keys()
            .filter(|(name, _)| *name == cluster.name)
            .count()
            >= MOST_ENTRIES
        {
            let message = format!("The cluster has {MOST_ENTRIES} access entries, which is the limit");
            return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message).into());
        }
        let mut entry = entry(&context, &cluster.name, principal, input.text("type"), choice(&input))?;
        entry.tags = tags;
        entry.client_request_token = input.text("clientRequestToken").map(str::to_owned);
        Ok((view(&entry), vec![Change::put(entry)]))
    });
    Ok(json!({ "accessEntry": made.await? }))
}

/// `DescribeAccessEntry`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| find(state, &input).map(view);
    Ok(json!({ "accessEntry": context.region.ledger.read(look)? }))
}

/// `ListAccessEntries`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let policy = input.text("associatedPolicyArn");
    let names = context.region.ledger.read(|state| {
        let cluster = open_cluster(state, &input)?;
        let own = state
            .access_entries
            .values()
            .filter(|entry| entry.cluster == cluster.name);
        let fitting = own.filter(|entry| policy.is_none_or(|arn| entry.policies.contains_key(arn)));
        Ok::<_, Refusal>(fitting.map(|entry| entry.principal_arn.clone()).collect())
    })?;
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    Ok(json!({"accessEntries": names, "nextToken": next}))
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut AccessEntry) -> Result<T, Refusal>,
) -> Result<T, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let mut entry = find(state, input)?.clone();
        let answer = change(&mut entry)?;
        entry.modified_at = now;
        Ok::<_, ApiError>((answer, vec![Change::put(entry)]))
    };
    context.region.ledger.change(decide).await
}

/// `UpdateAccessEntry`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let view = edit(&context, &input, |entry| {
        let wanted = choice(&input);
        if entry.kind != "STANDARD" {
            let message = format!("The access entry type {} cannot be updated", entry.kind);
            return Err(Refusal::invalid_request(message));
        }
        if let Some(name) = wanted.username {
            rules::check_username(&name)?;
            entry.username = name;
        }
        if let Some(groups) = wanted.groups {
            rules::check_groups(&groups)?;
            entry.groups = groups;
        }
        Ok(view(entry))
    });
    Ok(json!({ "accessEntry": view.await? }))
}

/// `DeleteAccessEntry`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let entry = find(state, &input)?;
        let key = (entry.cluster.clone(), entry.principal_arn.clone());
        Ok::<_, ApiError>(((), vec![Change::remove::<AccessEntry>(key)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}

fn association_view(arn: &str, association: &Association) -> Value {
    let scope = match &association.scope {
        Scope::Cluster => json!({"type": "cluster", "namespaces": []}),
        Scope::Namespaces(names) => json!({"type": "namespace", "namespaces": names}),
    };
    json!({
        "policyArn": arn, "accessScope": scope, "associatedAt": Time(association.associated_at),
        "modifiedAt": Time(association.modified_at),
    })
}

fn scope(input: &Value) -> Result<Scope, Refusal> {
    let given = input.get("accessScope").cloned().unwrap_or_default();
    let names: Vec<String> = given.texts("namespaces").into_iter().map(str::to_owned).collect();
    match given.text("type") {
        Some("namespace") if names.is_empty() => Err(Refusal::invalid_parameter(
            "The namespaces for the access scope must be specified when the type is namespace",
        )),
        Some("namespace") => Ok(Scope::Namespaces(names)),
        _ if !names.is_empty() => Err(Refusal::invalid_parameter(
            "Namespaces must not be specified when the access scope type is cluster",
        )),
        _ => Ok(Scope::Cluster),
    }
}

/// `AssociateAccessPolicy`: once more with another scope replaces it.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("policyArn");
    let (scope, now) = (scope(&input)?, context.region.clock.now());
    let view = edit(&context, &input, |entry| {
        rules::policy_name(arn).ok_or_else(|| {
            Refusal::new(
                RefusalKind::ResourceNotFound,
                format!("The specified policyArn could not be found: {arn}"),
            )
        })?;
        if entry.kind != "STANDARD" && entry.kind != "EC2" {
            let message = format!("The access entry type {} does not support access policies", entry.kind);
            return Err(Refusal::invalid_request(message));
        }
        let associated_at = entry.policies.get(arn).map_or(now, |known| known.associated_at);
        let association = Association {
            scope,
            associated_at,
            modified_at: now,
        };
        let view = association_view(arn, &association);
        entry.policies.insert(arn.to_owned(), association);
        Ok(view)
    });
    Ok(json!({
        "clusterName": input.text("clusterName"), "principalArn": input.text("principalArn"),
        "associatedAccessPolicy": view.await?,
    }))
}

/// `DisassociateAccessPolicy`.
pub async fn disassociate(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("policyArn");
    edit(&context, &input, |entry| {
        let removed = entry.policies.remove(arn);
        removed.map(drop).ok_or_else(|| {
            Refusal::new(
                RefusalKind::ResourceNotFound,
                format!("No association of policy {arn} was found for this access entry"),
            )
        })
    })
    .await?;
    Ok(nothing())
}

/// `ListAssociatedAccessPolicies`.
pub async fn associated(context: Context, input: Value) -> Result<Value, ApiError> {
    let entry = context.region.ledger.read(|state| find(state, &input).cloned())?;
    let (arns, next) = page::names(
        entry.policies.keys().cloned().collect(),
        input.number("maxResults"),
        input.text("nextToken"),
    )?;
    let views: Vec<Value> = arns
        .iter()
        .map(|arn| association_view(arn, &entry.policies[arn]))
        .collect();
    Ok(json!({
        "clusterName": entry.cluster, "principalArn": entry.principal_arn, "associatedAccessPolicies": views, "nextToken": next,
    }))
}

/// `ListAccessPolicies`.
pub async fn policies(_context: Context, input: Value) -> Result<Value, ApiError> {
    let names = rules::POLICIES.iter().map(|name| (*name).to_owned()).collect();
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    let views: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "arn": rules::policy_arn(name)}))
        .collect();
    Ok(json!({"accessPolicies": views, "nextToken": next}))
}
