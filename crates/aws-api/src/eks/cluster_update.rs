//! Changes of a cluster: its version, and its configuration.

use cluster_lifecycle::Refusal;
use cluster_lifecycle::access_entry::mode_change;
use cluster_lifecycle::cluster::{Cluster, Input};
use cluster_lifecycle::refusal::RefusalKind;
use cluster_lifecycle::request as rules;
use cluster_lifecycle::update::{Update, UpdateStatus};
use serde_json::{Value, json};

use super::cluster::{enabled_logs, find_subnets};
use super::nodegroup::wake;
use super::{find_cluster, view};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// The update that a caller's token stands for already.
fn repeated<'a>(state: &'a State, cluster: &Cluster, input: &Value) -> Option<&'a Update> {
    let token = input.text("clientRequestToken")?;
    let mut own = state.updates.values().filter(|update| update.cluster == cluster.name);
    own.find(|update| update.client_request_token.as_deref() == Some(token))
}

/// `UpdateClusterVersion`.
pub async fn version(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let wanted = input.required("version");
    let changed = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("name"))?;
        if let Some(before) = repeated(state, cluster, &input) {
            return Ok((view::update(before), Vec::new()));
        }
        let groups: Vec<&str> = state
            .nodegroups_of(&cluster.name)
            .map(|group| group.version.as_str())
            .collect();
        let next = rules::next_version(&cluster.version, wanted, &groups, input.flag("force").unwrap_or(false))
            .map_err(|refusal| refusal.of_cluster(cluster.name.as_str()))?;
        let params = vec![
            ("Version".to_owned(), next.minor.to_owned()),
            ("PlatformVersion".to_owned(), next.platform.to_owned()),
        ];
        let update = Update {
            client_request_token: input.text("clientRequestToken").map(str::to_owned),
            ..Update::new(id.clone(), cluster.name.clone(), "VersionUpdate", params, now)
        };
        let upgrading = cluster.clone().step(Input::Upgrade {
            update: id,
            version: next.minor.to_owned(),
        })?;
        let upgrading = upgrading.ok_or_else(|| Refusal::no_cluster(cluster.name.as_str()))?;
        Ok::<_, ApiError>((view::update(&update), vec![Change::put(upgrading), Change::put(update)]))
    });
    let update = changed.await?;
    wake(&context, input.text("name"));
    Ok(json!({ "update": update }))
}

/// Kinds of changes, of which a request may hold one.
const KINDS: &[(&str, &str)] = &[
    ("logging", "LoggingUpdate"),
    ("resourcesVpcConfig", "EndpointAccessUpdate"),
    ("accessConfig", "AccessConfigUpdate"),
    ("upgradePolicy", "UpgradePolicyUpdate"),
    ("deletionProtection", "DeletionProtectionUpdate"),
    ("zonalShiftConfig", "ZonalShiftConfigUpdate"),
    ("computeConfig", "AutoModeUpdate"),
    ("kubernetesNetworkConfig", "AutoModeUpdate"),
    ("storageConfig", "AutoModeUpdate"),
    ("remoteNetworkConfig", "RemoteNetworkConfigUpdate"),
    ("controlPlaneScalingConfig", "ControlPlaneScalingConfigUpdate"),
    ("kubeApiServerConfig", "ControlPlaneComponentConfigUpdate"),
    ("kubeSchedulerConfig", "ControlPlaneComponentConfigUpdate"),
    ("kubeControllerManagerConfig", "ControlPlaneComponentConfigUpdate"),
];

/// `UpdateClusterConfig`. What is recorded counts at once, so the update is done when the next call looks at it.
pub async fn config(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let changed = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("name"))?;
        if let Some(before) = repeated(state, cluster, &input) {
            return Ok((view::update(before), Vec::new()));
        }
        let mut after = cluster.clone();
        let (kind, params) =
            edit(state, &mut after, &input).map_err(|refusal| refusal.of_cluster(cluster.name.as_str()))?;
        after.require_settled()?;
        let update = Update {
            client_request_token: input.text("clientRequestToken").map(str::to_owned),
            ..Update::new(id, cluster.name.clone(), kind, params, now)
        };
        let answer = view::update(&update);
        let done = Update {
            status: UpdateStatus::Successful,
            ..update
        };
        let logs = crate::logs::of_cluster(&context, state, &after);
        let changes = [Change::put(after), Change::put(done)].into_iter().chain(logs);
        Ok::<_, ApiError>((answer, changes.collect()))
    });
    Ok(json!({ "update": changed.await? }))
}

