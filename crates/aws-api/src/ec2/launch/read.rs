//! A launch's request: the launch template under it, EC2's defaults, and EC2's checks.

use aws_types::{image, instance_type};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_lifecycle::user_data;
use serde_json::{Value, json};

use super::super::document::{self, Kind};
use super::super::{credits, invalid, key_pair, launch_template, missing, own_image, subnet};
use super::Wanted;
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::network::Subnet;
use crate::operations::Context;

/// The most user data, in bytes, before base64.
const MOST_USER_DATA: usize = 16 * 1024;

/// Id, name and version of a launch template.
pub type TemplateVersion = (String, String, String);

/// A request with what its launch template says of members that it does not have itself; and the template's id, name and
/// version.
///
/// # Errors
/// When template or version are not there.
pub fn merged(state: &State, input: &Value) -> Result<(Value, Option<TemplateVersion>), ApiError> {
    let mut merged = input.clone();
    let Some(named) = input.get("LaunchTemplate").filter(|named| named.is_object()) else {
        return Ok((merged, None));
    };
    let template = launch_template::find(state, named.text("LaunchTemplateId"), named.text("LaunchTemplateName"))?;
    let version = launch_template::chosen(template, named.text("Version").unwrap_or("$Default"))?;
    for (name, value) in version["LaunchTemplateData"].as_object().into_iter().flatten() {
        let own = merged.get(name).filter(|own| !own.is_null());
        match (name.as_str(), own) {
            // Tags of both count.
            ("TagSpecifications", Some(own)) => {
                let both: Vec<Value> = value
                    .as_array()
                    .into_iter()
                    .chain(own.as_array())
                    .flatten()
                    .cloned()
                    .collect();
                merged[name] = both.into();
            }
            (_, Some(_)) => {}
            // An interface's subnet may come with the request when the template leaves it open.
            (_, None) => merged[name] = value.clone(),
        }
    }
    let name = template.body.required("LaunchTemplateName").to_owned();
    let number = version.number("VersionNumber").unwrap_or(1).to_string();
    Ok((merged, Some((template.id.clone(), name, number))))
}

/// What a request asks for.
///
/// # Errors
/// EC2's own for what is missing, malformed or not there.
pub fn read(state: &State, context: &Context, input: &Value) -> Result<Wanted, ApiError> {
    let (request, template) = merged(state, input)?;
    let image = image_id(state, &request)?;
    let instance_type = request.text("InstanceType").unwrap_or("m1.small").to_owned();
    let kind = instance_type::find(&instance_type)
        .ok_or_else(|| invalid(format!("Invalid value '{instance_type}' for InstanceType.")))?;
    if own_image::architecture(state, &image).is_some_and(|architecture| architecture != kind.architecture) {
        let message = format!(
            "The architecture '{}' of the specified instance type does not match the architecture of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.",
            kind.architecture
        );
        return Err(invalid(message));
    }
    let subnet = subnet_of(state, &request)?;
    let interface = request.list("NetworkInterfaces").first().cloned().unwrap_or_default();
    let user_data = request.text("UserData").filter(|data| !data.is_empty());
    let decoded = user_data.map(decode).transpose()?;
    let address = request.text("PrivateIpAddress").or(interface.text("PrivateIpAddress"));
    let tags = |kind: &str| {
        let own = request
            .list("TagSpecifications")
            .iter()
            .filter(|given| given.text("ResourceType") == Some(kind));
        own.flat_map(|given| given.tags("Tags"))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    if let Some(key) = request.text("KeyName") {
        key_pair::require(state, key)?;
    }
    Ok(Wanted {
        volumes: volumes(state, &image, &request)?,
        image,
        subnet: subnet.id.to_string(),
        address: address
            .map(|text| {
                text.parse()
                    .map_err(|_none| invalid(format!("Address {text} is invalid.")))
            })
            .transpose()?,
        groups: groups(state, &request, &interface, subnet)?,
        profile: profile(state, &request)?,
        bootstrap: decoded.as_deref().and_then(user_data::read),
        user_data: user_data.map(str::to_owned),
        spot: request
            .get("InstanceMarketOptions")
            .and_then(|market| market.text("MarketType"))
            == Some("spot"),
        group: None,
        launch_configuration: None,
        template,
        token: input
            .text("ClientToken")
            .map(|token| (token.to_owned(), fingerprint(input))),
        tags: tags("instance"),
        volume_tags: tags("volume"),
        details: details(&request, context),
        attributes: attributes(&request),
        instance_type,
    })
}

/// What makes two requests with one token the same.
fn fingerprint(input: &Value) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(input.to_string()))
}

