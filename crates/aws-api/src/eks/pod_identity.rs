//! Pod identity associations, and the credentials that they are worth.

use access_rules::iam_policy::Facts;
use aws_types::time::Time;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::addon::Addon;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::pod_identity::PodIdentityAssociation as Association;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::cluster::check_role;
use super::{check_tags, find_cluster, tag_map};
use crate::error::ApiError;
use crate::iam::entity::Entity;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;
use crate::page;
use crate::sts::{Session, assume, web_identity};

/// EKS's quota.
const MOST: usize = 1000;
/// The audience of the tokens that pods show.
const AUDIENCE: &str = "pods.eks.amazonaws.com";

fn view(known: &Association) -> Value {
    json!({
        "clusterName": known.cluster, "namespace": known.namespace, "serviceAccount": known.service_account,
        "roleArn": known.role_arn, "associationArn": known.arn, "associationId": known.id, "tags": known.tags,
        "createdAt": Time(known.created_at), "modifiedAt": Time(known.modified_at), "ownerArn": known.owner_arn,
        "disableSessionTags": known.disable_session_tags, "targetRoleArn": known.target_role_arn,
        "externalId": known.external_id, "policy": known.policy,
    })
}

fn find<'a>(state: &'a State, input: &Value) -> Result<&'a Association, Refusal> {
    let cluster = &find_cluster(state, input.text("clusterName"))?.name;
    let id = input.required("associationId");
    let known = state.pod_identities.get(&(cluster.clone(), id.to_owned()));
    known.ok_or_else(|| {
        Refusal::new(
            RefusalKind::ResourceNotFound,
            format!("No association found with id: {id}"),
        )
    })
}

fn new(
    context: &Context,
    state: &State,
    input: &Value,
    namespace: &str,
    owner: Option<&str>,
) -> Result<Association, Refusal> {
    let cluster = find_cluster(state, input.text("clusterName"))?.name.clone();
    let (account, role) = (input.required("serviceAccount"), input.text("roleArn"));
    check_role("roleArn", role)?;
    let own = || state.pod_identities.values().filter(|known| known.cluster == cluster);
    if own().any(|known| known.namespace == namespace && known.service_account == account) {
        let message = format!(
            "Association already exists: {}",
            own()
                .find(|known| known.namespace == namespace && known.service_account == account)
                .map(|known| known.id.clone())
                .unwrap_or_default()
        );
        return Err(Refusal::in_use(message).of_cluster(cluster.as_str()));
    }
    if own().count() >= MOST {
        let message = format!("The cluster has {MOST} pod identity associations, which is the limit");
        return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message));
    }
    let now = context.region.clock.now();
    let id = format!("a-{}", context.region.random.alphanumeric(17).to_lowercase());
    let target = input.text("targetRoleArn").map(str::to_owned);
    Ok(Association {
        arn: format!(
            "arn:aws:eks:{}:{}:podidentityassociation/{cluster}/{id}",
            context.region.name, context.caller.account
        ),
        external_id: target.as_ref().map(|_| context.region.random.uuid()),
        cluster,
        id,
        namespace: namespace.to_owned(),
        service_account: account.to_owned(),
        role_arn: role.unwrap_or_default().to_owned(),
        target_role_arn: target,
        policy: input.text("policy").map(str::to_owned),
        disable_session_tags: input.flag("disableSessionTags").unwrap_or(false),
        owner_arn: owner.map(str::to_owned),
        created_at: now,
        modified_at: now,
        tags: tag_map(input),
        client_request_token: input.text("clientRequestToken").map(str::to_owned),
    })
}

/// `CreatePodIdentityAssociation`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    check_tags(&tag_map(&input))?;
    let made = context.region.ledger.change(|state| {
        let token = input.text("clientRequestToken");
        let same = state
            .pod_identities
            .values()
            .find(|known| token.is_some() && known.client_request_token.as_deref() == token);
        if let Some(same) = same.filter(|same| Some(same.cluster.as_str()) == input.text("clusterName")) {
            return Ok((view(same), Vec::new()));
        }
        let made = new(&context, state, &input, input.required("namespace"), None)?;
        Ok::<_, ApiError>((view(&made), vec![Change::put(made)]))
    });
    Ok(json!({ "association": made.await? }))
}

