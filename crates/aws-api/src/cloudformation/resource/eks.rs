//! Clusters, node groups and what belongs to them.

use aws_types::{ClusterName, NodegroupName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_lifecycle::addon::AddonStatus;
use cluster_lifecycle::cluster::ClusterStatus;
use cluster_lifecycle::nodegroup::NodegroupStatus;
use serde_json::{Map, Value, json};

mod nodegroup;

use super::{Progress, Updated, Wanted, unsupported};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;

/// EKS's requests are the template's properties with small first letters; what is below `verbatim` keeps its keys.
fn small(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let one = |(name, value): (&String, &Value)| {
                let mut letters = name.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase()).into_iter();
                let key: String = first.chain(letters).collect();
                let verbatim = matches!(key.as_str(), "labels" | "tags");
                (key, if verbatim { value.clone() } else { small(value) })
            };
            Value::Object(members.iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(small).collect(),
        other => other.clone(),
    }
}

/// Texts that mean numbers and flags, as templates may write them.
fn typed(value: Value) -> Value {
    const NUMBERS: &[&str] = &[
        "minSize",
        "maxSize",
        "desiredSize",
        "diskSize",
        "maxUnavailable",
        "maxUnavailablePercentage",
    ];
    match value {
        Value::Object(members) => {
            let one = |(name, value): (String, Value)| {
                let number = value
                    .as_str()
                    .filter(|_| NUMBERS.contains(&name.as_str()))
                    .and_then(|text| text.parse::<i64>().ok());
                let value = match (number, value.as_str()) {
                    // Labels and tags are texts whatever they say.
                    _ if matches!(name.as_str(), "labels" | "tags") => value,
                    (Some(number), _) => number.into(),
                    (None, Some("true")) if name != "value" => true.into(),
                    (None, Some("false")) if name != "value" => false.into(),
                    // Versions of launch templates are texts.
                    _ if name == "version" => value.as_i64().map_or(value.clone(), |number| number.to_string().into()),
                    _ => typed(value),
                };
                (name, value)
            };
            Value::Object(members.into_iter().map(one).collect())
        }
        Value::Array(items) => items.into_iter().map(typed).collect(),
        other => other,
    }
}

/// The request of a resource; `AWS::EKS` writes tags as a list or as a map.
fn request(wanted: &Wanted<'_>, drop: &[&str]) -> Value {
    let mut input = typed(small(wanted.properties));
    let given = match wanted.properties.get("Tags") {
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        _ => wanted.properties.tags("Tags"),
    };
    let mut tags = wanted.tags.clone();
    tags.extend(given);
    if let Some(members) = input.as_object_mut() {
        members.remove("tags");
        drop.iter().for_each(|name| {
            members.remove(*name);
        });
        if !tags.is_empty() {
            members.insert("tags".to_owned(), json!(tags));
        }
    }
    input["clientRequestToken"] = wanted.generated_name(64).into();
    input
}

/// Makes one.
///
/// # Errors
/// What EKS answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let cluster = wanted.properties.required("ClusterName");
    match wanted.kind {
        "AWS::EKS::Cluster" => cluster_of(wanted).await,
        "AWS::EKS::Nodegroup" => {
            let mut input = request(wanted, &["forceUpdateEnabled", "nodeRepairConfig"]);
            input["nodegroupName"] = wanted.name("NodegroupName", 63).into();
            if let Some(update) = input.get_mut("updateConfig").and_then(Value::as_object_mut) {
                update.remove("updateStrategy");
            }
            let answer = wanted.call("eks", "CreateNodegroup", input).await?;
            Ok(format!("{cluster}/{}", answer["nodegroup"].required("nodegroupName")))
        }
        "AWS::EKS::Addon" => {
            let answer = wanted
                .call("eks", "CreateAddon", request(wanted, &["preserveOnDelete"]))
                .await?;
            Ok(format!("{cluster}|{}", answer["addon"].required("addonName")))
        }
        "AWS::EKS::FargateProfile" => profile(wanted, cluster).await,
        "AWS::EKS::AccessEntry" => {
            let answer = wanted
                .call("eks", "CreateAccessEntry", request(wanted, &["accessPolicies"]))
                .await?;
            policies(wanted, &Value::Null).await?;
            Ok(format!("{}|{cluster}", answer["accessEntry"].required("principalArn")))
        }
        "AWS::EKS::PodIdentityAssociation" => {
            let answer = wanted
                .call("eks", "CreatePodIdentityAssociation", request(wanted, &[]))
                .await?;
            Ok(format!("{cluster}|{}", answer["association"].required("associationId")))
        }
        kind => Err(unsupported(kind)),
    }
}

