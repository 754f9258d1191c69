//! The table of operations: every row names a service, an operation of its model, and who answers it. What is not listed
//! answers as the service answers an unknown operation.

use std::sync::Arc;

use aws_types::shapes;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::authorization;
use crate::caller::Caller;
use crate::codec::check;
use crate::ec2 as ec2_rules;
use crate::error::ApiError;
use crate::region::Region;
use crate::sts;

/// A typed handler as a row: the input is read into its request type and the answer written from its own.
macro_rules! row {
    ($service:literal, $name:literal, $handler:path) => {
        crate::operations::Row {
            service: $service,
            name: $name,
            run: |context, input| {
                Box::pin(async move {
                    let request = serde_json::from_value(input).map_err(crate::error::ApiError::internal)?;
                    let answer = $handler(context, request).await?;
                    serde_json::to_value(answer).map_err(crate::error::ApiError::internal)
                })
            },
        }
    };
}

mod account;
mod autoscaling;
mod cloudformation;
mod ec2;
mod ecr;
mod eks;
mod elb;
mod events;
mod iam;
mod kms;
mod logs;
mod sqs;
mod ssm;

/// What a handler is given besides its input.
#[derive(Clone)]
pub struct Context {
    /// The region.
    pub region: Arc<Region>,
    /// Who calls.
    pub caller: Caller,
}

/// A handler: input and answer by the model's member names.
type Run = fn(Context, Value) -> BoxFuture<'static, Result<Value, ApiError>>;

/// An operation that is served.
pub struct Row {
    /// The service's signing name.
    pub service: &'static str,
    /// The operation's name in the model.
    pub name: &'static str,
    /// Who answers.
    pub run: Run,
}

/// Every operation that is served, service by service.
pub const OPERATIONS: &[&[Row]] = &[
    STS,
    autoscaling::ROWS,
    cloudformation::ROWS,
    iam::ROWS,
    eks::ROWS,
    ec2::ROWS,
    ecr::ROWS,
    elb::ROWS,
    events::ROWS,
    kms::ROWS,
    logs::ROWS,
    sqs::ROWS,
    ssm::ROWS,
    account::ROWS,
];

const STS: &[Row] = &[
    row!("sts", "GetCallerIdentity", sts::get_caller_identity),
    row!("sts", "AssumeRole", sts::assume::role),
    row!("sts", "AssumeRoleWithWebIdentity", sts::web_identity::role),
    row!("sts", "GetSessionToken", sts::session_token),
    row!("sts", "GetFederationToken", sts::federation_token),
    row!("sts", "GetAccessKeyInfo", sts::access_key_info),
    row!("sts", "DecodeAuthorizationMessage", sts::decode_message),
];

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Row> {
    OPERATIONS.iter().copied().flatten()
}

/// The row of an operation of a service's table.
pub fn find(service: &str, name: &str) -> Option<&'static Row> {
    all().find(|row| row.service == service && row.name == name)
}

/// Carries an operation out as the caller: checks of the model, of the caller's policies and of our own answer around the
/// handler.
///
/// # Errors
/// What the checks or the handler answer.
pub async fn perform(context: Context, table: &'static str, operation: &str, input: Value) -> Result<Value, ApiError> {
    let service = shapes::service(table).ok_or_else(|| ApiError::internal(format!("no table {table}")))?;
    let protocol = service.metadata.protocol;
    let row = find(table, operation).ok_or_else(|| ApiError::unknown_operation(protocol, Some(operation)))?;
    let modelled = &service.operations[operation];
    if let Some(shape) = &modelled.input {
        check::request(service, shape, &input)
            .map_err(|violation| ApiError::undecodable(service, &violation.into()))?;
    }
    if protocol == shapes::Protocol::Ec2 {
        ec2_rules::check_tag_specifications(&input)?;
    }
    let call = authorization::Call {
        service: signing_name(table),
        operation,
        input: &input,
    };
    let denied = authorization::check(&context, protocol, &call).err();
    let told = (context.clone(), input.clone());
    let outcome = match denied {
        Some(error) => Err(error),
        None => (row.run)(context, input).await,
    };
    let (context, input) = told;
    context
        .region
        .trail
        .record(&context, signing_name(table), operation, &input, outcome.as_ref().err());
    let output = outcome?;
    if let Some(shape) = &modelled.output {
        check::answer(service, shape, &output).map_err(ApiError::internal)?;
    }
    Ok(output)
}

/// The same for a handler that calls another operation, whose future must not hold itself.
pub fn boxed(
    context: Context,
    table: &'static str,
    operation: &'static str,
    input: Value,
) -> BoxFuture<'static, Result<Value, ApiError>> {
    Box::pin(perform(context, table, operation, input))
}

/// The prefix of a service's actions in policies.
fn signing_name(table: &'static str) -> &'static str {
    match table {
        "elb" | "elbv2" => "elasticloadbalancing",
        "service-quotas" => "servicequotas",
        "resourcegroupstaggingapi" => "tag",
        other => other,
    }
}

#[cfg(test)]
mod tests;
