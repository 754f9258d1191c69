//! Security groups and their rules. What they mean for packets is [`crate::security`]'s.

use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{group_rule, invalid, vpc};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, tag_list};
use crate::operations::Context;

/// A group of a VPC, from which everything may leave.
pub fn new(context: &Context, input: &Value, vpc_id: &str, name: &str, description: &str) -> Document {
    let everything = json!({
        "IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": [],
    });
    let body = json!({
        "GroupName": name, "Description": description, "VpcId": vpc_id, "OwnerId": context.caller.account,
        "IpPermissions": [], "IpPermissionsEgress": [everything],
    });
    Document::new(context, Kind::SecurityGroup, input, body)
}

/// The group that every VPC has.
pub fn default_group(context: &Context, vpc_id: &str) -> Document {
    let mut group = new(context, &json!({}), vpc_id, "default", "default VPC security group");
    trust_itself(&mut group, context.caller.account.as_str());
    group
}

/// Everything from the group itself may come in.
pub fn trust_itself(group: &mut Document, owner: &str) {
    let id = group.id.clone();
    group.body["IpPermissions"] = json!([{
        "IpProtocol": "-1", "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [],
        "UserIdGroupPairs": [{"GroupId": id, "UserId": owner}],
    }]);
}

/// `CreateSecurityGroup`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("GroupName");
    let default = || {
        let own = |state: &State| {
            state
                .vpcs
                .values()
                .find(|vpc| vpc.is_default)
                .map(|vpc| vpc.id.to_string())
        };
        context.region.ledger.read(own)
    };
    let vpc_id = input.text("VpcId").map(str::to_owned).or_else(default);
    let vpc_id = vpc_id.ok_or_else(|| {
        ApiError::bad_request(
            "VPCIdNotSpecified",
            "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.",
        )
    })?;
    let vpc_id = vpc_id.as_str();
    if input.required("Description").is_empty() {
        return Err(super::missing("GroupDescription"));
    }
    if name.starts_with("sg-") {
        return Err(invalid(
            "Value (sg-) for parameter GroupName is invalid. Group names may not be in the format sg-*",
        ));
    }
    let made = new(&context, &input, vpc_id, name, input.required("Description"));
    let (id, tags) = (made.id.clone(), crate::members::tag_list(&made.tags));
    document::create(&context, &input, made, "SecurityGroup", |state| {
        vpc::find(state, vpc_id)?;
        let taken = document::of_kind(state, Kind::SecurityGroup)
            .any(|known| known.body.text("VpcId") == Some(vpc_id) && known.body.text("GroupName") == Some(name));
        if taken {
            let message = format!("The security group '{name}' already exists for VPC '{vpc_id}'");
            return Err(ApiError::bad_request("InvalidGroup.Duplicate", message));
        }
        Ok(())
    })
    .await?;
    let arn = format!(
        "arn:aws:ec2:{}:{}:security-group/{id}",
        context.region.name, context.caller.account
    );
    Ok(json!({"GroupId": id, "Tags": tags, "SecurityGroupArn": arn}))
}

/// `DescribeSecurityGroups`.
pub async fn describe(context: Context, mut input: Value) -> Result<Value, ApiError> {
    let names: Vec<Value> = input.list("GroupNames").to_vec();
    if !names.is_empty() {
        let is_known = |state: &State, name: &str| {
            document::of_kind(state, Kind::SecurityGroup).any(|group| group.body.text("GroupName") == Some(name))
        };
        let unknown = context.region.ledger.read(|state| {
            let mut wanted = names.iter().filter_map(Value::as_str);
            wanted.find(|name| !is_known(state, name)).map(str::to_owned)
        });
        if let Some(name) = unknown {
            return Err(Kind::SecurityGroup.not_found(&name));
        }
        let mut filters = input.list("Filters").to_vec();
        filters.push(json!({"Name": "group-name", "Values": names}));
        input["Filters"] = filters.into();
    }
    document::describe(&context, &input, Kind::SecurityGroup)
}

