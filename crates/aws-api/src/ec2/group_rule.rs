//! Rules of security groups one by one, by their ids: shown, changed, described anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::missing;
use super::security_group::{SOURCES, flat, group_id, identity, joined, rule_view, rules};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, tag_list};
use crate::operations::Context;

/// A rule's direction: the member of the group that holds it, and whether it is about what leaves.
pub const DIRECTIONS: [(&str, bool); 2] = [("IpPermissionsEgress", true), ("IpPermissions", false)];

fn not_found(id: &str) -> ApiError {
    let message = format!("The security group rule ID '{id}' does not exist");
    ApiError::bad_request("InvalidSecurityGroupRuleId.NotFound", message)
}

/// Where the rule of that id is in its group: direction and place among the single rules.
fn place(group: &Document, id: &str) -> Option<(&'static str, usize)> {
    DIRECTIONS.iter().find_map(|(member, egress)| {
        let known = flat(group.body.list(member));
        let found = known
            .iter()
            .position(|rule| rule_view(group, rule, *egress).text("SecurityGroupRuleId") == Some(id))?;
        Some((*member, found))
    })
}

/// The rules of these ids in a direction of a group.
///
/// # Errors
/// When one of them is not there.
pub fn named(group: &Document, member: &str, ids: &[&str]) -> Result<Vec<Value>, ApiError> {
    let known = flat(group.body.list(member));
    let find = |id: &&str| match place(group, id) {
        Some((found, index)) if found == member => Ok(known[index].clone()),
        _ => Err(not_found(id)),
    };
    ids.iter().map(find).collect()
}

/// Where a group keeps the tags of its rules, by their ids.
const TAGS: &str = "_RuleTags";

/// The tags of a rule.
pub fn tags(group: &Document, id: &str) -> BTreeMap<String, String> {
    group.body[TAGS].tags(id)
}

/// The tags of every tagged rule of a group, by the rule's id.
pub fn all_tags(group: &Document) -> Vec<(String, BTreeMap<String, String>)> {
    let kept = group.body[TAGS].as_object().into_iter().flatten();
    kept.map(|(id, _)| (id.clone(), tags(group, id))).collect()
}

/// Gives new rules the tags of the request that adds them.
pub fn tag(group: &mut Document, rules: &[Value], egress: bool, input: &Value) {
    let given = input.list("TagSpecifications").iter();
    let own = given.filter(|given| given.text("ResourceType") == Some("security-group-rule"));
    let tags: BTreeMap<String, String> = own.flat_map(|given| given.tags("Tags")).collect();
    if tags.is_empty() {
        return;
    }
    for rule in rules {
        let id = rule_view(group, rule, egress)["SecurityGroupRuleId"].take();
        group.body[TAGS][id.as_str().unwrap_or_default()] = tag_list(&tags);
    }
}

/// The group that has the rule of that id, with other tags of the rule.
///
/// # Errors
/// When nobody has it, or what the edit answers.
pub fn tagged(
    state: &State,
    id: &str,
    edit: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<Document, ApiError> {
    let mut groups = document::of_kind(state, Kind::SecurityGroup);
    let group = groups.find(|group| place(group, id).is_some());
    let mut group = group.cloned().ok_or_else(|| not_found(id))?;
    let mut tags = tags(&group, id);
    edit(&mut tags)?;
    group.body[TAGS][id] = tag_list(&tags);
    Ok(group)
}

/// `ModifySecurityGroupRules`: the ids stay.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("GroupId");
    let changed = document::edit(&context, &input, Kind::SecurityGroup, id, |state, group| {
        for wanted in input.list("SecurityGroupRules") {
            let id = wanted.required("SecurityGroupRuleId");
            let (member, index) = place(group, id).ok_or_else(|| not_found(id))?;
            let mut known = flat(group.body.list(member));
            let given = &wanted["SecurityGroupRule"];
            check_rule(given)?;
            if let Some(source) = given.text("ReferencedGroupId") {
                document::find(state, Kind::SecurityGroup, source)?;
            }
            known[index] = permission(&context, given)?;
            let computed = rule_view(group, &known[index], member == "IpPermissionsEgress");
            let computed = computed.required("SecurityGroupRuleId").to_owned();
            group.body["_RuleIds"][computed] = id.into();
            group.body[member] = joined(known);
        }
        Ok(json!({ "Return": true }))
    });
    let answer = changed.await?;
    context.region.secure_now().await;
    Ok(answer)
}

/// Refuses a rule that has not one source, or lacks a port.
fn check_rule(given: &Value) -> Result<(), ApiError> {
    let Some(protocol) = given.text("IpProtocol") else {
        let message = "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.";
        return Err(super::invalid(message));
    };
    let needs_ports = matches!(protocol, "tcp" | "udp" | "6" | "17");
    if needs_ports && (given.number("FromPort").is_none() || given.number("ToPort").is_none()) {
        let message = "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.";
        return Err(super::invalid(message));
    }
    let sources = ["CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId"];
    match sources.iter().filter(|member| given.text(member).is_some()).count() {
        1 => Ok(()),
        0 => {
            let message =
                "The request must contain exactly one of: cidrIp, cidrIpv6, prefixListId, or referencedGroupId";
            Err(ApiError::bad_request("MissingParameter", message))
        }
        _ => {
            let message = "Only one of cidrIp, cidrIpv6, prefixListId, or referencedGroupId can be specified";
            Err(ApiError::bad_request("InvalidParameterCombination", message))
        }
    }
}

