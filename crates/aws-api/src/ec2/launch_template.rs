//! Launch templates and their versions.

use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// Versions are kept in the document, and not shown with the template.
const VERSIONS: &str = "Versions";

fn view(template: &Document) -> Value {
    let mut view = template.view();
    if let Some(members) = view.as_object_mut() {
        members.remove(VERSIONS);
    }
    view
}

fn by_name_not_found(name: &str) -> ApiError {
    let message = format!("The specified launch template, with template name {name}, does not exist.");
    ApiError::bad_request("InvalidLaunchTemplateName.NotFoundException", message)
}

/// The template that a request names by id or name.
///
/// # Errors
/// When it is not there.
pub fn find<'a>(state: &'a State, id: Option<&str>, name: Option<&str>) -> Result<&'a Document, ApiError> {
    match (id, name) {
        (Some(id), _) => document::find(state, Kind::LaunchTemplate, id),
        (None, Some(name)) => document::of_kind(state, Kind::LaunchTemplate)
            .find(|known| known.body.text("LaunchTemplateName") == Some(name))
            .ok_or_else(|| by_name_not_found(name)),
        (None, None) => Err(super::missing("launch template ID or launch template name")),
    }
}

fn version(context: &Context, template: &Document, input: &Value, number: i64) -> Value {
    json!({
        "LaunchTemplateId": template.id, "LaunchTemplateName": template.body["LaunchTemplateName"], "VersionNumber": number,
        "VersionDescription": input.text("VersionDescription"), "CreateTime": Time(context.region.clock.now()),
        "CreatedBy": context.caller.arn, "DefaultVersion": number == 1, "LaunchTemplateData": input["LaunchTemplateData"],
    })
}

/// `CreateLaunchTemplate`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let name = input.required("LaunchTemplateName");
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "().-/_".contains(letter);
    if name.len() < 3 || name.len() > 128 || !name.chars().all(allowed) {
        let message = "Launch template names must be 3 to 128 letters, digits and the characters ( ) . - / _";
        return Err(ApiError::bad_request(
            "InvalidLaunchTemplateName.MalformedException",
            message,
        ));
    }
    let body = json!({
        "LaunchTemplateName": name, "CreateTime": Time(context.region.clock.now()), "CreatedBy": context.caller.arn,
        "DefaultVersionNumber": 1, "LatestVersionNumber": 1,
    });
    check_data(&input["LaunchTemplateData"])?;
    let mut made = Document::new(&context, Kind::LaunchTemplate, &input, body);
    made.body[VERSIONS] = json!([version(&context, &made, &input, 1)]);
    let change = context.region.ledger.change(|state| {
        if find(state, None, Some(name)).is_ok() {
            let message = "Launch template name already in use.";
            return Err(ApiError::bad_request(
                "InvalidLaunchTemplateName.AlreadyExistsException",
                message,
            ));
        }
        Ok((json!({ "LaunchTemplate": view(&made) }), vec![Change::put(made)]))
    });
    change.await
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Document) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let find = |state: &State| {
        find(state, input.text("LaunchTemplateId"), input.text("LaunchTemplateName")).map(|known| known.id.clone())
    };
    let id = context.region.ledger.read(find)?;
    document::edit(context, input, Kind::LaunchTemplate, &id, |_, template| {
        change(template)
    })
    .await
}

/// Refuses user data that is not in base64.
fn check_data(data: &Value) -> Result<(), ApiError> {
    let given = data.text("UserData").unwrap_or_default();
    let packed: String = given.lines().collect();
    match STANDARD.decode(packed) {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!(
                error = supervision::error_chain(&error),
                "user data of a launch template"
            );
            let message = "Invalid BASE64 encoding of user data.";
            Err(ApiError::bad_request("InvalidUserData.Malformed", message))
        }
    }
}

