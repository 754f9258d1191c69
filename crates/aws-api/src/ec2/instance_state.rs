//! Instances come, rest and go: launching, stopping, starting, rebooting, terminating, and what can be changed of them.

use std::collections::BTreeMap;

use cluster_lifecycle::nodegroup::{Input, Nodegroup, Phase};
use serde_json::{Value, json};

use super::instance::{self, not_found};
use super::launch::{self, Placement};
use super::{dry_run, interface, invalid};
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `RunInstances`.
pub async fn run(context: Context, input: Value) -> Result<Value, ApiError> {
    check_combination(&input)?;
    let (least, most) = (
        input.number("MinCount").unwrap_or(1),
        input.number("MaxCount").unwrap_or(1),
    );
    if least < 1 || most < least {
        return Err(invalid(format!(
            "MinCount ({least}) must be at least 1 and not exceed MaxCount ({most})"
        )));
    }
    let owner = context.caller.account.as_str();
    let decide = |state: &State| {
        let wanted = launch::read(state, &context, &input)?;
        dry_run(input.flag("DryRun"))?;
        if let Some((token, request)) = &wanted.token {
            let known = |one: &&Ec2Instance| one.token.as_ref().is_some_and(|(known, _)| known == token);
            let before: Vec<&Ec2Instance> = state.instances.values().filter(known).collect();
            if before
                .iter()
                .any(|one| one.token.as_ref().is_some_and(|(_, known)| known != request))
            {
                let message = "The request uses the same client token as a previous, but non-identical request.";
                return Err(ApiError::bad_request("IdempotentParameterMismatch", message));
            }
            if let Some(first) = before.first() {
                let views: Vec<Value> = before.iter().map(|one| one.view(state, owner)).collect();
                return Ok((first.reservation_view(owner, &views), Vec::new()));
            }
        }
        let mut placement = Placement::default();
        let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        // As many as there is room for, as long as it is enough.
        let mut attempt = count(most).min(1000);
        while let Err(error) = placement.add(state, &context, &wanted, attempt) {
            if attempt <= count(least) {
                return Err(error);
            }
            attempt -= 1;
        }
        let views: Vec<Value> = placement.instances().iter().map(|one| one.view(state, owner)).collect();
        let answer = placement.instances()[0].reservation_view(owner, &views);
        Ok((answer, placement.changes()))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

/// Refuses a request that says twice where an instance is to be.
fn check_combination(input: &Value) -> Result<(), ApiError> {
    if input.list("NetworkInterfaces").is_empty() {
        return Ok(());
    }
    let said = match (
        input.text("SubnetId"),
        input.texts("SecurityGroupIds").is_empty() && input.texts("SecurityGroups").is_empty(),
    ) {
        (Some(_), _) => "an instance-level subnet ID",
        (None, false) => "an instance-level security groups",
        (None, true) => return Ok(()),
    };
    let message = format!("Network interfaces and {said} may not be specified on the same request");
    Err(ApiError::bad_request("InvalidParameterCombination", message))
}

fn ended_by_user() -> Option<(&'static str, String)> {
    let code = "Client.UserInitiatedShutdown";
    Some((code, format!("{code}: User initiated shutdown")))
}

/// `TerminateInstances`: the machine ends, and the group that wants it makes another.
pub async fn terminate(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    if ids.is_empty() {
        return Err(ApiError::bad_request(
            "InvalidParameterCombination",
            "No instances specified",
        ));
    }
    let now = context.region.clock.now();
    let change = context.region.ledger.change(|state| {
        instance::require(state, &ids)?;
        let mut groups: BTreeMap<_, Nodegroup> = BTreeMap::new();
        let mut answers = Vec::new();
        let mut changes = Vec::new();
        for (_, group, one) in instance::all(state).filter(|(_, _, one)| ids.contains(&one.id.as_str())) {
            answers.push(json!({
                "InstanceId": one.id, "PreviousState": instance::status(one.phase),
                "CurrentState": instance::status(Phase::Terminating),
            }));
            let key = (group.cluster.clone(), group.name.clone());
            let before = groups.remove(&key).unwrap_or_else(|| group.clone());
            if let Some(after) = before.step(Input::Terminate(one.id.clone()))? {
                groups.insert(key, after);
            }
        }
        for known in state.instances.values().filter(|one| ids.contains(&one.id.as_str())) {
            if known.attributes.flag("DisableApiTermination") == Some(true) {
                let message = format!(
                    "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
                    known.id
                );
                return Err(ApiError::bad_request("OperationNotPermitted", message));
            }
            let mut one = known.clone();
            if one.state != LifeState::Terminated {
                one.become_state(LifeState::ShuttingDown, now, ended_by_user());
            }
            answers.push(transition(known, &one));
            changes.push(Change::put(one));
        }
        let clusters: Vec<_> = groups.keys().map(|(cluster, _)| cluster.clone()).collect();
        changes.extend(groups.into_values().map(Change::put));
        Ok::<_, ApiError>(((answers, clusters), changes))
    });
    let (answers, clusters) = change.await?;
    clusters.iter().for_each(|cluster| context.region.drive(cluster));
    context.region.wake_fleet();
    Ok(json!({ "TerminatingInstances": answers }))
}

fn transition(before: &Ec2Instance, after: &Ec2Instance) -> Value {
    json!({"InstanceId": before.id, "PreviousState": before.state.view(), "CurrentState": after.state.view()})
}

/// Changes instances that must not be a managed node group's.
async fn change(
    context: &Context,
    input: &Value,
    edit: impl Fn(&mut Ec2Instance) -> Result<(), ApiError>,
) -> Result<Vec<Value>, ApiError> {
    let ids = input.texts("InstanceIds");
    let decide = |state: &State| {
        instance::require(state, &ids)?;
        dry_run(input.flag("DryRun"))?;
        let mut answers = Vec::new();
        let mut changes = Vec::new();
        for id in &ids {
            let known = find(state, id)?;
            let mut one = known.clone();
            edit(&mut one)?;
            answers.push(transition(known, &one));
            changes.push(Change::put(one));
        }
        Ok::<_, ApiError>((answers, changes))
    };
    let answers = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answers)
}

/// An instance that no managed node group has.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Result<&'a Ec2Instance, ApiError> {
    let found = state.instances.values().find(|one| one.id.as_str() == id);
    found.ok_or_else(|| {
        if instance::all(state).any(|(_, _, one)| one.id.as_str() == id) {
            let message = format!(
                "The instance '{id}' belongs to a managed node group, which replaces it; it can be terminated."
            );
            return ApiError::bad_request("UnsupportedOperation", message);
        }
        not_found(id)
    })
}

