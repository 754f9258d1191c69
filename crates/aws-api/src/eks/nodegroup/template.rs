//! What a node group takes from a launch template, and what it must not find there.

use aws_types::eks::CreateNodegroupRequest;
use cluster_lifecycle::Refusal;

use crate::ec2::launch_template;
use crate::ledger::State;
use crate::members::Members;

/// A version of a launch template.
pub struct Chosen {
    /// Id, name and version.
    pub named: (String, String, String),
    /// Its instance type.
    pub instance_type: Option<String>,
    /// The size of its root volume.
    pub disk_size: Option<i64>,
}

/// The version that a request names.
///
/// # Errors
/// EKS's sentences for templates that are not there, and for what request and template contradict each other in.
pub fn chosen(state: &State, request: &CreateNodegroupRequest) -> Result<Option<Chosen>, Refusal> {
    let Some(wanted) = &request.launch_template else {
        return Ok(None);
    };
    let refuse = |message: String| Refusal::invalid_parameter(message);
    let template = launch_template::find(state, wanted.id.as_deref(), wanted.name.as_deref())
        .map_err(|error| refuse(error.message))?;
    let version = launch_template::chosen(template, wanted.version.as_deref().unwrap_or("$Default"))
        .map_err(|error| refuse(error.message))?;
    let data = &version["LaunchTemplateData"];
    if request.disk_size.is_some() {
        return Err(refuse(
            "Disk size must be specified within the launch template.".to_owned(),
        ));
    }
    if request.remote_access.is_some() {
        return Err(refuse(
            "Remote access configuration cannot be specified with a launch template.".to_owned(),
        ));
    }
    if data.text("InstanceType").is_some() && request.instance_types.as_ref().is_some_and(|types| !types.is_empty()) {
        return Err(refuse(
            "Cannot specify instance types in launch template and API request".to_owned(),
        ));
    }
    for forbidden in [
        "IamInstanceProfile",
        "HibernationOptions",
        "InstanceInitiatedShutdownBehavior",
    ] {
        if data.get(forbidden).is_some_and(|value| !value.is_null()) {
            return Err(refuse(format!(
                "Launch template {} should not specify {forbidden}.",
                template.id
            )));
        }
    }
    if data.text("ImageId").is_some() || data.text("UserData").is_some() {
        return Err(refuse(
            "Launch templates with an image or user data of their own are not available in this region".to_owned(),
        ));
    }
    let root = data
        .list("BlockDeviceMappings")
        .iter()
        .find_map(|mapping| mapping.get("Ebs")?.number("VolumeSize"));
    let name = template.body.required("LaunchTemplateName").to_owned();
    let number = version.number("VersionNumber").unwrap_or(1).to_string();
    Ok(Some(Chosen {
        named: (template.id.clone(), name, number),
        instance_type: data.text("InstanceType").map(str::to_owned),
        disk_size: root,
    }))
}
