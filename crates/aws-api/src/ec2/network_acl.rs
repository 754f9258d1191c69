//! Network ACLs: kept and shown; within a VPC here all traffic passes. A VPC's default ACL is there without being written down,
//! until it is changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, invalid, subnet, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::network::Vpc;
use crate::operations::Context;

/// Subnets of an ACL that is not the default one, by subnet, with the association's id.
const SUBNETS: &str = "_Subnets";
/// The number of the entry that every ACL ends with.
const LAST: i64 = 32767;

fn entry(number: i64, action: &str, egress: bool) -> Value {
    json!({"RuleNumber": number, "Protocol": "-1", "RuleAction": action, "Egress": egress, "CidrBlock": "0.0.0.0/0"})
}

fn body(vpc: &str, owner: &str, is_default: bool) -> Value {
    let mut entries = vec![entry(LAST, "deny", true), entry(LAST, "deny", false)];
    if is_default {
        entries.extend([entry(100, "allow", true), entry(100, "allow", false)]);
    }
    json!({"VpcId": vpc, "OwnerId": owner, "IsDefault": is_default, "Entries": entries, SUBNETS: {}})
}

fn default_of(state: &State, context: &Context, vpc: &Vpc) -> Document {
    let id = vpc.id.as_str().replacen("vpc-", "acl-", 1);
    state.documents.get(&id).cloned().unwrap_or_else(|| Document {
        kind: Kind::NetworkAcl,
        body: body(vpc.id.as_str(), context.caller.account.as_str(), true),
        tags: BTreeMap::new(),
        id,
    })
}

/// Every ACL, default ones included.
fn all(state: &State, context: &Context) -> Vec<Document> {
    let defaults = state.vpcs.values().map(|vpc| default_of(state, context, vpc));
    let others = document::of_kind(state, Kind::NetworkAcl).filter(|acl| acl.body.flag("IsDefault") != Some(true));
    defaults.chain(others.cloned()).collect()
}

fn find(state: &State, context: &Context, id: &str) -> Result<Document, ApiError> {
    let found = all(state, context).into_iter().find(|acl| acl.id == id);
    found.ok_or_else(|| Kind::NetworkAcl.not_found(id))
}

/// The subnets of an ACL with the ids of their associations.
fn associations(state: &State, acl: &Document) -> Vec<(String, String)> {
    let own = acl.body[SUBNETS].as_object().into_iter().flatten();
    let own = own.filter_map(|(subnet, id)| Some((subnet.clone(), id.as_str()?.to_owned())));
    if acl.body.flag("IsDefault") != Some(true) {
        return own.collect();
    }
    let elsewhere = |id: &str| {
        document::of_kind(state, Kind::NetworkAcl)
            .any(|other| other.id != acl.id && other.body[SUBNETS].get(id).is_some())
    };
    let chosen: BTreeMap<String, String> = own.collect();
    let subnets = state
        .subnets
        .values()
        .filter(|subnet| Some(subnet.vpc.as_str()) == acl.body.text("VpcId"));
    subnets
        .filter(|subnet| !elsewhere(subnet.id.as_str()))
        .map(|subnet| {
            let usual = || subnet.id.as_str().replacen("subnet-", "aclassoc-", 1);
            (
                subnet.id.to_string(),
                chosen.get(subnet.id.as_str()).cloned().unwrap_or_else(usual),
            )
        })
        .collect()
}

fn view(state: &State, acl: &Document) -> Value {
    let mut view = acl.view();
    let shown = associations(state, acl).into_iter();
    view["Associations"] = shown
        .map(|(subnet, id)| json!({"NetworkAclAssociationId": id, "NetworkAclId": acl.id, "SubnetId": subnet}))
        .collect();
    view
}

/// `CreateNetworkAcl`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let vpc_id = input.required("VpcId");
    let made = Document::new(
        &context,
        Kind::NetworkAcl,
        &input,
        body(vpc_id, context.caller.account.as_str(), false),
    );
    let mut shown = made.view();
    shown["Associations"] = json!([]);
    document::create(&context, &input, made, "NetworkAcl", |state| {
        vpc::find(state, vpc_id).map(drop)
    })
    .await?;
    Ok(json!({ "NetworkAcl": shown }))
}

const FILTERS: &[(&str, &str)] = &[
    ("association.association-id", "Associations[].NetworkAclAssociationId"),
    ("association.network-acl-id", "Associations[].NetworkAclId"),
    ("association.subnet-id", "Associations[].SubnetId"),
    ("default", "IsDefault"),
    ("entry.cidr", "Entries[].CidrBlock"),
    ("entry.protocol", "Entries[].Protocol"),
    ("entry.rule-action", "Entries[].RuleAction"),
    ("entry.egress", "Entries[].Egress"),
    ("entry.rule-number", "Entries[].RuleNumber"),
    ("network-acl-id", "NetworkAclId"),
    ("owner-id", "OwnerId"),
    ("vpc-id", "VpcId"),
];

/// `DescribeNetworkAcls`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("NetworkAclIds");
    let views = context.region.ledger.read(|state| {
        for id in &ids {
            find(state, &context, id)?;
        }
        let chosen = all(state, &context)
            .into_iter()
            .filter(|acl| ids.is_empty() || ids.contains(&acl.id.as_str()));
        Ok::<_, ApiError>(chosen.map(|acl| (view(state, &acl), acl.tags.clone())).collect())
    })?;
    document::answer(&input, "NetworkAcls", FILTERS, views)
}

