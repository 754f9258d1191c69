//! Queues, rules, log groups, parameters, keys and repositories of templates.

use aws_types::shapes::{self, Kind, Service, Shape};
use serde_json::{Map, Value, json};

use super::{Updated, Wanted, unsupported};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;

/// Types that are made here.
pub const KINDS: &[&str] = &[
    "AWS::ECR::Repository",
    "AWS::Events::Rule",
    "AWS::KMS::Alias",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter",
];

/// A value as a shape of the model wants it: templates write numbers and flags as texts, and texts as numbers.
fn fitted(service: &Service, shape: &Shape, value: &Value) -> Value {
    match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => {
            let known = members.iter().filter_map(|(name, value)| {
                let (_, member) = shape.members.0.iter().find(|(known, _)| **known == **name)?;
                Some((name.clone(), fitted(service, service.shape(&member.shape), value)))
            });
            Value::Object(known.collect())
        }
        (Kind::List, Value::Array(items)) => match &shape.member {
            Some(member) => items
                .iter()
                .map(|item| fitted(service, service.shape(&member.shape), item))
                .collect(),
            None => value.clone(),
        },
        (Kind::Map, Value::Object(entries)) => match &shape.value {
            Some(member) => {
                let entry = |(key, value): (&String, &Value)| {
                    (key.clone(), fitted(service, service.shape(&member.shape), value))
                };
                Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
            }
            None => value.clone(),
        },
        (Kind::Integer | Kind::Long, Value::String(text)) => {
            text.parse::<i64>().map_or_else(|_text| value.clone(), Value::from)
        }
        (Kind::Boolean, Value::String(text)) => text.parse::<bool>().map_or_else(|_text| value.clone(), Value::from),
        (Kind::String, Value::Number(number)) => number.to_string().into(),
        (Kind::String, Value::Bool(flag)) => flag.to_string().into(),
        _ => value.clone(),
    }
}

/// The members of an operation's request that the properties have, as the model wants them.
pub fn request(table: &str, operation: &str, properties: &Value) -> Value {
    let service = shapes::service(table);
    let shape = service.and_then(|service| Some((service, service.operations.get(operation)?.input.as_deref()?)));
    shape.map_or_else(
        || json!({}),
        |(service, shape)| fitted(service, service.shape(shape), properties),
    )
}

/// A call that may find what an earlier process made.
///
/// # Errors
/// What it answered, unless it is that.
pub fn made_before(result: Result<Value, ApiError>, code: &str) -> Result<(), ApiError> {
    match result {
        Err(error) if error.code == code => Ok(()),
        other => other.map(drop),
    }
}

/// A document: templates write it as a map, or as text.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn pairs(tags: &[Value]) -> Value {
    let pair = |tag: &Value| Some((tag.text("Key")?.to_owned(), Value::from(tag.required("Value"))));
    Value::Object(tags.iter().filter_map(pair).collect())
}

/// Tags without those that services keep for AWS.
fn own_tags(wanted: &Wanted<'_>) -> Vec<Value> {
    let mut tags = wanted.all_tags();
    tags.retain(|tag| !tag.required("Key").starts_with("aws:"));
    tags
}

/// The attributes of a queue that a template sets, as texts.
fn queue_attributes(properties: &Value) -> Value {
    let members = properties.as_object().into_iter().flatten();
    let attributes = members.filter(|(name, _)| !matches!(name.as_str(), "QueueName" | "Tags"));
    Value::Object(
        attributes
            .map(|(name, value)| (name.clone(), text_of(value).into()))
            .collect(),
    )
}

