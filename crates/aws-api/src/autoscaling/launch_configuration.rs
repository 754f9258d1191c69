//! Launch configurations: what instances were made from before launch templates. AWS lets accounts that have had them keep
//! them; so does this region.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::{invalid, page};
use crate::catalogue::{self, Item, ItemKind};
use crate::ec2::own_image;
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Members that are kept as they were given.
const KEPT: &[&str] = &[
    "ImageId",
    "InstanceType",
    "KeyName",
    "UserData",
    "KernelId",
    "RamdiskId",
    "SpotPrice",
    "IamInstanceProfile",
    "AssociatePublicIpAddress",
    "PlacementTenancy",
    "MetadataOptions",
    "ClassicLinkVPCId",
];
const MISSING: &str =
    "Valid requests must contain either the InstanceID parameter or both the ImageId and InstanceType parameters.";

fn not_found(name: &str) -> ApiError {
    invalid(format!(
        "Launch configuration name not found - Launch configuration {name} not found"
    ))
}

/// The launch configuration of that name.
///
/// # Errors
/// When it is not there.
pub fn find<'a>(state: &'a State, name: &str) -> Result<&'a Item, ApiError> {
    catalogue::find(state, ItemKind::LaunchConfiguration, name).ok_or_else(|| not_found(name))
}

/// What an instance was made from, for a configuration or group that is to be like it.
fn of_instance(state: &State, id: &str) -> Result<Value, ApiError> {
    let known = state.instances.values().find(|one| one.id.as_str() == id);
    let one = known.ok_or_else(|| invalid(format!("Instance [{id}] is invalid.")))?;
    let mut like = json!({"ImageId": one.image, "InstanceType": one.instance_type, "SecurityGroups": one.groups});
    if let Some(key) = one.details.text("KeyName") {
        like["KeyName"] = key.into();
    }
    if let Some(data) = &one.user_data {
        like["UserData"] = data.as_str().into();
    }
    if let Some(profile) = &one.profile {
        like["IamInstanceProfile"] = profile.as_str().into();
    }
    Ok(like)
}

/// A launch configuration as a request asks for it.
///
/// # Errors
/// When image or type are missing or unknown.
pub fn new(state: &State, context: &Context, name: &str, input: &Value) -> Result<Item, ApiError> {
    let mut wanted = input.clone();
    if let Some(id) = input.text("InstanceId") {
        for (member, value) in of_instance(state, id)?.as_object().into_iter().flatten() {
            if wanted.get(member).is_none_or(Value::is_null) {
                wanted[member] = value.clone();
            }
        }
    }
    let (Some(image), Some(kind)) = (wanted.text("ImageId"), wanted.text("InstanceType")) else {
        return Err(invalid(MISSING));
    };
    if !own_image::is_known(state, image) {
        return Err(invalid("AMI cannot be described"));
    }
    if aws_types::instance_type::find(kind).is_none() {
        return Err(invalid(format!("Invalid value '{kind}' for InstanceType.")));
    }
    let region = &context.region;
    let monitoring = wanted["InstanceMonitoring"].flag("Enabled").unwrap_or(true);
    let mut body = json!({
        "LaunchConfigurationName": name,
        "LaunchConfigurationARN": format!(
            "arn:aws:autoscaling:{}:{}:launchConfiguration:{}:launchConfigurationName/{name}",
            region.name, context.caller.account, region.random.uuid()
        ),
        "CreatedTime": Time(region.clock.now()), "SecurityGroups": wanted.list("SecurityGroups"),
        "ClassicLinkVPCSecurityGroups": wanted.list("ClassicLinkVPCSecurityGroups"),
        "BlockDeviceMappings": wanted.list("BlockDeviceMappings"), "InstanceMonitoring": {"Enabled": monitoring},
        "EbsOptimized": wanted.flag("EbsOptimized").unwrap_or(false),
    });
    for member in KEPT {
        if let Some(value) = wanted.get(*member).filter(|value| !value.is_null()) {
            body[*member] = value.clone();
        }
    }
    Ok(Item::new(ItemKind::LaunchConfiguration, name, body))
}

/// Refuses a name that is taken.
///
/// # Errors
/// Auto Scaling's own.
pub fn require_free(state: &State, name: &str) -> Result<(), ApiError> {
    if find(state, name).is_err() {
        return Ok(());
    }
    let message = format!(
        "Launch Configuration by this name already exists - A launch configuration already exists with the name {name}"
    );
    Err(ApiError::bad_request("AlreadyExists", message))
}

/// `CreateLaunchConfiguration`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("LaunchConfigurationName");
    let decide = |state: &State| {
        require_free(state, name)?;
        let made = new(state, &context, name, &input)?;
        Ok::<_, ApiError>((nothing(), vec![crate::ledger::Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeLaunchConfigurations`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("LaunchConfigurationNames");
    let views = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::LaunchConfiguration);
        all.filter(|item| names.is_empty() || names.contains(&item.key.as_str()))
            .map(|item| item.body.clone())
            .collect()
    });
    page(&input, "LaunchConfigurations", views)
}

/// `DeleteLaunchConfiguration`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("LaunchConfigurationName");
    let decide = |state: &State| {
        let known = find(state, name)?;
        let mut groups = state.groups.values();
        if let Some(user) = groups.find(|group| group.launch_configuration.as_deref() == Some(name)) {
            let message = format!(
                "Cannot delete launch configuration {name} because it is attached to AutoScalingGroup {}",
                user.name
            );
            return Err(ApiError::bad_request("ResourceInUse", message));
        }
        Ok((nothing(), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// A launch as EC2 is asked for it.
pub fn request(configuration: &Value) -> Value {
    let mut request = json!({
        "ImageId": configuration["ImageId"], "InstanceType": configuration["InstanceType"],
        "BlockDeviceMappings": configuration["BlockDeviceMappings"], "EbsOptimized": configuration["EbsOptimized"],
        "Monitoring": configuration["InstanceMonitoring"],
    });
    for member in ["KeyName", "UserData", "MetadataOptions"] {
        if let Some(value) = configuration.get(member) {
            request[member] = value.clone();
        }
    }
    let groups = configuration.texts("SecurityGroups");
    let (ids, names): (Vec<&str>, Vec<&str>) = groups.into_iter().partition(|group| group.starts_with("sg-"));
    request["SecurityGroupIds"] = json!(ids);
    request["SecurityGroups"] = json!(names);
    if let Some(profile) = configuration.text("IamInstanceProfile") {
        let member = if profile.starts_with("arn:") { "Arn" } else { "Name" };
        request["IamInstanceProfile"] = json!({ member: profile });
    }
    if configuration.text("SpotPrice").is_some() {
        request["InstanceMarketOptions"] = json!({"MarketType": "spot"});
    }
    request
}