async fn cluster_of(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let mut input = request(wanted, &["outpostConfig"]);
    input["name"] = wanted.name("Name", 100).into();
    if let Some(Value::Object(logging)) = wanted
        .properties
        .get("Logging")
        .and_then(|logging| logging.get("ClusterLogging"))
    {
        let types: Vec<&str> = logging
            .get("EnabledTypes")
            .map(|types| {
                types
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|one| one.text("Type"))
                    .collect()
            })
            .unwrap_or_default();
        input["logging"] = json!({"clusterLogging": [{"types": types, "enabled": true}]});
    }
    for unavailable in [
        "zonalShiftConfig",
        "computeConfig",
        "storageConfig",
        "remoteNetworkConfig",
    ] {
        let off = |value: &Value| {
            value.get("enabled") == Some(&Value::Bool(false))
                || value
                    .get("blockStorage")
                    .is_some_and(|block| block.get("enabled") == Some(&Value::Bool(false)))
        };
        if input.get(unavailable).is_some_and(off) {
            input[unavailable] = Value::Null;
        }
    }
    if let Some(network) = input.get_mut("kubernetesNetworkConfig").and_then(Value::as_object_mut) {
        network.remove("elasticLoadBalancing");
    }
    let answer = wanted.call("eks", "CreateCluster", input).await?;
    Ok(answer["cluster"].required("name").to_owned())
}

async fn profile(wanted: &Wanted<'_>, cluster: &str) -> Result<String, ApiError> {
    let mut input = request(wanted, &[]);
    input["fargateProfileName"] = wanted.name("FargateProfileName", 63).into();
    for selector in input["selectors"].as_array_mut().into_iter().flatten() {
        let labels: Map<String, Value> = selector
            .list("labels")
            .iter()
            .map(|label| {
                (
                    label.text("key").or(label.text("Key")).unwrap_or_default().to_owned(),
                    label.get("value").or(label.get("Value")).cloned().unwrap_or_default(),
                )
            })
            .collect();
        selector["labels"] = Value::Object(labels);
    }
    let answer = wanted.call("eks", "CreateFargateProfile", input).await?;
    Ok(format!(
        "{cluster}|{}",
        answer["fargateProfile"].required("fargateProfileName")
    ))
}

/// Access policies of an entry: those of the template, and no longer those of before.
async fn policies(wanted: &Wanted<'_>, before: &Value) -> Result<(), ApiError> {
    let base = json!({"clusterName": wanted.properties.text("ClusterName"), "principalArn": wanted.properties.text("PrincipalArn")});
    let arns: Vec<&str> = wanted
        .properties
        .list("AccessPolicies")
        .iter()
        .filter_map(|policy| policy.text("PolicyArn"))
        .collect();
    for policy in wanted.properties.list("AccessPolicies") {
        let mut input = base.clone();
        input["policyArn"] = policy["PolicyArn"].clone();
        input["accessScope"] = small(&policy["AccessScope"]);
        wanted.call("eks", "AssociateAccessPolicy", input).await?;
    }
    for gone in before
        .list("AccessPolicies")
        .iter()
        .filter_map(|policy| policy.text("PolicyArn"))
        .filter(|arn| !arns.contains(arn))
    {
        let mut input = base.clone();
        input["policyArn"] = gone.into();
        wanted.call("eks", "DisassociateAccessPolicy", input).await?;
    }
    Ok(())
}