fn wrong_state(one: &Ec2Instance) -> ApiError {
    let message = format!(
        "The instance '{}' is not in a state from which it can be {}.",
        one.id,
        if one.state == LifeState::Terminated {
            "used"
        } else {
            "changed"
        }
    );
    ApiError::bad_request("IncorrectInstanceState", message)
}

/// `StopInstances`.
pub async fn stop(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let answers = change(&context, &input, |one| match one.state {
        LifeState::Pending | LifeState::Running if one.spot => Err(ApiError::bad_request(
            "UnsupportedOperation",
            format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance request.",
                one.id
            ),
        )),
        LifeState::Pending | LifeState::Running if one.attributes.flag("DisableApiStop") == Some(true) => {
            let message = format!(
                "The instance '{}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
                one.id
            );
            Err(ApiError::bad_request("OperationNotPermitted", message))
        }
        LifeState::Pending | LifeState::Running => {
            one.become_state(LifeState::Stopping, now, ended_by_user());
            Ok(())
        }
        LifeState::Stopping | LifeState::Stopped => Ok(()),
        LifeState::ShuttingDown | LifeState::Terminated => Err(wrong_state(one)),
    });
    Ok(json!({ "StoppingInstances": answers.await? }))
}

/// `StartInstances`.
pub async fn start(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let answers = change(&context, &input, |one| match one.state {
        LifeState::Stopped => {
            one.become_state(LifeState::Pending, now, None);
            one.launched_at = now;
            Ok(())
        }
        LifeState::Pending | LifeState::Running => Ok(()),
        LifeState::Stopping | LifeState::ShuttingDown | LifeState::Terminated => Err(wrong_state(one)),
    });
    Ok(json!({ "StartingInstances": answers.await? }))
}