type Edited = (&'static str, Vec<(String, String)>);

fn edit(state: &State, cluster: &mut Cluster, input: &Value) -> Result<Edited, Refusal> {
    let mut asked: Vec<(&str, &'static str)> = KINDS
        .iter()
        .filter(|(member, _)| input.get(member).is_some_and(|value| !value.is_null()))
        .copied()
        .collect();
    asked.dedup_by_key(|(_, kind)| *kind);
    let (member, kind) = match asked[..] {
        [one] => one,
        [] => {
            return Err(Refusal::invalid_parameter(
                "Update Cluster config request must include one of: resourcesVpcConfig, logging, accessConfig, upgradePolicy, deletionProtection",
            ));
        }
        _ => return Err(Refusal::invalid_parameter("Only one type of update can be allowed.")),
    };
    let value = &input[member];
    let param = |name: &str, value: String| vec![(name.to_owned(), value)];
    let params = match member {
        "logging" => {
            let logging =
                serde_json::from_value(value.clone()).map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
            logs(cluster, &logging)?;
            param("ClusterLogging", value.to_string())
        }
        "resourcesVpcConfig" => return vpc(state, cluster, value),
        "accessConfig" => {
            let mode = value.required("authenticationMode");
            mode_change(&cluster.authentication_mode, mode)?;
            cluster.authentication_mode = mode.to_owned();
            param("AuthenticationMode", mode.to_owned())
        }
        "upgradePolicy" => {
            cluster.support_type = value.text("supportType").unwrap_or(&cluster.support_type).to_owned();
            param("UpgradePolicy", value.to_string())
        }
        "deletionProtection" => {
            cluster.deletion_protection = value.as_bool().unwrap_or(false);
            param("DeletionProtection", cluster.deletion_protection.to_string())
        }
        _ => {
            return Err(Refusal::invalid_parameter(format!(
                "{member} is not available in this region"
            )));
        }
    };
    Ok((kind, params))
}

/// Types that a request names change, the others stay as they are.
fn logs(cluster: &mut Cluster, logging: &aws_types::eks::Logging) -> Result<(), Refusal> {
    let on = enabled_logs(Some(logging))?;
    let off = logging
        .cluster_logging
        .iter()
        .flatten()
        .filter(|setup| setup.enabled == Some(false));
    let off: Vec<&String> = off.flat_map(|setup| setup.types.iter().flatten()).collect();
    cluster.enabled_logs.retain(|kind| !off.contains(&kind));
    for kind in on {
        if !cluster.enabled_logs.contains(&kind) {
            cluster.enabled_logs.push(kind);
        }
    }
    Ok(())
}

fn vpc(state: &State, cluster: &mut Cluster, value: &Value) -> Result<Edited, Refusal> {
    if value.get("subnetIds").is_some() || value.get("securityGroupIds").is_some() {
        return interfaces(state, cluster, value);
    }
    let network = &mut cluster.network;
    let public = value
        .flag("endpointPublicAccess")
        .unwrap_or(network.endpoint_public_access);
    let private = value
        .flag("endpointPrivateAccess")
        .unwrap_or(network.endpoint_private_access);
    let cidrs = match value.get("publicAccessCidrs") {
        Some(_) => texts(value, "publicAccessCidrs"),
        None => network.public_access_cidrs.clone(),
    };
    if !public && !private {
        return Err(Refusal::invalid_parameter(
            "Private and public endpoint access cannot be false",
        ));
    }
    let before = (
        network.endpoint_public_access,
        network.endpoint_private_access,
        &network.public_access_cidrs,
    );
    if (public, private, &cidrs) == before {
        return Err(Refusal::invalid_parameter(format!(
            "Cluster is already at the desired configuration with endpointPrivateAccess: {private} , endpointPublicAccess: {public}, and Public Endpoint Restrictions: [{}]",
            cidrs.join(", ")
        )));
    }
    (network.endpoint_public_access, network.endpoint_private_access) = (public, private);
    network.public_access_cidrs.clone_from(&cidrs);
    let params = [
        ("EndpointPublicAccess", public.to_string()),
        ("EndpointPrivateAccess", private.to_string()),
        ("PublicAccessCidrs", json!(cidrs).to_string()),
    ];
    Ok((
        "EndpointAccessUpdate",
        params.map(|(name, value)| (name.to_owned(), value)).into(),
    ))
}

fn texts(value: &Value, member: &str) -> Vec<String> {
    value.texts(member).into_iter().map(str::to_owned).collect()
}

/// Where the control plane's interfaces are, and their groups.
fn interfaces(state: &State, cluster: &mut Cluster, value: &Value) -> Result<Edited, Refusal> {
    let network = &mut cluster.network;
    let mut params = Vec::new();
    if value.get("subnetIds").is_some() {
        let subnets = find_subnets(state, &texts(value, "subnetIds"))?;
        rules::zones(&subnets.iter().map(|subnet| subnet.zone.clone()).collect::<Vec<_>>())?;
        if subnets.iter().any(|subnet| subnet.vpc != network.vpc_id) {
            return Err(Refusal::invalid_parameter(
                "Provided subnets belong to a different VPC than the cluster's",
            ));
        }
        network.subnet_ids = subnets.iter().map(|subnet| subnet.id.clone()).collect();
        params.push(("Subnets".to_owned(), value["subnetIds"].to_string()));
    }
    if value.get("securityGroupIds").is_some() {
        network.security_group_ids = texts(value, "securityGroupIds");
        params.push(("SecurityGroups".to_owned(), value["securityGroupIds"].to_string()));
    }
    Ok(("VpcConfigUpdate", params))
}

/// `CancelUpdate`: the updates of this region are done too soon to be stopped, or cannot be.
pub async fn cancel(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("updateId");
    let known = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("name"))?;
        let own = state.updates.get(id).filter(|update| update.cluster == cluster.name);
        own.cloned()
            .ok_or_else(|| Refusal::new(RefusalKind::ResourceNotFound, format!("No update found for ID: {id}")))
    })?;
    let message = format!(
        "Update {id} of type {} in status {} cannot be cancelled",
        known.kind,
        view::update_status(&known)
    );
    Err(ApiError::bad_request("InvalidStateException", message))
}