fn image_id(state: &State, request: &Value) -> Result<String, ApiError> {
    let Some(given) = request.text("ImageId") else {
        return Err(missing("ImageId"));
    };
    let resolved = given.strip_prefix("resolve:ssm:").map(|name| {
        let known = image::all()
            .iter()
            .find(|image| name == image.parameter || name.strip_suffix("/image_id") == Some(image.parameter.as_str()));
        known
            .map(|image| image.id.clone())
            .ok_or_else(|| ApiError::bad_request("InvalidParameterValue", format!("Parameter {name} does not exist.")))
    });
    let id = resolved.transpose()?.unwrap_or_else(|| given.to_owned());
    if !id.starts_with("ami-") {
        let message = format!("Invalid id: \"{id}\" (expecting \"ami-...\")");
        return Err(ApiError::bad_request("InvalidAMIID.Malformed", message));
    }
    if !own_image::is_known(state, &id) {
        let message = format!("The image id '[{id}]' does not exist");
        return Err(ApiError::bad_request("InvalidAMIID.NotFound", message));
    }
    Ok(id)
}

/// The subnet that is named, or one of the default VPC.
fn subnet_of<'a>(state: &'a State, request: &Value) -> Result<&'a Subnet, ApiError> {
    let interface = request.list("NetworkInterfaces").first();
    let named = request
        .text("SubnetId")
        .or_else(|| interface.and_then(|one| one.text("SubnetId")));
    let zone = request
        .get("Placement")
        .and_then(|placement| placement.text("AvailabilityZone"));
    if let Some(id) = named {
        let found = subnet::find(state, id)?;
        if let Some(zone) = zone.filter(|zone| *zone != found.zone.as_str()) {
            let message = format!("The availability zone '{zone}' does not match that of subnet '{id}'.");
            return Err(invalid(message));
        }
        return Ok(found);
    }
    let Some(vpc) = state.vpcs.values().find(|vpc| vpc.is_default) else {
        let message = "No default VPC for this user. GroupName is only supported for EC2-Classic and default VPC.";
        return Err(ApiError::bad_request("VPCIdNotSpecified", message));
    };
    let own = state.subnets_of(&vpc.id).filter(|subnet| subnet.is_default);
    own.filter(|subnet| zone.is_none_or(|zone| zone == subnet.zone.as_str()))
        .min_by_key(|subnet| &subnet.zone)
        .ok_or_else(|| {
            let message = format!(
                "No subnets found for the default VPC '{}'. Please specify a subnet.",
                vpc.id
            );
            ApiError::bad_request("MissingInput", message)
        })
}

fn groups(state: &State, request: &Value, interface: &Value, subnet: &Subnet) -> Result<Vec<String>, ApiError> {
    let mut ids: Vec<String> = request
        .texts("SecurityGroupIds")
        .into_iter()
        .map(str::to_owned)
        .collect();
    ids.extend(interface.texts("Groups").into_iter().map(str::to_owned));
    let in_vpc = |group: &&document::Document| group.body.text("VpcId") == Some(subnet.vpc.as_str());
    for name in request.texts("SecurityGroups") {
        let mut known = document::of_kind(state, Kind::SecurityGroup).filter(in_vpc);
        let group = known
            .find(|group| group.body.text("GroupName") == Some(name))
            .ok_or_else(|| {
                let message = format!("The security group '{name}' does not exist in VPC '{}'", subnet.vpc);
                ApiError::bad_request("InvalidGroup.NotFound", message)
            })?;
        ids.push(group.id.clone());
    }
    for id in &ids {
        let group = document::find(state, Kind::SecurityGroup, id)?;
        if !in_vpc(&group) {
            let message = format!(
                "Security group {id} and subnet {} belong to different networks.",
                subnet.id
            );
            return Err(invalid(message));
        }
    }
    if ids.is_empty() {
        let own = document::of_kind(state, Kind::SecurityGroup).filter(in_vpc);
        ids.extend(
            own.filter(|group| group.body.text("GroupName") == Some("default"))
                .map(|group| group.id.clone()),
        );
    }
    Ok(ids)
}