/// `DeleteSecurityGroup`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = &group_id(&context, &input)?;
    document::remove(&context, &input, Kind::SecurityGroup, id, |state, group| {
        if group.body.text("GroupName") == Some("default") {
            let message = "the specified group: \"default\" name: \"default\" cannot be deleted by a user";
            return Err(ApiError::bad_request("CannotDelete", message));
        }
        if is_used(state, id) {
            return Err(ApiError::bad_request(
                "DependencyViolation",
                format!("resource {id} has a dependent object"),
            ));
        }
        Ok(())
    })
    .await?;
    Ok(json!({"Return": true, "GroupId": id}))
}

/// By a cluster, an instance, or a rule of another group.
fn is_used(state: &State, id: &str) -> bool {
    let has = |groups: &[String]| groups.iter().any(|own| own == id);
    let mut own = state.instances.values().filter(|one| one.has_addresses());
    let mut managed = state.nodegroups.values().flat_map(|group| &group.instances);
    if own.any(|one| has(&one.groups)) || managed.any(|one| has(&one.security_groups)) {
        return true;
    }
    let by_cluster = state
        .clusters
        .values()
        .any(|cluster| cluster.network.cluster_security_group_id == id || has(&cluster.network.security_group_ids));
    let mut remote = state
        .nodegroups
        .values()
        .filter_map(|group| group.remote_access.as_ref());
    let mut others = document::of_kind(state, Kind::SecurityGroup).filter(|group| group.id != id);
    by_cluster
        || remote.any(|access| access.group == id)
        || others.any(|group| {
            let permissions = group
                .body
                .list("IpPermissions")
                .iter()
                .chain(group.body.list("IpPermissionsEgress"));
            permissions
                .flat_map(|permission| permission.list("UserIdGroupPairs"))
                .any(|pair| pair.text("GroupId") == Some(id))
        })
}

/// Members of a permission that list sources.
pub const SOURCES: &[&str] = &["IpRanges", "Ipv6Ranges", "PrefixListIds", "UserIdGroupPairs"];

/// The permissions that a request names, each with one source, so that rules are compared one by one.
pub fn rules(context: &Context, input: &Value) -> Vec<Value> {
    let mut permissions = input.list("IpPermissions").to_vec();
    if let Some(protocol) = input.text("IpProtocol") {
        let mut one = json!({"IpProtocol": protocol, "FromPort": input.get("FromPort"), "ToPort": input.get("ToPort")});
        if let Some(block) = input.text("CidrIp") {
            one["IpRanges"] = json!([{ "CidrIp": block }]);
        }
        if let Some(group) = input.text("SourceSecurityGroupId") {
            one["UserIdGroupPairs"] = json!([{ "GroupId": group }]);
        }
        permissions.push(one);
    }
    let mut rules = Vec::new();
    for permission in permissions {
        for source in SOURCES {
            for entry in permission.list(source) {
                let mut entry = entry.clone();
                if *source == "UserIdGroupPairs" && entry.get("UserId").is_none() {
                    entry["UserId"] = context.caller.account.as_str().into();
                }
                let mut rule = json!({"IpProtocol": permission.text("IpProtocol").unwrap_or("-1"), *source: [entry]});
                for port in ["FromPort", "ToPort"] {
                    // All protocols have no ports.
                    if let Some(value) = permission
                        .get(port)
                        .filter(|value| !value.is_null() && permission.text("IpProtocol") != Some("-1"))
                    {
                        rule[port] = value.clone();
                    }
                }
                rules.push(rule);
            }
        }
    }
    rules
}

/// What makes two rules the same: everything but the description.
pub fn identity(rule: &Value) -> Value {
    let mut rule = rule.clone();
    for source in SOURCES {
        if let Some(entries) = rule.get_mut(source).and_then(Value::as_array_mut) {
            for entry in entries {
                if let Some(members) = entry.as_object_mut() {
                    members.remove("Description");
                }
            }
        }
    }
    rule
}

