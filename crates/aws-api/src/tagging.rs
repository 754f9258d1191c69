//! The Resource Groups Tagging API: what has tags, over all services.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, tag_list};
use crate::operations::{self, Context};

type Tags = BTreeMap<String, String>;

/// Those of EKS and EC2.
fn of_records(context: &Context, state: &State) -> Vec<(String, Tags)> {
    let (region, account) = (&context.region.name, &context.caller.account);
    let ec2 = |kind: &str, id: &str| format!("arn:aws:ec2:{region}:{account}:{kind}/{id}");
    let mut found: Vec<(String, Tags)> = Vec::new();
    found.extend(state.clusters.values().map(|one| (one.arn.clone(), one.tags.clone())));
    found.extend(state.nodegroups.values().map(|one| (one.arn.clone(), one.tags.clone())));
    found.extend(state.addons.values().map(|one| (one.arn.clone(), one.tags.clone())));
    let profiles = state.fargate_profiles.values();
    found.extend(profiles.map(|one| (one.arn.clone(), one.tags.clone())));
    found.extend(
        state
            .vpcs
            .values()
            .map(|one| (ec2("vpc", one.id.as_str()), one.tags.clone())),
    );
    let subnets = state.subnets.values();
    found.extend(subnets.map(|one| (ec2("subnet", one.id.as_str()), one.tags.clone())));
    let instances = state.instances.values();
    found.extend(instances.map(|one| (ec2("instance", one.id.as_str()), one.tags.clone())));
    let documents = state.documents.values();
    found.extend(documents.map(|one| (ec2(one.kind.facts().resource_type, &one.id), one.tags.clone())));
    found
}

/// Kinds of items that have tags.
const TAGGED: &[ItemKind] = &[
    ItemKind::LoadBalancer,
    ItemKind::TargetGroup,
    ItemKind::Listener,
    ItemKind::ListenerRule,
    ItemKind::Certificate,
    ItemKind::Key,
    ItemKind::Repository,
    ItemKind::LogGroup,
    ItemKind::EventRule,
    ItemKind::Queue,
    ItemKind::Parameter,
];

/// The ARN of an item.
fn arn_of(context: &Context, item: &Item) -> String {
    let (region, account) = (&context.region.name, &context.caller.account);
    let named = ["Arn", "repositoryArn", "logGroupArn"];
    match item.kind {
        ItemKind::Queue => format!("arn:aws:sqs:{region}:{account}:{}", item.key),
        ItemKind::Parameter => {
            let name = item.key.trim_start_matches('/');
            format!("arn:aws:ssm:{region}:{account}:parameter/{name}")
        }
        _ => {
            let found = named.iter().find_map(|member| item.body.text(member));
            found.unwrap_or(&item.key).to_owned()
        }
    }
}

/// Every resource that has tags: its ARN and these.
fn all(context: &Context, state: &State) -> Vec<(String, Tags)> {
    let items = TAGGED.iter().flat_map(|kind| catalogue::of_kind(state, *kind));
    let mut found = of_records(context, state);
    found.extend(items.map(|item| (arn_of(context, item), item.tags.clone())));
    found.retain(|(_, tags)| !tags.is_empty());
    found.sort();
    found
}

/// Whether an ARN is of a type such as `ec2:instance`, or of a service.
fn is_of(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, rest) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    match wanted.split_once(':') {
        None => service == wanted,
        Some((of, kind)) => {
            let own = rest.strip_prefix(kind);
            service == of && own.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        }
    }
}

fn paged(input: &Value, member: &str, views: Vec<Value>, most: Option<i64>) -> Result<Value, ApiError> {
    let wrong = || ApiError::bad_request("PaginationTokenExpiredException", "The pagination token is not valid.");
    let (page, next) = catalogue::page(views, input.text("PaginationToken"), most, 100, wrong)?;
    Ok(json!({member: page, "PaginationToken": next.unwrap_or_default()}))
}

/// `GetResources`.
pub async fn resources(context: Context, input: Value) -> Result<Value, ApiError> {
    let (types, arns) = (input.texts("ResourceTypeFilters"), input.texts("ResourceARNList"));
    let has = |tags: &Tags, wanted: &Value| {
        let values = wanted.texts("Values");
        tags.get(wanted.required("Key"))
            .is_some_and(|own| values.is_empty() || values.contains(&own.as_str()))
    };
    let views = context.region.ledger.read(|state| {
        let found = all(&context, state).into_iter().filter(|(arn, tags)| {
            (types.is_empty() || types.iter().any(|wanted| is_of(arn, wanted)))
                && (arns.is_empty() || arns.contains(&arn.as_str()))
                && input.list("TagFilters").iter().all(|wanted| has(tags, wanted))
        });
        found
            .map(|(arn, tags)| json!({"ResourceARN": arn, "Tags": tag_list(&tags)}))
            .collect()
    });
    paged(
        &input,
        "ResourceTagMappingList",
        views,
        input.number("ResourcesPerPage"),
    )
}