/// `CreateLaunchTemplateVersion`.
pub async fn create_version(context: Context, input: Value) -> Result<Value, ApiError> {
    check_data(&input["LaunchTemplateData"])?;
    edit(&context, &input, |template| {
        let number = template.body.number("LatestVersionNumber").unwrap_or(0) + 1;
        let mut made = version(&context, template, &input, number);
        if let Some(source) = input.text("SourceVersion") {
            let base = chosen(template, source)?;
            let mut data = base["LaunchTemplateData"].clone();
            for (name, value) in input["LaunchTemplateData"].as_object().into_iter().flatten() {
                data[name] = value.clone();
            }
            made["LaunchTemplateData"] = data;
        }
        template.body["LatestVersionNumber"] = number.into();
        if let Some(versions) = template.body[VERSIONS].as_array_mut() {
            versions.push(made.clone());
        }
        Ok(json!({ "LaunchTemplateVersion": made }))
    })
    .await
}

/// The version that a text means: a number, `$Latest` or `$Default`.
///
/// # Errors
/// When it is not there.
pub fn chosen<'a>(template: &'a Document, wanted: &str) -> Result<&'a Value, ApiError> {
    let number = match wanted {
        "$Latest" => template.body.number("LatestVersionNumber"),
        "$Default" | "" => template.body.number("DefaultVersionNumber"),
        other => other.parse().ok(),
    };
    let found = template
        .body
        .list(VERSIONS)
        .iter()
        .find(|version| version.number("VersionNumber") == number);
    found.ok_or_else(|| {
        let message = format!(
            "Could not find the specified version {wanted} for the launch template with ID {}.",
            template.id
        );
        ApiError::bad_request("InvalidLaunchTemplateId.VersionNotFound", message)
    })
}

/// `ModifyLaunchTemplate`: which version is the default.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    if input.text("LaunchTemplateId").is_some() && input.text("LaunchTemplateName").is_some() {
        let message = "Either provide launch template ID or launch template name to modify the template.";
        return Err(ApiError::bad_request("InvalidParameterCombination", message));
    }
    let wanted = input.text("DefaultVersion").unwrap_or("$Default");
    edit(&context, &input, |template| {
        let number = chosen(template, wanted)?["VersionNumber"].clone();
        template.body["DefaultVersionNumber"] = number.clone();
        for version in template.body[VERSIONS].as_array_mut().into_iter().flatten() {
            version["DefaultVersion"] = (version["VersionNumber"] == number).into();
        }
        Ok(json!({ "LaunchTemplate": view(template) }))
    })
    .await
}

const ONE_IS_MISSING: &str = "At least one of the launch templates specified in the request does not exist.";

/// `DescribeLaunchTemplates`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    for name in input.texts("LaunchTemplateNames") {
        context
            .region
            .ledger
            .read(|state| find(state, None, Some(name)).map(drop))
            .map_err(|error| ApiError::bad_request(&error.code, ONE_IS_MISSING))?;
    }
    let mut answer = document::describe(&context, &input, Kind::LaunchTemplate)?;
    let names = input.texts("LaunchTemplateNames");
    if let Some(templates) = answer["LaunchTemplates"].as_array_mut() {
        templates.retain(|known| names.is_empty() || names.contains(&known.required("LaunchTemplateName")));
        for members in templates.iter_mut().filter_map(Value::as_object_mut) {
            members.remove(VERSIONS);
        }
    }
    Ok(answer)
}

/// What versions can be looked for by.
const VERSION_FILTERS: &[(&str, &str)] = &[
    ("create-time", "CreateTime"),
    ("ebs-optimized", "LaunchTemplateData.EbsOptimized"),
    ("http-endpoint", "LaunchTemplateData.MetadataOptions.HttpEndpoint"),
    ("http-tokens", "LaunchTemplateData.MetadataOptions.HttpTokens"),
    ("iam-instance-profile", "LaunchTemplateData.IamInstanceProfile.Arn"),
    ("image-id", "LaunchTemplateData.ImageId"),
    ("instance-type", "LaunchTemplateData.InstanceType"),
    ("is-default-version", "DefaultVersion"),
    ("kernel-id", "LaunchTemplateData.KernelId"),
    ("ram-disk-id", "LaunchTemplateData.RamDiskId"),
];

