//! Fargate profiles: which pods get a node of their own. The driver makes and ends the nodes.

use aws_types::SubnetId;
use aws_types::time::Time;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::fargate::{self as rules, FargateProfile, Selector};
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::cluster::{check_role, find_subnets};
use super::nodegroup::wake;
use super::{check_tags, find_cluster, tag_map};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;
use crate::page;
use crate::quotas;

fn view(profile: &FargateProfile, status: &str) -> Value {
    let selectors: Vec<Value> = profile
        .selectors
        .iter()
        .map(|selector| match &selector.labels {
            None => json!({ "namespace": selector.namespace }),
            Some(labels) => json!({"namespace": selector.namespace, "labels": labels}),
        })
        .collect();
    json!({
        "fargateProfileName": profile.name, "fargateProfileArn": profile.arn, "clusterName": profile.cluster,
        "createdAt": Time(profile.created_at), "podExecutionRoleArn": profile.pod_execution_role_arn,
        "subnets": profile.subnets, "selectors": selectors, "status": status, "tags": profile.tags, "health": {"issues": []},
    })
}

fn find<'a>(state: &'a State, input: &Value) -> Result<&'a FargateProfile, Refusal> {
    let cluster = &find_cluster(state, input.text("clusterName"))?.name;
    let name = input.required("fargateProfileName");
    state
        .fargate_profiles
        .get(&(cluster.clone(), name.to_owned()))
        .ok_or_else(|| {
            let message = format!("No Fargate Profile found with name: {name}.");
            Refusal::new(RefusalKind::ResourceNotFound, message)
                .of_cluster(cluster.as_str())
                .of_fargate_profile(name)
        })
}

fn selectors(input: &Value) -> Result<Vec<Selector>, Refusal> {
    let selectors: Vec<Selector> = input
        .list("selectors")
        .iter()
        .map(|given| Selector {
            namespace: given.required("namespace").to_owned(),
            labels: given.get("labels").and_then(Value::as_object).map(|labels| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                labels.iter().map(|(key, value)| (key.clone(), text(value))).collect()
            }),
        })
        .collect();
    rules::check_selectors(&selectors)?;
    Ok(selectors)
}

/// The subnets of a request, which must be private, or the private ones of the cluster.
fn subnets(state: &State, cluster: &Cluster, input: &Value) -> Result<Vec<SubnetId>, Refusal> {
    let ids: Vec<String> = input.texts("subnets").into_iter().map(str::to_owned).collect();
    if !ids.is_empty() {
        let found = find_subnets(state, &ids)?;
        if let Some(public) = found.iter().find(|subnet| subnet.spec().public) {
            return Err(not_private(&public.id));
        }
        return Ok(found.iter().map(|subnet| subnet.id.clone()).collect());
    }
    let own = cluster.network.subnet_ids.iter().filter_map(|id| state.subnets.get(id));
    let private: Vec<SubnetId> = own
        .filter(|subnet| !subnet.spec().public)
        .map(|subnet| subnet.id.clone())
        .collect();
    match (private.is_empty(), cluster.network.subnet_ids.first()) {
        (true, Some(public)) => Err(not_private(public)),
        _ => Ok(private),
    }
}

fn not_private(id: &SubnetId) -> Refusal {
    Refusal::invalid_parameter(format!(
        "Subnet {id} provided in Fargate Profile is not a private subnet"
    ))
}

/// EKS makes and deletes one profile of a cluster at a time.
fn one_at_a_time(state: &State, cluster: &Cluster, name: &str) -> Result<(), Refusal> {
    let mut others = state.fargate_profiles_of(&cluster.name);
    match others.find(|profile| profile.deleting && profile.name != name) {
        None => Ok(()),
        Some(busy) => {
            let message = format!(
                "Cannot create or delete Fargate Profile {name} because cluster {} currently has Fargate profile {} in status DELETING",
                cluster.name, busy.name
            );
            Err(Refusal::in_use(message)
                .of_cluster(cluster.name.as_str())
                .of_fargate_profile(name))
        }
    }
}

fn status(profile: &FargateProfile) -> &'static str {
    if profile.deleting { "DELETING" } else { "ACTIVE" }
}

/// `CreateFargateProfile`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("fargateProfileName");
    let tags = tag_map(&input);
    check_tags(&tags)?;
    check_role("podExecutionRoleArn", input.text("podExecutionRoleArn"))?;
    let selectors = selectors(&input)?;
    let region = &context.region;
    let (uuid, now) = (region.random.uuid(), region.clock.now());
    let made = region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        if let Ok(existing) = find(state, &input) {
            if existing.client_request_token.is_some()
                && existing.client_request_token.as_deref() == input.text("clientRequestToken")
            {
                return Ok((view(existing, "CREATING"), Vec::new()));
            }
            let message = "A Fargate Profile already exists with this name in this cluster.";
            let refusal = Refusal::in_use(message)
                .of_cluster(cluster.name.as_str())
                .of_fargate_profile(name);
            return Err(ApiError::from(refusal));
        }
        cluster.require_active("create a Fargate profile")?;
        let most = quotas::most(state, "eks", quotas::FARGATE_PROFILES);
        if state.fargate_profiles_of(&cluster.name).count() >= most {
            let message = format!("The cluster has {most} Fargate profiles, which is the limit");
            return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message).into());
        }
        one_at_a_time(state, cluster, name)?;
        let chosen = subnets(state, cluster, &input)?;
        let profile = FargateProfile {
            cluster: cluster.name.clone(),
            name: name.to_owned(),
            arn: format!(
                "arn:aws:eks:{}:{}:fargateprofile/{}/{name}/{uuid}",
                region.name, context.caller.account, cluster.name
            ),
            pod_execution_role_arn: input.required("podExecutionRoleArn").to_owned(),
            subnets: chosen,
            selectors,
            created_at: now,
            tags,
            client_request_token: input.text("clientRequestToken").map(str::to_owned),
            deleting: false,
        };
        Ok((view(&profile, "CREATING"), vec![Change::put(profile)]))
    });
    Ok(json!({ "fargateProfile": made.await? }))
}

/// `DescribeFargateProfile`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| find(state, &input).map(|profile| view(profile, status(profile)));
    Ok(json!({ "fargateProfile": context.region.ledger.read(look)? }))
}

/// `ListFargateProfiles`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let own = state
            .fargate_profiles
            .values()
            .filter(|profile| profile.cluster == cluster.name);
        Ok::<_, Refusal>(own.map(|profile| profile.name.clone()).collect())
    })?;
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    Ok(json!({"fargateProfileNames": names, "nextToken": next}))
}

/// `DeleteFargateProfile`: it goes when the nodes of its pods have.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let changed = context.region.ledger.change(|state| {
        let profile = find(state, &input)?;
        let cluster = find_cluster(state, input.text("clusterName"))?;
        one_at_a_time(state, cluster, &profile.name)?;
        let going = FargateProfile {
            deleting: true,
            ..profile.clone()
        };
        Ok::<_, ApiError>((view(&going, "DELETING"), vec![Change::put(going)]))
    });
    let profile = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "fargateProfile": profile }))
}