/// A rule as requests for a change write it, as a permission with one source.
fn permission(context: &Context, given: &Value) -> Result<Value, ApiError> {
    let described = |mut entry: Value| {
        if let Some(text) = given.text("Description") {
            entry["Description"] = text.into();
        }
        entry
    };
    let mut one = json!({"IpProtocol": given.text("IpProtocol").unwrap_or("-1")});
    for port in ["FromPort", "ToPort"] {
        if let Some(number) = given.number(port).filter(|number| *number >= 0) {
            one[port] = number.into();
        }
    }
    let (source, entry) = if let Some(block) = given.text("CidrIpv4") {
        ("IpRanges", json!({ "CidrIp": block }))
    } else if let Some(block) = given.text("CidrIpv6") {
        ("Ipv6Ranges", json!({ "CidrIpv6": block }))
    } else if let Some(list) = given.text("PrefixListId") {
        ("PrefixListIds", json!({ "PrefixListId": list }))
    } else if let Some(group) = given.text("ReferencedGroupId") {
        (
            "UserIdGroupPairs",
            json!({"GroupId": group, "UserId": context.caller.account}),
        )
    } else {
        return Err(missing("CidrIpv4, CidrIpv6, PrefixListId or ReferencedGroupId"));
    };
    one[source] = json!([described(entry)]);
    Ok(one)
}

async fn describe_anew(context: Context, input: Value, member: &'static str) -> Result<Value, ApiError> {
    let id = &group_id(&context, &input)?;
    let permissions = rules(&context, &input);
    document::edit(&context, &input, Kind::SecurityGroup, id, |_, group| {
        let mut known = flat(group.body.list(member));
        for wanted in &permissions {
            let found = known.iter_mut().find(|rule| identity(rule) == identity(wanted));
            let found = found.ok_or_else(|| {
                let message = "The specified rule does not exist in this security group.";
                ApiError::bad_request("InvalidPermission.NotFound", message)
            })?;
            found.clone_from(wanted);
        }
        for wanted in input.list("SecurityGroupRuleDescriptions") {
            let id = wanted.required("SecurityGroupRuleId");
            let (_, index) = place(group, id)
                .filter(|(found, _)| *found == member)
                .ok_or_else(|| not_found(id))?;
            for source in SOURCES {
                for entry in known[index]
                    .get_mut(*source)
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    entry["Description"] = wanted.required("Description").into();
                }
            }
        }
        group.body[member] = joined(known);
        Ok(json!({ "Return": true }))
    })
    .await
}

/// `UpdateSecurityGroupRuleDescriptionsIngress`.
pub async fn describe_ingress(context: Context, input: Value) -> Result<Value, ApiError> {
    describe_anew(context, input, "IpPermissions").await
}

/// `UpdateSecurityGroupRuleDescriptionsEgress`.
pub async fn describe_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    describe_anew(context, input, "IpPermissionsEgress").await
}

/// `DescribeSecurityGroupRules`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let by_group = input.list("Filters").iter();
    let by_group = by_group.filter(|filter| filter.text("Name") == Some("group-id"));
    let malformed = by_group
        .flat_map(|filter| filter.texts("Values"))
        .find(|id| !id.starts_with("sg-") && !id.contains(['*', '?']));
    if let Some(wrong) = malformed {
        let message = format!("The security group ID '{wrong}' is malformed");
        return Err(ApiError::bad_request("InvalidGroupId.Malformed", message));
    }
    let ids = input.texts("SecurityGroupRuleIds");
    let views = context.region.ledger.read(|state| {
        let mut views = Vec::new();
        for group in document::of_kind(state, Kind::SecurityGroup) {
            for (member, egress) in DIRECTIONS {
                let rules = flat(group.body.list(member));
                views.extend(rules.iter().map(|rule| {
                    let view = rule_view(group, rule, egress);
                    let tags = view.tags("Tags");
                    (view, tags)
                }));
            }
        }
        views
    });
    let is_named = |view: &Value, id: &str| view.text("SecurityGroupRuleId") == Some(id);
    if let Some(unknown) = ids.iter().find(|id| !views.iter().any(|(view, _)| is_named(view, id))) {
        return Err(not_found(unknown));
    }
    let chosen = views
        .into_iter()
        .filter(|(view, _): &(Value, _)| ids.is_empty() || ids.iter().any(|id| is_named(view, id)));
    let filters = [
        ("group-id", "GroupId"),
        ("security-group-rule-id", "SecurityGroupRuleId"),
    ];
    document::answer(&input, "SecurityGroupRules", &filters, chosen.collect())
}