/// Permissions one source each.
pub fn flat(permissions: &[Value]) -> Vec<Value> {
    let mut rules = Vec::new();
    for permission in permissions {
        for source in SOURCES {
            for entry in permission.list(source) {
                let mut rule = permission.clone();
                if let Some(members) = rule.as_object_mut() {
                    members.retain(|name, _| !SOURCES.contains(&name.as_str()));
                }
                rule[*source] = json!([entry]);
                rules.push(rule);
            }
        }
    }
    rules
}

/// Rules of the same protocol and ports together, as answers list them.
pub fn joined(rules: Vec<Value>) -> Value {
    let mut permissions: Vec<Value> = Vec::new();
    for rule in rules {
        let same = |known: &&mut Value| {
            ["IpProtocol", "FromPort", "ToPort"]
                .iter()
                .all(|member| known.get(member) == rule.get(member))
        };
        let place = match permissions.iter_mut().find(same) {
            Some(place) => place,
            None => {
                let mut empty = rule.clone();
                SOURCES.iter().for_each(|source| empty[*source] = json!([]));
                permissions.push(empty);
                let last = permissions.len() - 1;
                &mut permissions[last]
            }
        };
        for source in SOURCES {
            let more = rule.list(source).to_vec();
            if let Some(list) = place[*source].as_array_mut() {
                list.extend(more);
            }
        }
    }
    permissions.into()
}

/// The group that a request names by id, or, in the default VPC, by name.
///
/// # Errors
/// When there is none.
pub fn group_id(context: &Context, input: &Value) -> Result<String, ApiError> {
    if let Some(id) = input.text("GroupId") {
        return context
            .region
            .ledger
            .read(|state| document::find(state, Kind::SecurityGroup, id).map(|group| group.id.clone()));
    }
    let Some(name) = input.text("GroupName") else {
        return Err(super::missing("GroupId"));
    };
    context.region.ledger.read(|state| {
        let is_default = |id: &str| state.vpcs.values().any(|vpc| vpc.is_default && vpc.id.as_str() == id);
        let mut groups = document::of_kind(state, Kind::SecurityGroup);
        let found =
            groups.find(|group| group.body.text("GroupName") == Some(name) && is_default(group.body.required("VpcId")));
        found
            .map(|group| group.id.clone())
            .ok_or_else(|| Kind::SecurityGroup.not_found(name))
    })
}

async fn change(context: &Context, input: &Value, member: &str, add: bool) -> Result<Value, ApiError> {
    let id = group_id(context, input)?;
    let given = rules(context, input);
    let ids = input.texts("SecurityGroupRuleIds");
    if given.is_empty() && (add || ids.is_empty()) {
        return Err(super::missing("ipPermissions"));
    }
    given.iter().filter(|_| add).try_for_each(check_ranges)?;
    let egress = member == "IpPermissionsEgress";
    let changed = document::edit(context, input, Kind::SecurityGroup, &id, |state, group| {
        let mut wanted = given;
        wanted.extend(group_rule::named(group, member, &ids)?);
        let mut known = flat(group.body.list(member));
        if add && known.len() + wanted.len() > MOST_RULES {
            let message = "The maximum number of rules per security group has been reached.";
            return Err(ApiError::bad_request("RulesPerSecurityGroupLimitExceeded", message));
        }
        for rule in &wanted {
            let source = rule
                .list("UserIdGroupPairs")
                .first()
                .and_then(|pair| pair.text("GroupId"));
            if let Some(source) = source {
                document::find(state, Kind::SecurityGroup, source)?;
            }
            let place = known.iter().position(|other| identity(other) == identity(rule));
            match (add, place) {
                (true, None) => known.push(rule.clone()),
                (true, Some(_)) => {
                    let message = format!("the specified rule \"{rule}\" already exists");
                    return Err(ApiError::bad_request("InvalidPermission.Duplicate", message));
                }
                (false, Some(place)) => drop(known.remove(place)),
                (false, None) => {
                    let message = "The specified rule does not exist in this security group.";
                    return Err(ApiError::bad_request("InvalidPermission.NotFound", message));
                }
            }
        }
        if add {
            group_rule::tag(group, &wanted, egress, input);
        }
        group.body[member] = joined(known);
        let views: Vec<Value> = wanted.iter().map(|rule| rule_view(group, rule, egress)).collect();
        Ok(if add {
            json!({"Return": true, "SecurityGroupRules": views})
        } else {
            json!({ "Return": true })
        })
    });
    let answer = changed.await?;
    context.region.secure_now().await;
    Ok(answer)
}