/// `RebootInstances`: the machine ends, and the instance joins its cluster anew.
pub async fn reboot(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("InstanceIds");
    let machines = context.region.ledger.read(|state| {
        instance::require(state, &ids)?;
        dry_run(input.flag("DryRun"))?;
        ids.iter()
            .map(|id| find(state, id).cloned())
            .collect::<Result<Vec<_>, ApiError>>()
    })?;
    if let Some(one) = machines.iter().find(|one| one.state != LifeState::Running) {
        return Err(wrong_state(one));
    }
    for machine in machines.into_iter().filter(|one| one.joined.is_some()) {
        let name = machine
            .joined
            .clone()
            .and_then(|name| aws_types::ClusterName::new(name).ok());
        let Some(name) = name else { continue };
        let which = crate::host::InstanceRef {
            cluster: context.region.cluster_ref(&name),
            id: machine.id.clone(),
        };
        context
            .region
            .host
            .terminate_instance(which)
            .await
            .map_err(ApiError::internal)?;
        let decide = |state: &State| {
            let known = state.instances.get(&machine.id).cloned();
            let changes = known.map(|one| Change::put(Ec2Instance { joined: None, ..one }));
            Ok::<_, ApiError>(((), changes.into_iter().collect()))
        };
        context.region.ledger.change(decide).await?;
    }
    context.region.wake_fleet();
    Ok(nothing())
}

/// `DescribeInstanceAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("InstanceId");
    let one = context.region.ledger.read(|state| find(state, id).cloned())?;
    let value = |value: Value| json!({ "Value": value });
    let (member, shown) = match input.required("Attribute") {
        "instanceType" => ("InstanceType", value(one.instance_type.as_str().into())),
        "userData" => (
            "UserData",
            one.user_data.map_or_else(nothing, |data| value(data.into())),
        ),
        "disableApiTermination" => (
            "DisableApiTermination",
            value(one.attributes["DisableApiTermination"].clone()),
        ),
        "disableApiStop" => ("DisableApiStop", value(one.attributes["DisableApiStop"].clone())),
        "instanceInitiatedShutdownBehavior" => (
            "InstanceInitiatedShutdownBehavior",
            value(one.attributes["InstanceInitiatedShutdownBehavior"].clone()),
        ),
        "ebsOptimized" => ("EbsOptimized", value(one.details["EbsOptimized"].clone())),
        "enaSupport" => ("EnaSupport", value(true.into())),
        "sourceDestCheck" => ("SourceDestCheck", value(one.checks_source().into())),
        "kernel" => ("KernelId", nothing()),
        "ramdisk" => ("RamdiskId", nothing()),
        "sriovNetSupport" => ("SriovNetSupport", nothing()),
        "enclaveOptions" => ("EnclaveOptions", json!({ "Enabled": false })),
        "rootDeviceName" => ("RootDeviceName", value("/dev/xvda".into())),
        "groupSet" => {
            let groups: Vec<Value> = one.groups.iter().map(|id| json!({"GroupId": id})).collect();
            ("Groups", groups.into())
        }
        "blockDeviceMapping" => {
            let view = context
                .region
                .ledger
                .read(|state| one.view(state, context.caller.account.as_str()));
            ("BlockDeviceMappings", view["BlockDeviceMappings"].clone())
        }
        "productCodes" => ("ProductCodes", json!([])),
        other => {
            return Err(invalid(format!(
                "Value ({other}) for parameter attribute is invalid. Unknown attribute."
            )));
        }
    };
    Ok(json!({"InstanceId": id, member: shown}))
}

/// `ModifyInstanceAttribute`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let groups = input.texts("Groups");
    let decide = |state: &State| {
        if !groups.is_empty() && instance::all(state).any(|(_, _, one)| one.id.as_str() == id) {
            dry_run(input.flag("DryRun"))?;
            return Ok((
                (),
                interface::secure_managed(state, |one| one.id.as_str() == id, &groups)?,
            ));
        }
        let mut one = find(state, id)?.clone();
        dry_run(input.flag("DryRun"))?;
        let given = |member: &str| input.get(member).and_then(|value| value.get("Value")).cloned();
        for member in [
            "DisableApiTermination",
            "DisableApiStop",
            "InstanceInitiatedShutdownBehavior",
        ] {
            if let Some(value) = given(member) {
                one.attributes[member] = value;
            }
        }
        if let (Some(name), Some(value)) = (input.text("Attribute"), input.text("Value")) {
            match name {
                "disableApiTermination" => one.attributes["DisableApiTermination"] = (value == "true").into(),
                "disableApiStop" => one.attributes["DisableApiStop"] = (value == "true").into(),
                "instanceInitiatedShutdownBehavior" => {
                    one.attributes["InstanceInitiatedShutdownBehavior"] = value.into()
                }
                "instanceType" => resize(&mut one, value)?,
                _ => {}
            }
        }
        if let Some(kind) = given("InstanceType") {
            resize(&mut one, kind.as_str().unwrap_or_default())?;
        }
        if let Some(data) = given("UserData") {
            require_stopped(&one)?;
            one.user_data = data.as_str().map(str::to_owned);
        }
        if let Some(value) = given("SourceDestCheck") {
            one.attributes["SourceDestCheck"] = value;
        }
        let mut changes = kept_volumes(state, &one, &input)?;
        if let Some(value) = given("EbsOptimized") {
            one.details["EbsOptimized"] = value;
        }
        if !groups.is_empty() {
            one.groups = interface::known_groups(state, &groups)?;
        }
        changes.push(Change::put(one));
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    context.region.secure_now().await;
    Ok(nothing())
}