/// The associations that an add-on's request asks for, which belong to it.
///
/// # Errors
/// EKS's sentences.
pub fn of_addon(context: &Context, state: &State, addon: &mut Addon, input: &Value) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    if input.get("podIdentityAssociations").is_none() {
        return Ok(changes);
    }
    let mut kept = Vec::new();
    for wanted in input.list("podIdentityAssociations") {
        let account = wanted.required("serviceAccount");
        let own = state
            .pod_identities
            .values()
            .find(|known| known.owner_arn.as_ref() == Some(&addon.arn) && known.service_account == account);
        let association = match own {
            Some(own) => Association {
                role_arn: wanted.required("roleArn").to_owned(),
                ..own.clone()
            },
            None => {
                let asked =
                    json!({"clusterName": addon.cluster, "serviceAccount": account, "roleArn": wanted.text("roleArn")});
                new(context, state, &asked, "kube-system", Some(&addon.arn))?
            }
        };
        kept.push(association.arn.clone());
        changes.push(Change::put(association));
    }
    let gone = state
        .pod_identities
        .values()
        .filter(|known| known.owner_arn.as_ref() == Some(&addon.arn) && !kept.contains(&known.arn));
    changes.extend(gone.map(|known| Change::remove::<Association>((known.cluster.clone(), known.id.clone()))));
    addon.associations = kept;
    Ok(changes)
}

/// `DescribePodIdentityAssociation`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| find(state, &input).map(view);
    Ok(json!({ "association": context.region.ledger.read(look)? }))
}

/// `ListPodIdentityAssociations`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let fits = |member: &str, value: &str| input.text(member).is_none_or(|wanted| wanted == value);
    let found = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let own = state
            .pod_identities
            .values()
            .filter(|known| known.cluster == cluster.name);
        let fitting =
            own.filter(|known| fits("namespace", &known.namespace) && fits("serviceAccount", &known.service_account));
        Ok::<_, Refusal>(
            fitting
                .map(|known| (known.id.clone(), known.clone()))
                .collect::<std::collections::BTreeMap<_, _>>(),
        )
    })?;
    let (ids, next) = page::names(
        found.keys().cloned().collect(),
        input.number("maxResults"),
        input.text("nextToken"),
    )?;
    let summary = |known: &Association| {
        json!({
            "clusterName": known.cluster, "namespace": known.namespace, "serviceAccount": known.service_account,
            "associationArn": known.arn, "associationId": known.id, "ownerArn": known.owner_arn,
        })
    };
    let views: Vec<Value> = ids.iter().map(|id| summary(&found[id])).collect();
    Ok(json!({"associations": views, "nextToken": next}))
}

/// `UpdatePodIdentityAssociation`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let external = context.region.random.uuid();
    let changed = context.region.ledger.change(|state| {
        let mut known = find(state, &input)?.clone();
        if let Some(role) = input.text("roleArn") {
            check_role("roleArn", Some(role))?;
            known.role_arn = role.to_owned();
        }
        if let Some(target) = input.text("targetRoleArn") {
            known.target_role_arn = (!target.is_empty()).then(|| target.to_owned());
            known.external_id = known.target_role_arn.as_ref().map(|_| external);
        }
        known.disable_session_tags = input.flag("disableSessionTags").unwrap_or(known.disable_session_tags);
        known.policy = input.text("policy").map(str::to_owned).or(known.policy);
        known.modified_at = now;
        Ok::<_, ApiError>((view(&known), vec![Change::put(known)]))
    });
    Ok(json!({ "association": changed.await? }))
}

/// `DeletePodIdentityAssociation`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let changed = context.region.ledger.change(|state| {
        let known = find(state, &input)?;
        if let Some(owner) = &known.owner_arn {
            let message = format!("The association is owned by {owner} and must be deleted there");
            return Err(ApiError::from(Refusal::invalid_request(message)));
        }
        let key = (known.cluster.clone(), known.id.clone());
        Ok((view(known), vec![Change::remove::<Association>(key)]))
    });
    Ok(json!({ "association": changed.await? }))
}

/// What a pod's token stands for: its cluster, association and role.
struct Proven {
    claims: web_identity::Claims,
    namespace: String,
    account: String,
    cluster: Cluster,
    association: Association,
    role: Entity,
}

/// What the trust policy of a role may ask about EKS's call.
fn trust_facts(context: &Context, cluster: &Cluster, namespace: &str, account: &str) -> Facts {
    [
        ("aws:sourceaccount", context.region.account().as_str()),
        ("aws:sourcearn", &cluster.arn),
        ("aws:requesttag/eks-cluster-arn", &cluster.arn),
        ("aws:requesttag/eks-cluster-name", cluster.name.as_str()),
        ("aws:requesttag/kubernetes-namespace", namespace),
        ("aws:requesttag/kubernetes-service-account", account),
    ]
    .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
    .into()
}