/// Makes one.
///
/// # Errors
/// What its service answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    match wanted.kind {
        "AWS::SQS::Queue" => {
            let attributes = queue_attributes(properties);
            let input = json!({"QueueName": wanted.name("QueueName", 80), "Attributes": attributes, "tags": pairs(&own_tags(wanted))});
            Ok(wanted
                .call("sqs", "CreateQueue", input)
                .await?
                .required("QueueUrl")
                .to_owned())
        }
        "AWS::SQS::QueuePolicy" => {
            queue_policy(wanted, &text_of(&properties["PolicyDocument"])).await?;
            Ok(wanted.generated_name(64))
        }
        "AWS::Events::Rule" => rule(wanted, &wanted.name("Name", 64)).await,
        "AWS::Logs::LogGroup" => log_group(wanted).await,
        "AWS::SSM::Parameter" => {
            let name = wanted.name("Name", 512);
            parameter(wanted, &name).await?;
            Ok(name)
        }
        "AWS::KMS::Key" => key(wanted).await,
        "AWS::KMS::Alias" => {
            let name = properties.required("AliasName").to_owned();
            let input = json!({"AliasName": name, "TargetKeyId": properties.text("TargetKeyId")});
            wanted.call("kms", "CreateAlias", input).await?;
            Ok(name)
        }
        "AWS::ECR::Repository" => {
            let name = properties
                .text("RepositoryName")
                .map_or_else(|| wanted.generated_name(64).to_lowercase(), str::to_owned);
            let tags = own_tags(wanted);
            let input = json!({"repositoryName": name, "tags": tags, "imageTagMutability": properties.text("ImageTagMutability")});
            made_before(
                wanted.call("ecr", "CreateRepository", input).await,
                "RepositoryAlreadyExistsException",
            )?;
            Ok(name)
        }
        kind => Err(unsupported(kind)),
    }
}

async fn queue_policy(wanted: &Wanted<'_>, policy: &str) -> Result<(), ApiError> {
    for queue in wanted.properties.texts("Queues") {
        let input = json!({"QueueUrl": queue, "Attributes": {"Policy": policy}});
        wanted.call("sqs", "SetQueueAttributes", input).await?;
    }
    Ok(())
}

async fn rule(wanted: &Wanted<'_>, name: &str) -> Result<String, ApiError> {
    let properties = wanted.properties;
    let mut input = json!({"Name": name, "Tags": own_tags(wanted)});
    for member in ["ScheduleExpression", "State", "Description", "RoleArn", "EventBusName"] {
        input[member] = properties.get(member).cloned().unwrap_or_default();
    }
    if let Some(pattern) = properties.get("EventPattern").filter(|pattern| !pattern.is_null()) {
        input["EventPattern"] = text_of(pattern).into();
    }
    wanted.call("events", "PutRule", input).await?;
    if !properties.list("Targets").is_empty() {
        let input = request(
            "events",
            "PutTargets",
            &json!({"Rule": name, "Targets": properties["Targets"]}),
        );
        wanted.call("events", "PutTargets", input).await?;
    }
    Ok(name.to_owned())
}

async fn log_group(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    let name = wanted.name("LogGroupName", 512);
    let mut input = json!({ "logGroupName": name });
    let tags = own_tags(wanted);
    if !tags.is_empty() {
        input["tags"] = pairs(&tags);
    }
    if let Some(key) = properties.text("KmsKeyId") {
        input["kmsKeyId"] = key.into();
    }
    made_before(
        wanted.call("logs", "CreateLogGroup", input).await,
        "ResourceAlreadyExistsException",
    )?;
    retention(wanted, &name).await?;
    Ok(name)
}

async fn retention(wanted: &Wanted<'_>, name: &str) -> Result<(), ApiError> {
    let days = &wanted.properties["RetentionInDays"];
    if !days.is_null() {
        let input = request(
            "logs",
            "PutRetentionPolicy",
            &json!({"logGroupName": name, "retentionInDays": days}),
        );
        wanted.call("logs", "PutRetentionPolicy", input).await?;
    }
    Ok(())
}

async fn parameter(wanted: &Wanted<'_>, name: &str) -> Result<(), ApiError> {
    let mut given = wanted.properties.clone();
    given["Name"] = name.into();
    given["Overwrite"] = true.into();
    let mut input = request("ssm", "PutParameter", &given);
    // Templates write these tags as a map.
    if let Some(members) = input.as_object_mut() {
        members.remove("Tags");
    }
    wanted.call("ssm", "PutParameter", input).await.map(drop)
}

