//! Tags of anything in EC2.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::{self, Kind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

type Tags = BTreeMap<String, String>;

/// The most tags of a resource, those of AWS itself not counted.
const MOST_TAGS: usize = 50;

/// The change of one resource's tags.
fn edited(state: &State, id: &str, edit: &dyn Fn(&mut Tags) -> Result<(), ApiError>) -> Result<Change, ApiError> {
    if let Some(vpc) = state.vpcs.values().find(|vpc| vpc.id.as_str() == id) {
        let mut vpc = vpc.clone();
        edit(&mut vpc.tags)?;
        return Ok(Change::put(vpc));
    }
    if let Some(subnet) = state.subnets.values().find(|subnet| subnet.id.as_str() == id) {
        let mut subnet = subnet.clone();
        edit(&mut subnet.tags)?;
        return Ok(Change::put(subnet));
    }
    if let Some(instance) = state.instances.values().find(|instance| instance.id.as_str() == id) {
        let mut instance = instance.clone();
        edit(&mut instance.tags)?;
        return Ok(Change::put(instance));
    }
    if id.starts_with("i-") {
        super::instance::require(state, &[id])?;
        let message = format!("Tags of instance '{id}' are its managed node group's in this region");
        return Err(ApiError::bad_request("UnsupportedOperation", message));
    }
    if id.starts_with("sgr-") {
        return super::group_rule::tagged(state, id, edit).map(Change::put);
    }
    let Some(known) = state.documents.get(id) else {
        return Err(ApiError::bad_request(
            "InvalidID",
            format!("The ID '{id}' is not valid"),
        ));
    };
    let mut known = known.clone();
    edit(&mut known.tags)?;
    Ok(Change::put(known))
}

async fn change(
    context: &Context,
    input: &Value,
    edit: impl Fn(&mut Tags) -> Result<(), ApiError>,
) -> Result<Value, ApiError> {
    if input.list("Resources").is_empty() {
        return Err(super::missing("resourceIdSet"));
    }
    super::dry_run(input.flag("DryRun"))?;
    let decide = |state: &State| {
        let ids = input.texts("Resources").into_iter();
        let changes: Vec<Change> = ids
            .map(|id| edited(state, id, &edit))
            .collect::<Result<_, ApiError>>()?;
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}

/// `CreateTags`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = input.tags("Tags");
    if tags.keys().any(|key| key.starts_with("aws:")) {
        let message = "Tag keys starting with 'aws:' are reserved for internal use";
        return Err(ApiError::bad_request("InvalidParameterValue", message));
    }
    change(&context, &input, |own| {
        own.extend(tags.clone());
        let is_own = |key: &&String| !key.starts_with("aws:");
        if own.keys().filter(is_own).count() > MOST_TAGS {
            let message = "The maximum number of Tags for a resource has been reached.";
            return Err(ApiError::bad_request("TagLimitExceeded", message));
        }
        Ok(())
    })
    .await
}

/// `DeleteTags`: a tag that is named with a value goes only if it has that value.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let goes = |key: &String, value: &String| {
        input
            .list("Tags")
            .iter()
            .any(|tag| tag.text("Key") == Some(key) && tag.text("Value").is_none_or(|wanted| wanted == value))
    };
    let all = input.list("Tags").is_empty();
    change(&context, &input, |own| {
        own.retain(|key, value| !all && !goes(key, value));
        Ok(())
    })
    .await
}

/// `DescribeTags`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let views = context.region.ledger.read(|state| {
        let vpcs = state.vpcs.values().map(|vpc| (vpc.id.to_string(), "vpc", &vpc.tags));
        let subnets = state
            .subnets
            .values()
            .map(|subnet| (subnet.id.to_string(), "subnet", &subnet.tags));
        let documents = state
            .documents
            .values()
            .map(|known| (known.id.clone(), known.kind.facts().resource_type, &known.tags));
        let instances = state
            .instances
            .values()
            .map(|instance| (instance.id.to_string(), "instance", &instance.tags));
        let all = vpcs.chain(subnets).chain(documents).chain(instances);
        let rules = document::of_kind(state, Kind::SecurityGroup).flat_map(super::group_rule::all_tags);
        let all = all.map(|(id, kind, tags)| (id, kind, tags.clone()));
        let all = all.chain(rules.map(|(id, tags)| (id, "security-group-rule", tags)));
        all.flat_map(|(id, kind, tags)| {
            tags.into_iter().map(move |(key, value)| {
                (
                    json!({"ResourceId": id, "ResourceType": kind, "Key": key, "Value": value}),
                    Tags::from([(key.clone(), value.clone())]),
                )
            })
        })
        .collect()
    });
    let filters = [
        ("resource-id", "ResourceId"),
        ("resource-type", "ResourceType"),
        ("key", "Key"),
        ("value", "Value"),
    ];
    document::answer(&input, "Tags", &filters, views)
}
