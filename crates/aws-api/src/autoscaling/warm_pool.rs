//! Warm pools: their configuration is kept and shown; no instance is kept in one here.

use serde_json::{Value, json};

use super::group::{edit, find};
use super::invalid;
use crate::error::ApiError;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `PutWarmPool`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        if group.mixed.is_some() {
            return Err(invalid(
                "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy.",
            ));
        }
        let mut pool = json!({
            "MinSize": input.number("MinSize").unwrap_or(0), "PoolState": input.text("PoolState").unwrap_or("Stopped"),
        });
        for member in ["MaxGroupPreparedCapacity", "InstanceReusePolicy"] {
            if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                pool[member] = value.clone();
            }
        }
        group.warm_pool = Some(pool);
        Ok(nothing())
    })
    .await
}

/// `DescribeWarmPool`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    context.region.ledger.read(|state| {
        let mut answer = json!({ "Instances": [] });
        if super::of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name) {
            return Ok(answer);
        }
        if let Some(pool) = &find(state, name)?.warm_pool {
            answer["WarmPoolConfiguration"] = pool.clone();
        }
        Ok(answer)
    })
}

/// `DeleteWarmPool`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    edit(&context, name, |_, group| match group.warm_pool.take() {
        Some(_) => Ok(nothing()),
        None => Err(invalid(format!("No warm pool found for the Auto Scaling group {name}"))),
    })
    .await
}