/// Changes one: one kind of change at a time, as EKS wants it; the engine asks again until nothing differs.
///
/// # Errors
/// What EKS answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    let properties = wanted.properties;
    let differs = |name: &str| properties.get(name) != before.get(name);
    let (first, last) = parts(wanted.kind, physical);
    match wanted.kind {
        "AWS::EKS::Cluster" if differs("Version") => {
            wanted
                .call(
                    "eks",
                    "UpdateClusterVersion",
                    json!({"name": physical, "version": properties.text("Version")}),
                )
                .await?;
        }
        "AWS::EKS::Cluster" => configure(wanted, physical, before).await?,
        "AWS::EKS::Nodegroup" if differs("Version") || differs("ReleaseVersion") => {
            let input = json!({
                "clusterName": first, "nodegroupName": last, "version": properties.text("Version"),
                "releaseVersion": properties.text("ReleaseVersion"), "force": properties.flag("ForceUpdateEnabled").unwrap_or(false),
            });
            wanted.call("eks", "UpdateNodegroupVersion", input).await?;
        }
        "AWS::EKS::Nodegroup"
            if ["ScalingConfig", "Labels", "Taints", "UpdateConfig"]
                .into_iter()
                .any(differs) =>
        {
            nodegroup::configure(wanted, first, last, before).await?;
        }
        "AWS::EKS::Addon" => {
            let mut input = request(wanted, &["preserveOnDelete", "tags"]);
            input["clientRequestToken"] = Value::Null;
            wanted.call("eks", "UpdateAddon", input).await?;
        }
        "AWS::EKS::AccessEntry" => {
            let input = json!({
                "clusterName": last, "principalArn": first, "username": properties.text("Username"),
                "kubernetesGroups": properties.get("KubernetesGroups"),
            });
            wanted.call("eks", "UpdateAccessEntry", input).await?;
            policies(wanted, before).await?;
        }
        "AWS::EKS::PodIdentityAssociation" => {
            let input = json!({
                "clusterName": first, "associationId": last, "roleArn": properties.text("RoleArn"),
                "targetRoleArn": properties.get("TargetRoleArn"), "disableSessionTags": properties.get("DisableSessionTags"),
            });
            wanted.call("eks", "UpdatePodIdentityAssociation", input).await?;
        }
        _ => {}
    }
    Ok(Updated::Done)
}

/// EKS takes one kind of configuration at a time.
async fn configure(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<(), ApiError> {
    let differs = |name: &str| wanted.properties.get(name) != before.get(name);
    let input = request(wanted, &[]);
    for (member, name) in [
        ("Logging", "logging"),
        ("AccessConfig", "accessConfig"),
        ("UpgradePolicy", "upgradePolicy"),
        ("DeletionProtection", "deletionProtection"),
        ("ResourcesVpcConfig", "resourcesVpcConfig"),
    ] {
        if differs(member) {
            let mut change = json!({"name": physical, name: input[name]});
            if let Some(config) = change.get_mut("resourcesVpcConfig").and_then(Value::as_object_mut) {
                config.remove("subnetIds");
                config.remove("securityGroupIds");
            }
            if let Some(config) = change.get_mut("accessConfig").and_then(Value::as_object_mut) {
                config.remove("bootstrapClusterCreatorAdminPermissions");
            }
            wanted.call("eks", "UpdateClusterConfig", change).await?;
        }
    }
    Ok(())
}

/// The two parts of a physical id: mostly a cluster's name and the thing's own, an entry's principal (an ARN with a slash) and its
/// cluster.
fn parts<'a>(kind: &str, physical: &'a str) -> (&'a str, &'a str) {
    let between = if kind == "AWS::EKS::Nodegroup" { '/' } else { '|' };
    physical.split_once(between).unwrap_or((physical, physical))
}

/// Removes one.
///
/// # Errors
/// What EKS answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let (first, last) = parts(wanted.kind, physical);
    let (operation, input) = match wanted.kind {
        "AWS::EKS::Cluster" => ("DeleteCluster", json!({ "name": physical })),
        "AWS::EKS::Nodegroup" => ("DeleteNodegroup", json!({"clusterName": first, "nodegroupName": last})),
        "AWS::EKS::Addon" => {
            let preserve = wanted.properties.flag("PreserveOnDelete").unwrap_or(false);
            (
                "DeleteAddon",
                json!({"clusterName": first, "addonName": last, "preserve": preserve}),
            )
        }
        "AWS::EKS::FargateProfile" => (
            "DeleteFargateProfile",
            json!({"clusterName": first, "fargateProfileName": last}),
        ),
        "AWS::EKS::AccessEntry" => ("DeleteAccessEntry", json!({"clusterName": last, "principalArn": first})),
        "AWS::EKS::PodIdentityAssociation" => (
            "DeletePodIdentityAssociation",
            json!({"clusterName": first, "associationId": last}),
        ),
        kind => return Err(unsupported(kind)),
    };
    wanted.call("eks", operation, input).await.map(drop)
}

fn cluster<'a>(state: &'a State, name: &str) -> Option<&'a cluster_lifecycle::cluster::Cluster> {
    state.clusters.get(&ClusterName::new(name).ok()?)
}

fn group<'a>(state: &'a State, physical: &str) -> Option<&'a cluster_lifecycle::nodegroup::Nodegroup> {
    let (cluster, name) = physical.split_once('/')?;
    state
        .nodegroups
        .get(&(ClusterName::new(cluster).ok()?, NodegroupName::new(name).ok()?))
}