fn prove(context: &Context, cluster_name: &str, token: &str) -> Result<Proven, ApiError> {
    let invalid = |message: String| ApiError::bad_request("InvalidTokenException", message);
    let claims = web_identity::verified(context, token).map_err(|error| match &*error.code {
        "ExpiredTokenException" => error,
        _ => invalid(error.message),
    })?;
    if !claims.aud.iter().any(|audience| audience == AUDIENCE) {
        return Err(invalid(format!("The token's audience must be {AUDIENCE}")));
    }
    let subject = claims
        .sub
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    let (namespace, account) =
        subject.ok_or_else(|| invalid("The token is not that of a service account".to_owned()))?;
    let (namespace, account) = (namespace.to_owned(), account.to_owned());
    context.region.ledger.read(|state| {
        let cluster = find_cluster(state, Some(cluster_name))?;
        if cluster.network.oidc_issuer != claims.iss {
            return Err(invalid(format!("The token was not issued by cluster {cluster_name}")));
        }
        let known = state.pod_identities.values().find(|known| {
            known.cluster == cluster.name && known.namespace == namespace && known.service_account == account
        });
        let association = known.cloned().ok_or_else(|| {
            let message = format!("No EKS pod identity association found for service account {account} in namespace {namespace} of cluster {cluster_name}");
            Refusal::new(RefusalKind::ResourceNotFound, message)
        })?;
        let facts = trust_facts(context, cluster, &namespace, &account);
        let actions: &[&str] = if association.disable_session_tags { &["sts:AssumeRole"] } else { &["sts:AssumeRole", "sts:TagSession"] };
        let trusts = |role: &&Entity| actions.iter().all(|action| assume::trusts_service(role, "pods.eks.amazonaws.com", action, &facts));
        let role = assume::find(state, &association.role_arn).filter(trusts);
        let role = role.cloned().ok_or_else(|| {
            let message = format!("Access denied: role {} cannot be assumed by pods.eks.amazonaws.com", association.role_arn);
            ApiError::bad_request("AccessDeniedException", message)
        })?;
        let cluster = cluster.clone();
        Ok(Proven { claims, namespace, account, cluster, association, role })
    })
}

/// The session of the association's role, or of the target role that this one assumes. The association's policy narrows the last one down.
async fn begin(
    context: Context,
    association: &Association,
    role: &Entity,
    asked: &mut Value,
) -> Result<Session, ApiError> {
    let policy: Value = association.policy.clone().into();
    let Some(target) = &association.target_role_arn else {
        asked["Policy"] = policy;
        return assume::begin(&context, role, asked, false).await;
    };
    let first = assume::begin(&context, role, asked, false).await?;
    asked["RoleArn"] = target.as_str().into();
    asked["ExternalId"] = association.external_id.clone().into();
    asked["Policy"] = policy;
    // The limit of a chained session.
    asked["DurationSeconds"] = 3600.into();
    let caller = first.caller;
    assume::assumed_by(&Context { caller, ..context }, asked).await
}

/// `AssumeRoleForPodIdentity` of EKS Auth: a pod's token for the credentials of its service account's role.
pub async fn assume_role(context: Context, input: Value) -> Result<Value, ApiError> {
    let proven = prove(&context, input.required("clusterName"), input.required("token"))?;
    let Proven {
        claims,
        namespace,
        account,
        cluster,
        association,
        role,
    } = proven;
    let pod = claims
        .kubernetes
        .as_ref()
        .and_then(|kubernetes| kubernetes.get("pod"))
        .cloned()
        .unwrap_or_default();
    let tags = [
        ("eks-cluster-arn", cluster.arn.as_str()),
        ("eks-cluster-name", cluster.name.as_str()),
        ("kubernetes-namespace", &namespace),
        ("kubernetes-service-account", &account),
        ("kubernetes-pod-name", pod.required("name")),
        ("kubernetes-pod-uid", pod.required("uid")),
    ];
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect();
    let session = format!(
        "eks-{}-{}-{}",
        cluster.name,
        pod.text("name").unwrap_or(&account),
        context.region.random.uuid()
    );
    let mut asked = json!({
        "RoleSessionName": session.chars().take(64).collect::<String>(), "DurationSeconds": role.max_session.min(21_600),
        "Tags": if association.disable_session_tags { Vec::new() } else { tags },
    });
    let session = begin(context, &association, &role, &mut asked).await?;
    Ok(json!({
        "subject": {"namespace": namespace, "serviceAccount": account}, "audience": AUDIENCE,
        "podIdentityAssociation": {"associationArn": association.arn, "associationId": association.id},
        "assumedRoleUser": {"arn": session.caller.arn, "assumeRoleId": session.caller.user_id},
        "credentials": {
            "sessionToken": session.token, "secretAccessKey": session.secret, "accessKeyId": session.access_key_id,
            "expiration": Time(session.expires_at),
        },
    }))
}