/// The key that an earlier process made for this resource.
fn known_key<'a>(state: &'a State, wanted: &Wanted<'_>) -> Option<&'a Item> {
    catalogue::of_kind(state, ItemKind::Key).find(|key| {
        key.tags
            .get("aws:cloudformation:stack-id")
            .is_some_and(|id| id == wanted.stack_id)
            && key
                .tags
                .get("aws:cloudformation:logical-id")
                .is_some_and(|name| name == wanted.logical)
    })
}

async fn key(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    let known = wanted
        .context
        .region
        .ledger
        .read(|state| known_key(state, wanted).map(|key| key.key.clone()));
    if let Some(id) = known {
        return Ok(id);
    }
    let tags = wanted.all_tags();
    let tags: Vec<Value> = tags
        .iter()
        .map(|tag| json!({"TagKey": tag["Key"], "TagValue": tag["Value"]}))
        .collect();
    let mut input = json!({"Tags": tags, "Description": properties.text("Description")});
    for member in ["KeySpec", "KeyUsage"] {
        input[member] = properties.get(member).cloned().unwrap_or_default();
    }
    if let Some(policy) = properties.get("KeyPolicy").filter(|policy| !policy.is_null()) {
        input["Policy"] = text_of(policy).into();
    }
    let id = wanted.call("kms", "CreateKey", input).await?["KeyMetadata"]
        .required("KeyId")
        .to_owned();
    let rotates = properties["EnableKeyRotation"]
        .as_bool()
        .unwrap_or(properties.text("EnableKeyRotation") == Some("true"));
    if rotates {
        wanted.call("kms", "EnableKeyRotation", json!({ "KeyId": id })).await?;
    }
    Ok(id)
}

/// Changes one.
///
/// # Errors
/// What its service answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str) -> Result<Updated, ApiError> {
    match wanted.kind {
        "AWS::SQS::Queue" => {
            let input = json!({"QueueUrl": physical, "Attributes": queue_attributes(wanted.properties)});
            wanted.call("sqs", "SetQueueAttributes", input).await?;
        }
        "AWS::SQS::QueuePolicy" => queue_policy(wanted, &text_of(&wanted.properties["PolicyDocument"])).await?,
        "AWS::Events::Rule" => drop(rule(wanted, physical).await?),
        "AWS::Logs::LogGroup" => retention(wanted, physical).await?,
        "AWS::SSM::Parameter" => parameter(wanted, physical).await?,
        "AWS::KMS::Alias" => {
            let input = json!({"AliasName": physical, "TargetKeyId": wanted.properties.text("TargetKeyId")});
            wanted.call("kms", "UpdateAlias", input).await?;
        }
        _ => {}
    }
    Ok(Updated::Done)
}

/// Removes one.
///
/// # Errors
/// What its service answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let (table, operation, input) = match wanted.kind {
        "AWS::SQS::Queue" => ("sqs", "DeleteQueue", json!({ "QueueUrl": physical })),
        "AWS::SQS::QueuePolicy" => {
            return match queue_policy(wanted, "").await {
                Err(error) if error.code == "QueueDoesNotExist" => Ok(()),
                other => other,
            };
        }
        "AWS::Events::Rule" => {
            let ids: Vec<&str> = wanted
                .properties
                .list("Targets")
                .iter()
                .filter_map(|target| target.text("Id"))
                .collect();
            if !ids.is_empty() {
                wanted
                    .call("events", "RemoveTargets", json!({"Rule": physical, "Ids": ids}))
                    .await?;
            }
            ("events", "DeleteRule", json!({ "Name": physical }))
        }
        "AWS::Logs::LogGroup" => ("logs", "DeleteLogGroup", json!({ "logGroupName": physical })),
        "AWS::SSM::Parameter" => ("ssm", "DeleteParameter", json!({ "Name": physical })),
        "AWS::KMS::Key" => ("kms", "ScheduleKeyDeletion", json!({ "KeyId": physical })),
        "AWS::KMS::Alias" => ("kms", "DeleteAlias", json!({ "AliasName": physical })),
        "AWS::ECR::Repository" => ("ecr", "DeleteRepository", json!({ "repositoryName": physical })),
        kind => return Err(unsupported(kind)),
    };
    match wanted.call(table, operation, input).await {
        Err(error) if is_gone(&error) => Ok(()),
        other => other.map(drop),
    }
}