fn addon<'a>(state: &'a State, physical: &str) -> Option<&'a cluster_lifecycle::addon::Addon> {
    let (cluster, name) = physical.split_once('|')?;
    state.addons.get(&(ClusterName::new(cluster).ok()?, name.to_owned()))
}

fn issues(issues: &[cluster_lifecycle::cluster::Issue]) -> String {
    issues
        .iter()
        .map(|issue| format!("{}: {}", issue.code, issue.message))
        .collect::<Vec<_>>()
        .join("; ")
}

/// How far one is that was asked for.
pub fn created(state: &State, kind: &str, physical: &str) -> Progress {
    let gone = || Progress::Failed("the resource is gone".to_owned());
    match kind {
        "AWS::EKS::Cluster" => match cluster(state, physical) {
            None => gone(),
            Some(found) => match found.status {
                ClusterStatus::Active => Progress::Done,
                ClusterStatus::Failed => Progress::Failed(issues(&found.issues)),
                _ => Progress::Busy,
            },
        },
        "AWS::EKS::Nodegroup" => match group(state, physical) {
            None => gone(),
            Some(found) => match found.status {
                NodegroupStatus::Active => Progress::Done,
                NodegroupStatus::CreateFailed | NodegroupStatus::Degraded => Progress::Failed(issues(&found.issues)),
                _ => Progress::Busy,
            },
        },
        "AWS::EKS::Addon" => match addon(state, physical) {
            None => gone(),
            Some(found) => match found.status {
                AddonStatus::Active | AddonStatus::Degraded => Progress::Done,
                AddonStatus::CreateFailed | AddonStatus::UpdateFailed => Progress::Failed(issues(&found.issues)),
                _ => Progress::Busy,
            },
        },
        _ => Progress::Done,
    }
}

/// How far the removal of one is.
pub fn removed(state: &State, kind: &str, physical: &str) -> Progress {
    let there = match kind {
        "AWS::EKS::Cluster" => cluster(state, physical).is_some(),
        "AWS::EKS::Nodegroup" => group(state, physical).is_some(),
        "AWS::EKS::Addon" => addon(state, physical).is_some(),
        _ => false,
    };
    if there { Progress::Busy } else { Progress::Done }
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    match kind {
        "AWS::EKS::Cluster" => {
            let found = cluster(state, physical)?;
            match name {
                "Arn" => Some(json!(found.arn)),
                "Id" => Some(json!(found.name)),
                "Endpoint" => found.endpoint.as_ref().map(|endpoint| json!(endpoint)),
                "CertificateAuthorityData" => found
                    .certificate_authority_pem
                    .as_ref()
                    .map(|pem| json!(STANDARD.encode(pem))),
                "ClusterSecurityGroupId" => Some(json!(found.network.cluster_security_group_id)),
                "OpenIdConnectIssuerUrl" => Some(json!(found.network.oidc_issuer)),
                "EncryptionConfigKeyArn" => Some(json!(found.encryption_key.as_deref().unwrap_or_default())),
                "KubernetesNetworkConfig.ServiceIpv6Cidr" => Some(json!("")),
                _ => None,
            }
        }
        "AWS::EKS::Nodegroup" => {
            let found = group(state, physical)?;
            match name {
                "Arn" => Some(json!(found.arn)),
                "Id" => Some(json!(physical)),
                "ClusterName" => Some(json!(found.cluster)),
                "NodegroupName" => Some(json!(found.name)),
                _ => None,
            }
        }
        "AWS::EKS::Addon" if name == "Arn" => addon(state, physical).map(|found| json!(found.arn)),
        "AWS::EKS::AccessEntry" if name == "AccessEntryArn" => {
            let (principal, cluster) = physical.rsplit_once('|')?;
            let key = (ClusterName::new(cluster).ok()?, principal.to_owned());
            state.access_entries.get(&key).map(|entry| json!(entry.arn))
        }
        "AWS::EKS::PodIdentityAssociation" => {
            let (cluster, id) = physical.split_once('|')?;
            let known = state
                .pod_identities
                .get(&(ClusterName::new(cluster).ok()?, id.to_owned()))?;
            match name {
                "AssociationArn" => Some(json!(known.arn)),
                "AssociationId" => Some(json!(known.id)),
                _ => None,
            }
        }
        "AWS::EKS::FargateProfile" if name == "Arn" => {
            let (cluster, profile) = physical.split_once('|')?;
            let key = (ClusterName::new(cluster).ok()?, profile.to_owned());
            state.fargate_profiles.get(&key).map(|profile| json!(profile.arn))
        }
        _ => None,
    }
}
