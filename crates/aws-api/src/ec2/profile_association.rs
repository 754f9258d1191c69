//! Instance profiles of instances: given, changed and taken away while the instance is there.

use serde_json::{Value, json};

use super::{document, invalid};
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// An association's id is the same for the same instance and profile.
fn id(instance: &Ec2Instance, profile: &str) -> String {
    let text = format!("{}/{profile}", instance.id);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("iip-assoc-{hash:017x}")
}

fn view(state: &State, one: &Ec2Instance, shown: &str) -> Option<Value> {
    let name = one.profile.as_ref()?;
    let profile = state.instance_profiles.get(name)?;
    Some(json!({
        "AssociationId": id(one, name), "InstanceId": one.id, "State": shown,
        "IamInstanceProfile": {"Arn": profile.arn, "Id": profile.id},
    }))
}

/// The name of the profile that a request means.
fn wanted(state: &State, input: &Value) -> Result<String, ApiError> {
    let given = &input["IamInstanceProfile"];
    let found = match (given.text("Name"), given.text("Arn")) {
        (Some(name), _) => state.instance_profiles.get(name),
        (None, Some(arn)) => state.instance_profiles.values().find(|profile| profile.arn == arn),
        (None, None) => None,
    };
    let named = given.text("Name").or(given.text("Arn")).unwrap_or_default();
    found.map(|profile| profile.name.clone()).ok_or_else(|| {
        invalid(format!(
            "Value ({named}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        ))
    })
}

fn by_association<'a>(state: &'a State, input: &Value) -> Result<&'a Ec2Instance, ApiError> {
    let wanted = input.required("AssociationId");
    let mut all = state.instances.values();
    let found = all.find(|one| one.profile.as_ref().is_some_and(|name| id(one, name) == wanted));
    found.ok_or_else(|| {
        let message = format!("An invalid association-id of '{wanted}' was given");
        ApiError::bad_request("InvalidAssociationID.NotFound", message)
    })
}

/// `AssociateIamInstanceProfile`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let decide = |state: &State| {
        let profile = wanted(state, &input)?;
        super::instance::require(state, &[id])?;
        let known = state.instances.values().find(|one| one.id.as_str() == id);
        let known = known.ok_or_else(|| {
            let message = format!("The instance '{id}' belongs to a managed node group, which gives it its role");
            ApiError::bad_request("UnsupportedOperation", message)
        })?;
        if known.profile.is_some() {
            let message = format!("There is an existing association for instance {id}");
            return Err(ApiError::bad_request("IncorrectState", message));
        }
        let mut one = known.clone();
        one.profile = Some(profile);
        let answer = json!({ "IamInstanceProfileAssociation": view(state, &one, "associating") });
        Ok((answer, vec![Change::put(one)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

/// `DescribeIamInstanceProfileAssociations`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("AssociationIds");
    let views = context.region.ledger.read(|state| {
        let live = state
            .instances
            .values()
            .filter(|one| one.state != LifeState::Terminated);
        live.filter_map(|one| view(state, one, "associated"))
            .filter(|view| ids.is_empty() || ids.contains(&view.required("AssociationId")))
            .map(|view| (view, Default::default()))
            .collect()
    });
    let filters = [("instance-id", "InstanceId"), ("state", "State")];
    document::answer(&input, "IamInstanceProfileAssociations", &filters, views)
}

/// `DisassociateIamInstanceProfile`.
pub async fn disassociate(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let known = by_association(state, &input)?;
        let answer = json!({ "IamInstanceProfileAssociation": view(state, known, "disassociating") });
        let mut one = known.clone();
        one.profile = None;
        Ok::<_, ApiError>((answer, vec![Change::put(one)]))
    };
    context.region.ledger.change(decide).await
}

/// `ReplaceIamInstanceProfileAssociation`.
pub async fn replace(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut one = by_association(state, &input)?.clone();
        one.profile = Some(wanted(state, &input)?);
        let answer = json!({ "IamInstanceProfileAssociation": view(state, &one, "associating") });
        Ok::<_, ApiError>((answer, vec![Change::put(one)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}
