//! Resources as they are, in the words of templates: what drift is told from.

use serde_json::{Value, json};

use crate::catalogue::{self, ItemKind};
use crate::ec2::document::Document;
use crate::iam::entity::{self, EntityKind};
use crate::ledger::State;
use crate::members::{Members, tag_list};

/// Tags of a user's; CloudFormation's own are not the template's.
fn own_tags(tags: &std::collections::BTreeMap<String, String>) -> Value {
    let own = tags.iter().filter(|(key, _)| !key.starts_with("aws:"));
    tag_list(&own.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A policy document as a value, however it is written.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// A template's value in the form in which it is read back.
pub fn normal(member: &str, value: &Value) -> Value {
    match (member, value) {
        ("AssumeRolePolicyDocument" | "PolicyDocument", Value::String(text)) => document(text),
        ("MapPublicIpOnLaunch" | "VisibilityTimeout" | "RetentionInDays", value) => {
            json!(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        _ => value.clone(),
    }
}

/// The properties of a resource that can be read; the outer `None` for a type that cannot be, the inner one for a resource that is gone.
pub fn properties(state: &State, kind: &str, physical: &str) -> Option<Option<Value>> {
    match kind {
        "AWS::EC2::VPC" => {
            let vpc = state.vpcs.values().find(|vpc| vpc.id.as_str() == physical);
            Some(vpc.map(|vpc| json!({"CidrBlock": vpc.cidr, "Tags": own_tags(&vpc.tags)})))
        }
        "AWS::EC2::Subnet" => {
            let subnet = state.subnets.values().find(|subnet| subnet.id.as_str() == physical);
            Some(subnet.map(|subnet| {
                json!({
                    "CidrBlock": subnet.cidr, "AvailabilityZone": subnet.zone, "VpcId": subnet.vpc,
                    "MapPublicIpOnLaunch": subnet.map_public_ip.unwrap_or(false).to_string(), "Tags": own_tags(&subnet.tags),
                })
            }))
        }
        "AWS::EC2::SecurityGroup" => Some(found(state, physical).map(|group| {
            json!({
                "GroupDescription": group.body["Description"], "GroupName": group.body["GroupName"], "VpcId": group.body["VpcId"],
                "Tags": own_tags(&group.tags),
            })
        })),
        "AWS::EC2::InternetGateway" | "AWS::EC2::RouteTable" => {
            Some(found(state, physical).map(|known| json!({ "Tags": own_tags(&known.tags) })))
        }
        "AWS::IAM::Role" => Some(entity::find(state, EntityKind::Role, physical).ok().map(role)),
        "AWS::IAM::ManagedPolicy" => {
            let policy = state.policies.get(physical);
            Some(policy.map(|policy| {
                let text = policy.versions.get(&policy.default).map(|version| version.document.as_str());
                json!({"PolicyDocument": document(text.unwrap_or_default()), "Path": policy.path})
            }))
        }
        "AWS::SQS::Queue" | "AWS::SSM::Parameter" | "AWS::Logs::LogGroup" => Some(item(state, kind, physical)),
        "AWS::AutoScaling::AutoScalingGroup" => Some(state.groups.get(physical).map(|group| {
            json!({"MinSize": group.min, "MaxSize": group.max, "DesiredCapacity": group.desired})
        })),
        "AWS::EKS::Nodegroup" => {
            let (cluster, name) = physical.split_once('/')?;
            let mut groups = state.nodegroups.values();
            let group = groups.find(|group| group.cluster.as_str() == cluster && group.name.as_str() == name);
            Some(group.map(|group| {
                let scaling = group.scaling;
                json!({
                    "ScalingConfig": {"MinSize": scaling.min, "MaxSize": scaling.max, "DesiredSize": scaling.desired},
                    "Labels": group.labels, "NodeRole": group.node_role, "InstanceTypes": group.instance_types,
                })
            }))
        }
        _ => None,
    }
}

fn found<'a>(state: &'a State, id: &str) -> Option<&'a Document> {
    state.documents.get(id)
}

fn role(role: &entity::Entity) -> Value {
    json!({
        "AssumeRolePolicyDocument": document(role.trust.as_deref().unwrap_or_default()), "ManagedPolicyArns": role.attached,
        "Description": role.description, "MaxSessionDuration": role.max_session, "Path": role.path, "RoleName": role.name,
        "Policies": role.inline.iter()
            .map(|(name, text)| json!({"PolicyName": name, "PolicyDocument": document(text)}))
            .collect::<Vec<_>>(),
        "Tags": own_tags(&role.tags),
    })
}

fn item(state: &State, kind: &str, physical: &str) -> Option<Value> {
    match kind {
        "AWS::SQS::Queue" => {
            let name = physical.rsplit('/').next().unwrap_or_default();
            let queue = catalogue::find(state, ItemKind::Queue, name)?;
            let timeout = queue.body["Attributes"].get("VisibilityTimeout").cloned();
            Some(json!({"QueueName": name, "VisibilityTimeout": timeout.unwrap_or_else(|| json!("30"))}))
        }
        "AWS::SSM::Parameter" => {
            let known = catalogue::find(state, ItemKind::Parameter, physical)?;
            let newest = known.body.list("Versions").last().cloned().unwrap_or_default();
            Some(json!({"Name": physical, "Value": newest["Value"], "Type": newest["Type"]}))
        }
        _ => {
            let known = catalogue::find(state, ItemKind::LogGroup, physical)?;
            let days = known.body.number("retentionInDays").map(|days| days.to_string());
            Some(json!({"LogGroupName": physical, "RetentionInDays": days}))
        }
    }
}