/// EC2's sentence about a request that names neither a template nor `$Latest` or `$Default`.
const ALL_OR_ONE: &str = "To describe the launch template data for all your launch templates, for ‘--versions’ specify ‘$Latest’, ‘$Default’, or both, and omit ‘--launch-template-id’, ‘--launch-template-name’, and version numbers. To describe the launch template data for a specific launch template, specify ‘--launch-template-id’ or ‘--launch-template-name’, and for ‘--versions’ specify one or more of the following values: ‘$Latest’, ‘$Default’, or one or more version numbers.";

/// `DescribeLaunchTemplateVersions`: of one template, or the latest and default ones of all.
pub async fn describe_versions(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let wanted = input.texts("Versions");
    let (id, name) = (input.text("LaunchTemplateId"), input.text("LaunchTemplateName"));
    let versions = context.region.ledger.read(|state| {
        let of = |template: &Document| -> Result<Vec<Value>, ApiError> {
            let chosen = wanted.iter().map(|wanted| chosen(template, wanted).cloned());
            chosen.collect()
        };
        if id.is_some() || name.is_some() {
            let template = find(state, id, name)?;
            return match wanted.is_empty() {
                true => Ok(in_range(template, &input)),
                false => of(template),
            };
        }
        if wanted.is_empty() {
            return Err(ApiError::bad_request("MissingParameter", ALL_OR_ONE));
        }
        if wanted.iter().any(|wanted| !matches!(*wanted, "$Latest" | "$Default")) {
            return Err(super::invalid(ALL_OR_ONE));
        }
        let all = document::of_kind(state, Kind::LaunchTemplate).map(of);
        Ok(all.collect::<Result<Vec<_>, ApiError>>()?.concat())
    })?;
    let views = versions
        .into_iter()
        .map(|version| (version, std::collections::BTreeMap::new()));
    document::answer(&input, "LaunchTemplateVersions", VERSION_FILTERS, views.collect())
}

/// The versions of a template between those that a request names, both included.
fn in_range(template: &Document, input: &Value) -> Vec<Value> {
    let bound = |member: &str| input.text(member).and_then(|text| text.parse::<i64>().ok());
    let (low, high) = (bound("MinVersion"), bound("MaxVersion"));
    let is_within = |version: &&Value| {
        let number = version.number("VersionNumber").unwrap_or(0);
        low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high)
    };
    template.body.list(VERSIONS).iter().filter(is_within).cloned().collect()
}

/// `DeleteLaunchTemplateVersions`.
pub async fn delete_versions(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.texts("Versions");
    edit(&context, &input, |template| {
        let default = template.body.number("DefaultVersionNumber").unwrap_or(1).to_string();
        if wanted.contains(&default.as_str()) {
            let message = "You cannot delete the default version of a launch template.";
            return Err(ApiError::bad_request("InvalidLaunchTemplateId.DefaultVersion", message));
        }
        let (id, name) = (template.id.clone(), template.body["LaunchTemplateName"].clone());
        let mut gone = Vec::new();
        if let Some(versions) = template.body[VERSIONS].as_array_mut() {
            versions.retain(|version| {
                let number = version.number("VersionNumber").unwrap_or(0);
                let goes = wanted.contains(&number.to_string().as_str());
                if goes {
                    gone.push(json!({"LaunchTemplateId": id, "LaunchTemplateName": name, "VersionNumber": number}));
                }
                !goes
            });
        }
        Ok(json!({"SuccessfullyDeletedLaunchTemplateVersions": gone, "UnsuccessfullyDeletedLaunchTemplateVersions": []}))
    })
    .await
}

/// `DeleteLaunchTemplate`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let change = context.region.ledger.change(|state| {
        let template = find(state, input.text("LaunchTemplateId"), input.text("LaunchTemplateName"))?;
        let answer = json!({ "LaunchTemplate": view(template) });
        Ok::<_, ApiError>((answer, vec![Change::remove::<Document>(template.id.clone())]))
    });
    change.await
}