/// The most rules of a group in one direction (quota L-0EA8095F).
const MOST_RULES: usize = 60;

/// Refuses ranges that are none.
fn check_ranges(rule: &Value) -> Result<(), ApiError> {
    let four = rule.list("IpRanges").iter().filter_map(|range| range.text("CidrIp"));
    let six = rule
        .list("Ipv6Ranges")
        .iter()
        .filter_map(|range| range.text("CidrIpv6"));
    let is_range = |text: &str| text.contains('/') && text.parse::<ipnet::IpNet>().is_ok();
    match four.chain(six).find(|text| !is_range(text)) {
        Some(wrong) => Err(invalid(format!("CIDR block {wrong} is malformed"))),
        None => Ok(()),
    }
}

/// What tells a rule from others, the same in whichever order its members are.
fn parts(rule: &Value) -> String {
    let plain = ["IpProtocol", "FromPort", "ToPort"].map(|member| rule[member].to_string());
    let entries = SOURCES.iter().flat_map(|source| rule.list(source));
    let named = entries.flat_map(|entry| {
        ["CidrIp", "CidrIpv6", "PrefixListId", "GroupId"]
            .iter()
            .filter_map(|member| entry.text(member))
    });
    let named: Vec<&str> = named.collect();
    format!("{} {}", plain.join(" "), named.join(" "))
}

/// A rule's id is the same for the same rule.
pub fn rule_view(group: &Document, rule: &Value, egress: bool) -> Value {
    let text = format!("{}{egress}{}", group.id, parts(rule));
    let id = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let first = |source: &str| rule.list(source).first().cloned().unwrap_or_default();
    let pair = first("UserIdGroupPairs");
    let described = SOURCES
        .iter()
        .find_map(|source| first(source).text("Description").map(str::to_owned));
    // A rule that was changed keeps the id that it had.
    let computed = format!("sgr-{id:017x}");
    let id = group.body["_RuleIds"].text(&computed).unwrap_or(&computed);
    let mut view = json!({
        "SecurityGroupRuleId": id, "GroupId": group.id, "GroupOwnerId": group.body["OwnerId"],
        "IsEgress": egress, "IpProtocol": rule["IpProtocol"], "FromPort": rule.number("FromPort").unwrap_or(-1),
        "ToPort": rule.number("ToPort").unwrap_or(-1), "CidrIpv4": first("IpRanges").text("CidrIp"),
        "CidrIpv6": first("Ipv6Ranges").text("CidrIpv6"), "Description": described,
        "PrefixListId": first("PrefixListIds").text("PrefixListId"), "Tags": tag_list(&group_rule::tags(group, id)),
    });
    if let Some(source) = pair.text("GroupId") {
        view["ReferencedGroupInfo"] = json!({"GroupId": source, "UserId": pair.text("UserId")});
    }
    view
}

/// `AuthorizeSecurityGroupIngress`.
pub async fn authorize_ingress(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, "IpPermissions", true).await
}

/// `AuthorizeSecurityGroupEgress`.
pub async fn authorize_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, "IpPermissionsEgress", true).await
}

/// `RevokeSecurityGroupIngress`.
pub async fn revoke_ingress(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, "IpPermissions", false).await
}

/// `RevokeSecurityGroupEgress`.
pub async fn revoke_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, "IpPermissionsEgress", false).await
}
