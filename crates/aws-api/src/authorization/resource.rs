//! Which resources a call is about, as policies name them.

use std::collections::BTreeMap;

use aws_types::{ClusterName, NodegroupName, arn};
use serde_json::Value;

use super::Call;
use crate::iam::entity::{self, EntityKind};
use crate::members::Members;
use crate::operations::Context;

/// The ARNs of the resources, or `*` for actions that are about none.
pub fn of(context: &Context, call: &Call<'_>) -> Vec<String> {
    let found = match call.service {
        "eks" | "eks-auth" => eks(context, call),
        "iam" => iam(context, call),
        "sts" => call.input.text("RoleArn").map(str::to_owned),
        "ec2" => ec2(context, call),
        "s3" => call.input.text("Resource").map(str::to_owned),
        "cloudformation" => call.input.text("StackName").map(|stack| {
            let own = format!(
                "arn:aws:cloudformation:{}:{}:stack/{stack}/*",
                context.region.name, context.caller.account
            );
            if stack.starts_with("arn:") {
                stack.to_owned()
            } else {
                own
            }
        }),
        _ => None,
    };
    vec![found.unwrap_or_else(|| "*".to_owned())]
}

fn cluster_name(input: &Value) -> Option<&str> {
    input.text("clusterName").or_else(|| input.text("name"))
}

fn eks(context: &Context, call: &Call<'_>) -> Option<String> {
    if let Some(arn) = call.input.text("resourceArn") {
        return Some(arn.to_owned());
    }
    let name = ClusterName::new(cluster_name(call.input)?).ok()?;
    let own = arn::cluster(&context.region.name, &context.caller.account, &name);
    let group = call
        .input
        .text("nodegroupName")
        .and_then(|group| NodegroupName::new(group).ok());
    let known = group.and_then(|group| {
        let look = |state: &crate::ledger::State| state.nodegroups.get(&(name, group)).map(|group| group.arn.clone());
        context.region.ledger.read(look)
    });
    Some(known.unwrap_or(own))
}

fn iam(context: &Context, call: &Call<'_>) -> Option<String> {
    let account = &context.caller.account;
    if let Some((kind, name)) = EntityKind::named(call.input) {
        let known = context
            .region
            .ledger
            .read(|state| entity::find(state, kind, name).ok().map(|entity| entity.arn.clone()));
        let path = call.input.text("Path").unwrap_or("/");
        return Some(known.unwrap_or_else(|| format!("arn:aws:iam::{account}:{}{path}{name}", kind.name())));
    }
    let named = |member: &str, kind: &str| {
        let name = call.input.text(member)?;
        Some(format!("arn:aws:iam::{account}:{kind}/{name}"))
    };
    let given = ["PolicyArn", "OpenIDConnectProviderArn", "PolicySourceArn"];
    let given = given
        .iter()
        .find_map(|member| call.input.text(member))
        .map(str::to_owned);
    given
        .or_else(|| named("InstanceProfileName", "instance-profile"))
        .or_else(|| named("PolicyName", "policy"))
        // Users may leave their own name out.
        .or_else(|| {
            call.operation
                .ends_with("AccessKey")
                .then(|| context.caller.arn.clone())
        })
}

/// Members that hold an id, and the kind of resource in its ARN.
const EC2_IDS: &[(&str, &str)] = &[
    ("InstanceId", "instance"),
    ("GroupId", "security-group"),
    ("SubnetId", "subnet"),
    ("RouteTableId", "route-table"),
    ("InternetGatewayId", "internet-gateway"),
    ("NatGatewayId", "natgateway"),
    ("NetworkInterfaceId", "network-interface"),
    ("AllocationId", "elastic-ip"),
    ("LaunchTemplateId", "launch-template"),
    ("VpcId", "vpc"),
];

fn ec2(context: &Context, call: &Call<'_>) -> Option<String> {
    if call.operation.starts_with("Describe") {
        return None;
    }
    let own = |kind: &str, id: &str| {
        format!(
            "arn:aws:ec2:{}:{}:{kind}/{id}",
            context.region.name, context.caller.account
        )
    };
    if let Some(first) = call.input.texts("InstanceIds").first() {
        return Some(own("instance", first));
    }
    let (kind, id) = EC2_IDS
        .iter()
        .find_map(|(member, kind)| Some((kind, call.input.text(member)?)))?;
    Some(own(kind, id))
}

/// Tags of the resource that a call is about, where conditions use them.
pub fn tags(context: &Context, call: &Call<'_>) -> BTreeMap<String, String> {
    context.region.ledger.read(|state| match call.service {
        "eks" => {
            let name = cluster_name(call.input).and_then(|name| ClusterName::new(name).ok());
            name.and_then(|name| state.clusters.get(&name))
                .map(|cluster| cluster.tags.clone())
                .unwrap_or_default()
        }
        "iam" => {
            let named = EntityKind::named(call.input);
            named
                .and_then(|(kind, name)| entity::find(state, kind, name).ok())
                .map(|entity| entity.tags.clone())
                .unwrap_or_default()
        }
        _ => BTreeMap::new(),
    })
}