/// `DeleteNetworkAcl`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("NetworkAclId");
    let decide = |state: &State| {
        let acl = find(state, &context, id)?;
        if acl.body.flag("IsDefault") == Some(true) {
            let message = format!("cannot delete default network ACL {id}");
            return Err(ApiError::bad_request("InvalidParameterValue", message));
        }
        if !associations(state, &acl).is_empty() {
            return Err(document::in_use("networkAcl", id));
        }
        Ok((nothing(), vec![Change::remove::<Document>(id.to_owned())]))
    };
    context.region.ledger.change(decide).await
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Vec<Value>) -> Result<(), ApiError>,
) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let decide = |state: &State| {
        let mut acl = find(state, context, input.required("NetworkAclId"))?;
        let mut entries = acl.body.list("Entries").to_vec();
        change(&mut entries)?;
        entries.sort_by_key(|entry| (entry.number("RuleNumber"), entry.flag("Egress")));
        acl.body["Entries"] = entries.into();
        Ok((nothing(), vec![Change::put(acl)]))
    };
    context.region.ledger.change(decide).await
}

fn is_same(entry: &Value, input: &Value) -> bool {
    entry.number("RuleNumber") == input.number("RuleNumber") && entry.flag("Egress") == input.flag("Egress")
}

fn given(input: &Value) -> Result<Value, ApiError> {
    let number = input.number("RuleNumber").unwrap_or(0);
    if !(1..LAST).contains(&number) {
        return Err(invalid(format!(
            "Value ({number}) for parameter ruleNumber is invalid. Rule numbers are between 1 and 32766."
        )));
    }
    let mut entry = json!({});
    for member in [
        "RuleNumber",
        "Protocol",
        "RuleAction",
        "Egress",
        "CidrBlock",
        "Ipv6CidrBlock",
        "PortRange",
    ] {
        if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
            entry[member] = value.clone();
        }
    }
    if let Some(icmp) = input.get("IcmpTypeCode").filter(|value| !value.is_null()) {
        entry["IcmpTypeCode"] = icmp.clone();
    }
    Ok(entry)
}

/// `CreateNetworkAclEntry`.
pub async fn create_entry(context: Context, input: Value) -> Result<Value, ApiError> {
    let made = given(&input)?;
    edit(&context, &input, |entries| {
        if entries.iter().any(|entry| is_same(entry, &input)) {
            let message = format!(
                "The network acl entry identified by {} already exists.",
                made["RuleNumber"]
            );
            return Err(ApiError::bad_request("NetworkAclEntryAlreadyExists", message));
        }
        entries.push(made);
        Ok(())
    })
    .await
}

fn no_entry(input: &Value) -> ApiError {
    let message = format!(
        "The specified network acl entry {} does not exist.",
        input.number("RuleNumber").unwrap_or(0)
    );
    ApiError::bad_request("InvalidNetworkAclEntry.NotFound", message)
}

/// `ReplaceNetworkAclEntry`.
pub async fn replace_entry(context: Context, input: Value) -> Result<Value, ApiError> {
    let made = given(&input)?;
    edit(&context, &input, |entries| {
        let place = entries.iter_mut().find(|entry| is_same(entry, &input));
        *place.ok_or_else(|| no_entry(&input))? = made;
        Ok(())
    })
    .await
}

/// `DeleteNetworkAclEntry`.
pub async fn delete_entry(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |entries| {
        let place = entries.iter().position(|entry| is_same(entry, &input));
        entries.remove(place.ok_or_else(|| no_entry(&input))?);
        Ok(())
    })
    .await
}

/// `ReplaceNetworkAclAssociation`.
pub async fn replace_association(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let (id, wanted) = (input.required("AssociationId"), input.required("NetworkAclId"));
    let new = context.region.id("aclassoc-");
    let decide = |state: &State| {
        let found = all(state, &context).into_iter().find_map(|acl| {
            let own = associations(state, &acl).into_iter().find(|(_, known)| known == id);
            own.map(|(subnet, _)| (acl, subnet))
        });
        let (mut before, subnet_id) = found.ok_or_else(|| {
            let message = format!("The association ID '{id}' does not exist");
            ApiError::bad_request("InvalidAssociationID.NotFound", message)
        })?;
        let mut after = find(state, &context, wanted)?;
        let subnet = subnet::find(state, &subnet_id)?;
        if after.body.text("VpcId") != Some(subnet.vpc.as_str()) {
            return Err(invalid(format!(
                "Network ACL {wanted} and subnet {subnet_id} belong to different networks"
            )));
        }
        let answer = json!({ "NewAssociationId": new });
        if before.id == after.id {
            after.body[SUBNETS][&subnet_id] = new.as_str().into();
            return Ok((answer, vec![Change::put(after)]));
        }
        if let Some(own) = before.body[SUBNETS].as_object_mut() {
            own.remove(&subnet_id);
        }
        after.body[SUBNETS][&subnet_id] = new.as_str().into();
        Ok((answer, vec![Change::put(before), Change::put(after)]))
    };
    context.region.ledger.change(decide).await
}
