//! How instances of the t families pay for what they use beyond their share of a processor.

use serde_json::{Value, json};

use super::{document, dry_run, instance, instance_state};
use crate::error::ApiError;
use crate::fleet::instance::Ec2Instance;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// Where an instance keeps its choice.
pub const CREDITS: &str = "CpuCredits";

/// `standard` or `unlimited`; nothing for instances that have no credits. T2 instances are standard unless they are told otherwise,
/// newer ones unlimited.
fn of(one: &Ec2Instance) -> Option<&str> {
    let family = one.instance_type.split('.').next().unwrap_or_default();
    let usual = match family {
        "t2" => "standard",
        _ if family.starts_with('t') => "unlimited",
        _ => return None,
    };
    Some(one.attributes.text(CREDITS).unwrap_or(usual))
}

/// `DescribeInstanceCreditSpecifications`: without ids, of the unlimited ones.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    let views = context.region.ledger.read(|state| {
        instance::require(state, &ids)?;
        let known = state.instances.values().filter_map(|one| {
            let credits = of(one)?;
            let is_meant = match ids.is_empty() {
                true => credits == "unlimited",
                false => ids.contains(&one.id.as_str()),
            };
            is_meant.then(|| {
                let view = json!({"InstanceId": one.id, "CpuCredits": credits});
                (view, Default::default())
            })
        });
        Ok::<_, ApiError>(known.collect())
    })?;
    let filters = [("instance-id", "InstanceId")];
    document::answer(&input, "InstanceCreditSpecifications", &filters, views)
}

/// `ModifyInstanceCreditSpecification`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let (mut done, mut refused, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in input.list("InstanceCreditSpecifications") {
            let (id, credits) = (
                wanted.required("InstanceId"),
                wanted.text("CpuCredits").unwrap_or("standard"),
            );
            let mut refuse = |code: &str, message: String| {
                refused.push(json!({"InstanceId": id, "Error": {"Code": code, "Message": message}}));
            };
            match instance_state::find(state, id) {
                Err(error) => refuse(&error.code, error.message),
                Ok(one) if of(one).is_none() => refuse(
                    "InstanceCreditSpecification.NotSupported",
                    format!("The instance '{id}' has no CPU credits."),
                ),
                Ok(one) => {
                    let mut one = one.clone();
                    one.attributes[CREDITS] = credits.into();
                    changes.push(Change::put(one));
                    done.push(json!({ "InstanceId": id }));
                }
            }
        }
        dry_run(input.flag("DryRun"))?;
        let answer = json!({
            "SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": refused,
        });
        Ok::<_, ApiError>((answer, changes))
    };
    context.region.ledger.change(decide).await
}