/// The name of the profile that a request names by name or ARN.
fn profile(state: &State, request: &Value) -> Result<Option<String>, ApiError> {
    let Some(given) = request.get("IamInstanceProfile").filter(|given| given.is_object()) else {
        return Ok(None);
    };
    match (given.text("Name"), given.text("Arn")) {
        (Some(name), _) if state.instance_profiles.contains_key(name) => Ok(Some(name.to_owned())),
        (Some(name), _) => Err(invalid(format!(
            "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        ))),
        (None, Some(arn)) => {
            let known = state.instance_profiles.values().find(|profile| profile.arn == arn);
            let message = format!(
                "Value ({arn}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN"
            );
            known
                .map(|profile| Some(profile.name.clone()))
                .ok_or_else(|| invalid(message))
        }
        (None, None) => Ok(None),
    }
}

fn decode(data: &str) -> Result<String, ApiError> {
    let packed: String = data.split_whitespace().collect();
    let bytes = STANDARD.decode(packed).map_err(|_no_base64| {
        ApiError::bad_request("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
    })?;
    if bytes.len() > MOST_USER_DATA {
        return Err(invalid("User data is limited to 16384 bytes"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// EBS volumes of the image, changed and added to by the request.
fn volumes(state: &State, image: &str, request: &Value) -> Result<Vec<(String, Value)>, ApiError> {
    let mut volumes = own_image::volumes(state, image);
    for mapping in request.list("BlockDeviceMappings") {
        let device = mapping.required("DeviceName");
        if mapping.get("NoDevice").is_some_and(|given| !given.is_null()) {
            volumes.retain(|(known, _)| known != device);
            continue;
        }
        let virtual_name = mapping.text("VirtualName").is_some();
        let Some(ebs) = mapping.get("Ebs").filter(|ebs| ebs.is_object()) else {
            if virtual_name {
                continue;
            }
            return Err(missing("ebs"));
        };
        let mut ebs = ebs.clone();
        if let Some(id) = ebs.text("SnapshotId") {
            let taken = document::find(state, Kind::Snapshot, id)?;
            if ebs.number("VolumeSize").is_none() {
                ebs["VolumeSize"] = taken.body["VolumeSize"].clone();
            }
        }
        match volumes.iter_mut().find(|(known, _)| known == device) {
            Some((_, known)) => {
                for (name, value) in ebs.as_object().into_iter().flatten() {
                    known[name] = value.clone();
                }
            }
            None if ebs.number("VolumeSize").is_none() => return Err(missing("size or snapshotId")),
            None => {
                if ebs.get("DeleteOnTermination").is_none() {
                    ebs["DeleteOnTermination"] = true.into();
                }
                volumes.push((device.to_owned(), ebs));
            }
        }
    }
    Ok(volumes)
}

/// Members of the instance that only show what was asked for.
fn details(request: &Value, context: &Context) -> Value {
    let metadata = request.get("MetadataOptions").cloned().unwrap_or_default();
    let or = |name: &str, usual: &str| metadata.text(name).unwrap_or(usual).to_owned();
    let monitoring = request
        .get("Monitoring")
        .and_then(|given| given.flag("Enabled"))
        .unwrap_or(false);
    let mut details = json!({
        "Monitoring": {"State": if monitoring { "enabled" } else { "disabled" }},
        "EbsOptimized": request.flag("EbsOptimized").unwrap_or(false),
        "MetadataOptions": {
            "State": "applied", "HttpTokens": or("HttpTokens", "required"), "HttpEndpoint": or("HttpEndpoint", "enabled"),
            "HttpPutResponseHopLimit": metadata.number("HttpPutResponseHopLimit").unwrap_or(2),
            "HttpProtocolIpv6": or("HttpProtocolIpv6", "disabled"), "InstanceMetadataTags": or("InstanceMetadataTags", "disabled"),
        },
        "UsageOperation": "RunInstances", "PlatformDetails": "Linux/UNIX", "BootMode": "uefi-preferred",
        "UsageOperationUpdateTime": aws_types::time::Time(context.region.clock.now()),
    });
    if let Some(key) = request.text("KeyName") {
        details["KeyName"] = key.into();
    }
    details
}

fn attributes(request: &Value) -> Value {
    let credits = request
        .get("CreditSpecification")
        .and_then(|given| given.text("CpuCredits"));
    json!({
        credits::CREDITS: credits,
        "DisableApiTermination": request.flag("DisableApiTermination").unwrap_or(false),
        "DisableApiStop": request.flag("DisableApiStop").unwrap_or(false),
        "InstanceInitiatedShutdownBehavior": request.text("InstanceInitiatedShutdownBehavior").unwrap_or("stop"),
    })
}