/// The volumes of an instance of which a request says whether they go with it.
fn kept_volumes(state: &State, one: &Ec2Instance, input: &Value) -> Result<Vec<Change>, ApiError> {
    let mut changes = Vec::new();
    for mapping in input.list("BlockDeviceMappings") {
        let device = mapping.required("DeviceName");
        let Some((_, volume)) = one.volumes.iter().find(|(known, _)| known == device) else {
            let message = format!("There is no block device '{device}' on the instance '{}'", one.id);
            return Err(ApiError::bad_request("InvalidInstanceAttributeValue", message));
        };
        if let Some(goes) = mapping["Ebs"].flag("DeleteOnTermination") {
            let mut volume = super::document::find(state, super::document::Kind::Volume, volume)?.clone();
            volume.body["Attachments"][0]["DeleteOnTermination"] = goes.into();
            changes.push(Change::put(volume));
        }
    }
    Ok(changes)
}

fn require_stopped(one: &Ec2Instance) -> Result<(), ApiError> {
    if one.state == LifeState::Stopped {
        return Ok(());
    }
    let message = format!("The instance '{}' is not in the 'stopped' state.", one.id);
    Err(ApiError::bad_request("IncorrectInstanceState", message))
}

fn resize(one: &mut Ec2Instance, kind: &str) -> Result<(), ApiError> {
    require_stopped(one)?;
    if aws_types::instance_type::find(kind).is_none() {
        return Err(invalid(format!("Invalid value '{kind}' for InstanceType.")));
    }
    kind.clone_into(&mut one.instance_type);
    Ok(())
}

/// `ModifyInstanceMetadataOptions`.
pub async fn modify_metadata(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let decide = |state: &State| {
        let mut one = find(state, id)?.clone();
        dry_run(input.flag("DryRun"))?;
        let members = [
            "HttpTokens",
            "HttpPutResponseHopLimit",
            "HttpEndpoint",
            "HttpProtocolIpv6",
            "InstanceMetadataTags",
        ];
        for member in members {
            if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                one.details["MetadataOptions"][member] = value.clone();
            }
        }
        let answer = json!({"InstanceId": id, "InstanceMetadataOptions": one.details["MetadataOptions"]});
        Ok::<_, ApiError>((answer, vec![Change::put(one)]))
    };
    context.region.ledger.change(decide).await
}

async fn monitoring(context: Context, input: Value, state: &'static str) -> Result<Value, ApiError> {
    change(&context, &input, |one| {
        one.details["Monitoring"] = json!({ "State": state });
        Ok(())
    })
    .await?;
    let shown = input.texts("InstanceIds").into_iter();
    let views: Vec<Value> = shown
        .map(|id| json!({"InstanceId": id, "Monitoring": {"State": state}}))
        .collect();
    Ok(json!({ "InstanceMonitorings": views }))
}

/// `MonitorInstances`.
pub async fn monitor(context: Context, input: Value) -> Result<Value, ApiError> {
    monitoring(context, input, "enabled").await
}

/// `UnmonitorInstances`.
pub async fn unmonitor(context: Context, input: Value) -> Result<Value, ApiError> {
    monitoring(context, input, "disabled").await
}

/// `GetConsoleOutput`: nothing is written to consoles here.
pub async fn console(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    context.region.ledger.read(|state| instance::require(state, &[id]))?;
    Ok(json!({"InstanceId": id, "Timestamp": aws_types::time::Time(context.region.clock.now())}))
}