/// Errors that say that what is to go is gone.
fn is_gone(error: &ApiError) -> bool {
    matches!(
        &*error.code,
        "QueueDoesNotExist" | "ResourceNotFoundException" | "KMSInvalidStateException"
    ) || (error.code == "ValidationError" && error.message.contains("not found"))
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    let item = |of: ItemKind, key: &str| catalogue::find(state, of, key);
    match (kind, name) {
        ("AWS::SQS::Queue", "QueueUrl") => Some(json!(physical)),
        ("AWS::SQS::Queue", "QueueName") => physical.rsplit('/').next().map(|name| json!(name)),
        // https://sqs.<region>.amazonaws.com/<account>/<name>
        ("AWS::SQS::Queue", "Arn") => {
            let mut parts = physical.rsplit('/');
            let (queue, account) = (parts.next()?, parts.next()?);
            let region = physical.split('.').nth(1)?;
            Some(json!(format!("arn:aws:sqs:{region}:{account}:{queue}")))
        }
        ("AWS::Events::Rule", "Arn") => {
            item(ItemKind::EventRule, &format!("default/{physical}")).map(|rule| rule.body["Arn"].clone())
        }
        ("AWS::Logs::LogGroup", "Arn") => item(ItemKind::LogGroup, physical).map(|group| group.body["arn"].clone()),
        ("AWS::SSM::Parameter", "Type" | "Value") => item(ItemKind::Parameter, physical)
            .and_then(|one| one.body.list("Versions").last().map(|version| version[name].clone())),
        ("AWS::KMS::Key", "KeyId") => Some(json!(physical)),
        ("AWS::KMS::Key", "Arn") => item(ItemKind::Key, physical).map(|key| key.body["Arn"].clone()),
        ("AWS::ECR::Repository", "Arn") => {
            item(ItemKind::Repository, physical).map(|one| one.body["repositoryArn"].clone())
        }
        ("AWS::ECR::Repository", "RepositoryUri") => {
            item(ItemKind::Repository, physical).map(|one| one.body["repositoryUri"].clone())
        }
        _ => None,
    }
}

/// Properties that can be changed where the resource is.
pub fn keeps(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::SQS::Queue" => &[
            "VisibilityTimeout",
            "MessageRetentionPeriod",
            "DelaySeconds",
            "MaximumMessageSize",
            "ReceiveMessageWaitTimeSeconds",
            "SqsManagedSseEnabled",
            "RedrivePolicy",
            "KmsMasterKeyId",
            "Tags",
        ],
        "AWS::SQS::QueuePolicy" => &["PolicyDocument", "Queues"],
        "AWS::Events::Rule" => &[
            "EventPattern",
            "ScheduleExpression",
            "State",
            "Description",
            "RoleArn",
            "Targets",
            "Tags",
        ],
        "AWS::Logs::LogGroup" => &["RetentionInDays", "KmsKeyId", "Tags"],
        "AWS::SSM::Parameter" => &["Value", "Type", "Description", "Tier", "AllowedPattern", "Tags"],
        "AWS::KMS::Key" => &[
            "Description",
            "KeyPolicy",
            "EnableKeyRotation",
            "PendingWindowInDays",
            "Tags",
        ],
        "AWS::KMS::Alias" => &["TargetKeyId"],
        "AWS::ECR::Repository" => &["LifecyclePolicy", "ImageTagMutability", "RepositoryPolicyText", "Tags"],
        _ => &[],
    }
}
