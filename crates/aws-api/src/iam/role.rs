//! Roles: trust policies, boundaries, roles that services make for themselves.

use access_rules::iam_policy::Document;
use serde_json::{Value, json};

use super::conflict;
use super::entity::{self, Entity, EntityKind};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::members::{Members, nothing};
use crate::operations::Context;

fn check_trust(text: &str) -> Result<(), ApiError> {
    let read = Document::trust(text);
    read.map(drop)
        .map_err(|error| ApiError::bad_request("MalformedPolicyDocument", error.to_string()))
}

/// `CreateRole`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    check_trust(input.required("AssumeRolePolicyDocument"))?;
    let role = Entity::new(&context, EntityKind::Role, &input)?;
    entity::create(&context, role).await
}

/// `GetRole`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::look(&context, &input, |_, role| {
        let mut view = role.view();
        view["RoleLastUsed"] = json!({});
        json!({ "Role": view })
    })
}

/// `ListRoles`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::list(&context, EntityKind::Role, &input)
}

/// `UpdateRole`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::edit(&context, &input, |_, role| {
        if let Some(description) = input.text("Description") {
            role.description = Some(description.to_owned());
        }
        role.max_session = input.number("MaxSessionDuration").unwrap_or(role.max_session);
        Ok(nothing())
    })
    .await
}

/// `UpdateRoleDescription`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::edit(&context, &input, |_, role| {
        role.description = input.text("Description").map(str::to_owned);
        Ok(json!({ "Role": role.view() }))
    })
    .await
}

/// `UpdateAssumeRolePolicy`.
pub async fn trust(context: Context, input: Value) -> Result<Value, ApiError> {
    let document = input.required("PolicyDocument");
    check_trust(document)?;
    entity::edit(&context, &input, |_, role| {
        role.trust = Some(document.to_owned());
        Ok(nothing())
    })
    .await
}

/// `PutRolePermissionsBoundary`, `PutUserPermissionsBoundary`.
pub async fn put_boundary(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PermissionsBoundary");
    entity::edit(&context, &input, |state, entity| {
        super::policy::document(state, arn)?;
        entity.boundary = Some(arn.to_owned());
        Ok(nothing())
    })
    .await
}

/// `DeleteRolePermissionsBoundary`, `DeleteUserPermissionsBoundary`.
pub async fn delete_boundary(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::edit(&context, &input, |_, entity| {
        entity.boundary = None;
        Ok(nothing())
    })
    .await
}

/// `DeleteRole`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    remove(&context, input.required("RoleName"), false).await?;
    Ok(nothing())
}

async fn remove(context: &Context, name: &str, by_service: bool) -> Result<(), ApiError> {
    let change = context.region.ledger.change(|state| {
        let role = entity::find(state, EntityKind::Role, name)?;
        if role.path.starts_with("/aws-service-role/") {
            if !by_service {
                let message = "Cannot perform the operation on the protected role; it is a service-linked role.";
                return Err(ApiError::bad_request("UnmodifiableEntity", message));
            }
        } else {
            role.require_bare()?;
        }
        if state
            .instance_profiles
            .values()
            .any(|profile| profile.role.as_deref() == Some(name))
        {
            return Err(conflict(
                "Cannot delete entity, must remove roles from instance profile first.",
            ));
        }
        Ok(((), vec![Change::remove::<Entity>((EntityKind::Role, name.to_owned()))]))
    });
    change.await
}

/// Services that have a role of their own, its name, and the policy in it.
const LINKED: &[(&str, &str, &str)] = &[
    (
        "eks.amazonaws.com",
        "AWSServiceRoleForAmazonEKS",
        "AmazonEKSServiceRolePolicy",
    ),
    (
        "eks-nodegroup.amazonaws.com",
        "AWSServiceRoleForAmazonEKSNodegroup",
        "AWSServiceRoleForAmazonEKSNodegroup",
    ),
    (
        "eks-fargate.amazonaws.com",
        "AWSServiceRoleForAmazonEKSForFargate",
        "AmazonEKSForFargateServiceRolePolicy",
    ),
    (
        "autoscaling.amazonaws.com",
        "AWSServiceRoleForAutoScaling",
        "AutoScalingServiceRolePolicy",
    ),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
    ),
    (
        "spot.amazonaws.com",
        "AWSServiceRoleForEC2Spot",
        "AWSEC2SpotServiceRolePolicy",
    ),
];

/// Those of which an account may have several roles, with suffixes.
const SUFFIXED: &[&str] = &["autoscaling.amazonaws.com"];

/// `CreateServiceLinkedRole`.
pub async fn create_linked(context: Context, input: Value) -> Result<Value, ApiError> {
    let service = input.required("AWSServiceName");
    let Some((_, name, policy)) = LINKED.iter().find(|(known, ..)| *known == service) else {
        let message = format!("Service-linked roles for {service} are not available here");
        return Err(ApiError::bad_request("InvalidInput", message));
    };
    let name = match input.text("CustomSuffix") {
        None => (*name).to_owned(),
        Some(suffix) if SUFFIXED.contains(&service) => format!("{name}_{suffix}"),
        Some(_) => {
            let message = format!("Custom suffix is not allowed for {service}");
            return Err(ApiError::bad_request("InvalidInput", message));
        }
    };
    let trust = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]});
    let asked = json!({
        "RoleName": name, "Path": format!("/aws-service-role/{service}/"), "AssumeRolePolicyDocument": trust.to_string(),
        "Description": input.text("Description"),
    });
    let mut role = Entity::new(&context, EntityKind::Role, &asked)?;
    role.attached
        .insert(format!("arn:aws:iam::aws:policy/aws-service-role/{policy}"));
    entity::create(&context, role)
        .await
        .map_err(|error| match &*error.code {
            "EntityAlreadyExists" => {
                let message =
                    format!("Service role name {name} has been taken in this account, please try a different suffix.");
                ApiError::bad_request("InvalidInput", message)
            }
            _ => error,
        })
}

/// `DeleteServiceLinkedRole`: done at once, so the task's status is always known to be good.
pub async fn delete_linked(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("RoleName");
    remove(&context, name, true).await?;
    Ok(json!({ "DeletionTaskId": format!("task/aws-service-role/{name}/{}", context.region.random.uuid()) }))
}

/// `GetServiceLinkedRoleDeletionStatus`.
pub async fn deletion_status(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("DeletionTaskId").split('/').nth(2).unwrap_or_default();
    let remains = context
        .region
        .ledger
        .read(|state| entity::find(state, EntityKind::Role, name).is_ok());
    Ok(json!({ "Status": if remains { "FAILED" } else { "SUCCEEDED" } }))
}