/// `GetTagKeys`.
pub async fn keys(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys: BTreeSet<String> = context.region.ledger.read(|state| {
        all(&context, state)
            .into_iter()
            .flat_map(|(_, tags)| tags.into_keys())
            .collect()
    });
    paged(&input, "TagKeys", keys.into_iter().map(Value::from).collect(), None)
}

/// `GetTagValues`.
pub async fn values(context: Context, input: Value) -> Result<Value, ApiError> {
    let key = input.required("Key");
    let values: BTreeSet<String> = context.region.ledger.read(|state| {
        all(&context, state)
            .into_iter()
            .filter_map(|(_, mut tags)| tags.remove(key))
            .collect()
    });
    paged(&input, "TagValues", values.into_iter().map(Value::from).collect(), None)
}

/// The service's own operation for tagging what an ARN names, with its input; `None` for services whose tags are not changed
/// from here.
fn own_operation(arn: &str, tags: &Value, keys: &[&str], adds: bool) -> Option<(&'static str, &'static str, Value)> {
    let service = arn.split(':').nth(2)?;
    let id = arn.rsplit(['/', ':']).next().unwrap_or_default();
    let pairs = tags.as_object().into_iter().flatten();
    let list: Vec<Value> = if adds {
        pairs.map(|(key, value)| json!({"Key": key, "Value": value})).collect()
    } else {
        keys.iter().map(|key| json!({ "Key": key })).collect()
    };
    Some(match (service, adds) {
        ("ec2", true) => ("ec2", "CreateTags", json!({"Resources": [id], "Tags": list})),
        ("ec2", false) => ("ec2", "DeleteTags", json!({"Resources": [id], "Tags": list})),
        ("eks", true) => ("eks", "TagResource", json!({"resourceArn": arn, "tags": tags})),
        ("eks", false) => ("eks", "UntagResource", json!({"resourceArn": arn, "tagKeys": keys})),
        ("elasticloadbalancing", true) => ("elbv2", "AddTags", json!({"ResourceArns": [arn], "Tags": list})),
        ("elasticloadbalancing", false) => ("elbv2", "RemoveTags", json!({"ResourceArns": [arn], "TagKeys": keys})),
        ("autoscaling", true) => (
            "autoscaling",
            "CreateOrUpdateTags",
            json!({ "Tags": of_group(id, &list) }),
        ),
        ("autoscaling", false) => ("autoscaling", "DeleteTags", json!({ "Tags": of_group(id, &list) })),
        ("logs", true) => ("logs", "TagResource", json!({"resourceArn": arn, "tags": tags})),
        ("logs", false) => ("logs", "UntagResource", json!({"resourceArn": arn, "tagKeys": keys})),
        ("ecr", true) => ("ecr", "TagResource", json!({"resourceArn": arn, "tags": list})),
        ("ecr", false) => ("ecr", "UntagResource", json!({"resourceArn": arn, "tagKeys": keys})),
        ("events", true) => ("events", "TagResource", json!({"ResourceARN": arn, "Tags": list})),
        ("events", false) => ("events", "UntagResource", json!({"ResourceARN": arn, "TagKeys": keys})),
        _ => return None,
    })
}

/// Tags as Auto Scaling takes them, each with its group.
fn of_group(name: &str, tags: &[Value]) -> Vec<Value> {
    let with_group = |tag: &Value| {
        let mut tag = tag.clone();
        tag["ResourceId"] = name.into();
        tag["ResourceType"] = "auto-scaling-group".into();
        tag
    };
    tags.iter().map(with_group).collect()
}

async fn change(context: Context, input: Value, adds: bool) -> Result<Value, ApiError> {
    let keys = input.texts("TagKeys");
    let mut failed = Map::new();
    for arn in input.texts("ResourceARNList") {
        let outcome = match own_operation(arn, &input["Tags"], &keys, adds) {
            Some((table, operation, input)) => operations::boxed(context.clone(), table, operation, input)
                .await
                .map(drop),
            None => Err(ApiError::bad_request(
                "InvalidParameterException",
                "Tags of this resource are changed by its own service",
            )),
        };
        if let Err(error) = outcome {
            failed.insert(
                arn.to_owned(),
                json!({
                    "StatusCode": error.status.as_u16(), "ErrorCode": "InvalidParameterException",
                    "ErrorMessage": format!("{}: {}", error.code, error.message),
                }),
            );
        }
    }
    Ok(json!({ "FailedResourcesMap": failed }))
}

/// `TagResources`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    change(context, input, true).await
}

/// `UntagResources`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    change(context, input, false).await
}
