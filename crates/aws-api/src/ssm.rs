//! Systems Manager's parameters: those of users, and the public ones that name machine images.

mod public;

use aws_types::time::Time;
use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// The most letters of a standard parameter's value, and of an advanced one's.
const MOST: [usize; 2] = [4096, 8192];
/// The most versions of a parameter.
const MOST_VERSIONS: usize = 100;

fn not_found(name: &str) -> ApiError {
    ApiError::bad_request("ParameterNotFound", format!("Parameter {name} not found."))
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("ValidationException", message)
}

/// A parameter's own name, where it is given as an ARN, and the version or label behind it.
fn named(text: &str) -> (&str, Option<&str>) {
    let name = match text.split_once(":parameter/") {
        Some((arn, name)) if arn.starts_with("arn:") => {
            // The slash before a hierarchy is the one of the ARN.
            if name.contains('/') {
                &text[arn.len() + ":parameter".len()..]
            } else {
                name
            }
        }
        _ => text,
    };
    match name.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (name, None),
    }
}

fn arn(context: &Context, name: &str) -> String {
    let slash = if name.starts_with('/') { "" } else { "/" };
    format!(
        "arn:aws:ssm:{}:{}:parameter{slash}{name}",
        context.region.name, context.caller.account
    )
}

/// The version of a parameter that a selector means.
fn chosen<'a>(parameter: &'a Item, selector: Option<&str>) -> Option<&'a Value> {
    let versions = parameter.body.list("Versions");
    match selector {
        None => versions.last(),
        Some(selector) => versions.iter().find(|version| {
            version.number("Version").map(|number| number.to_string()).as_deref() == Some(selector)
                || version.texts("Labels").contains(&selector)
        }),
    }
}

/// A parameter as `GetParameter` shows it.
fn view(context: &Context, state: &State, asked: &str, decrypt: bool) -> Option<Value> {
    let (name, selector) = named(asked);
    if let Some(value) = public::value(name).filter(|_| selector.is_none()) {
        return Some(public::view(context, name, &value));
    }
    let parameter = catalogue::find(state, ItemKind::Parameter, name)?;
    let version = chosen(parameter, selector)?;
    let kind = version.required("Type");
    let value = match kind {
        // What only a key opens is shown closed.
        "SecureString" if !decrypt => format!("kms:{}", version.required("KeyId")),
        _ => version.required("Value").to_owned(),
    };
    let mut view = json!({
        "Name": name, "Type": kind, "Value": value, "Version": version["Version"], "ARN": arn(context, name),
        "LastModifiedDate": version["LastModifiedDate"], "DataType": version["DataType"],
    });
    if let Some(selector) = selector {
        view["Selector"] = format!(":{selector}").into();
    }
    Some(view)
}

/// `GetParameter`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, decrypt) = (input.required("Name"), input.flag("WithDecryption").unwrap_or(false));
    let found = context.region.ledger.read(|state| {
        let is_known = catalogue::find(state, ItemKind::Parameter, named(name).0).is_some();
        view(&context, state, name, decrypt).ok_or(is_known)
    });
    let parameter = found.map_err(|is_known| match (is_known, named(name).1) {
        (true, Some(selector)) => {
            let message = format!(
                "Systems Manager could not find version {selector} of {}. Verify the version and try again.",
                named(name).0
            );
            ApiError::bad_request("ParameterVersionNotFound", message)
        }
        _ => not_found(name),
    })?;
    Ok(json!({ "Parameter": parameter }))
}

/// `GetParameters`.
pub async fn get_several(context: Context, input: Value) -> Result<Value, ApiError> {
    let decrypt = input.flag("WithDecryption").unwrap_or(false);
    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    context.region.ledger.read(|state| {
        for name in input.texts("Names") {
            match view(&context, state, name, decrypt) {
                Some(view) => found.push(view),
                None => unknown.push(name),
            }
        }
    });
    Ok(json!({"Parameters": found, "InvalidParameters": unknown}))
}

fn paged(input: &Value, member: &str, views: Vec<Value>, usual: usize) -> Result<Value, ApiError> {
    let wrong = || ApiError::bad_request("InvalidNextToken", "The specified token isn't valid.");
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("MaxResults"), usual, wrong)?;
    Ok(json!({member: page, "NextToken": next}))
}

/// `GetParametersByPath`.
pub async fn by_path(context: Context, input: Value) -> Result<Value, ApiError> {
    let path = input.required("Path");
    if !path.starts_with('/') {
        let message = "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".";
        return Err(validation(message));
    }
    let prefix = if path.ends_with('/') {
        path.to_owned()
    } else {
        format!("{path}/")
    };
    let recursive = input.flag("Recursive").unwrap_or(false);
    let decrypt = input.flag("WithDecryption").unwrap_or(false);
    let is_below = |name: &str| {
        name.strip_prefix(&prefix)
            .is_some_and(|rest| recursive || !rest.contains('/'))
    };
    let views = context.region.ledger.read(|state| {
        let own = catalogue::beginning(state, ItemKind::Parameter, &prefix).map(|one| one.key.clone());
        let names = public::names().into_iter().chain(own).filter(|name| is_below(name));
        names.filter_map(|name| view(&context, state, &name, decrypt)).collect()
    });
    paged(&input, "Parameters", views, 10)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_.-/".contains(letter);
    let lower = name.to_ascii_lowercase();
    let reserved = ["aws", "ssm"]
        .iter()
        .any(|word| lower.starts_with(word) || lower.starts_with(&format!("/{word}")));
    if name.is_empty() || !name.chars().all(allowed) {
        let message = format!(
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_ ({name})"
        );
        return Err(validation(message));
    }
    if reserved {
        return Err(ApiError::bad_request(
            "AccessDeniedException",
            "No access to reserved parameter name: ".to_owned() + name + ".",
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(validation("Parameter name must be a fully qualified name."));
    }
    Ok(())
}

/// `PutParameter`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    check_name(name)?;
    let (value, tier) = (input.required("Value"), input.text("Tier").unwrap_or("Standard"));
    let most = MOST[usize::from(tier != "Standard")];
    if value.chars().count() > most {
        let message = format!("{tier} tier parameters support a maximum parameter value of {most} characters.");
        return Err(validation(message));
    }
    let now = Time(context.region.clock.now());
    let decide = |state: &State| {
        let known = catalogue::find(state, ItemKind::Parameter, name);
        if known.is_some() && input.flag("Overwrite") != Some(true) {
            let message = "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.";
            return Err(ApiError::bad_request("ParameterAlreadyExists", message));
        }
        let before = known.and_then(|known| chosen(known, None));
        let kind = input.text("Type").or(before.and_then(|before| before.text("Type")));
        let Some(kind) = kind else {
            return Err(validation("A parameter type is required when you create a parameter."));
        };
        let number = before.and_then(|before| before.number("Version")).unwrap_or(0) + 1;
        let key = (kind == "SecureString").then(|| input.text("KeyId").unwrap_or("alias/aws/ssm"));
        let version = json!({
            "Version": number, "Type": kind, "Value": value, "LastModifiedDate": now, "KeyId": key, "Labels": [],
            "LastModifiedUser": context.caller.arn, "DataType": input.text("DataType").unwrap_or("text"), "Tier": tier,
            "Description": input.text("Description").or(before.and_then(|before| before.text("Description"))),
            "AllowedPattern": input.text("AllowedPattern"), "Policies": [],
        });
        let mut parameter = known.cloned().unwrap_or_else(|| {
            Item::new(ItemKind::Parameter, name, json!({"Versions": []})).tagged(input.tags("Tags"))
        });
        if let Some(versions) = parameter.body["Versions"].as_array_mut() {
            versions.push(version);
            if versions.len() > MOST_VERSIONS {
                versions.remove(0);
            }
        }
        Ok::<_, ApiError>((json!({"Version": number, "Tier": tier}), vec![Change::put(parameter)]))
    };
    context.region.ledger.change(decide).await
}

/// `DeleteParameter`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    catalogue::remove(&context, ItemKind::Parameter, named(name).0, || not_found(name)).await?;
    Ok(nothing())
}

/// `DeleteParameters`.
pub async fn delete_several(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let names = input.texts("Names").into_iter();
        let (gone, unknown): (Vec<&str>, Vec<&str>) =
            names.partition(|name| catalogue::find(state, ItemKind::Parameter, name).is_some());
        let changes = gone
            .iter()
            .map(|name| Change::remove::<Item>((ItemKind::Parameter, (*name).to_owned())));
        Ok::<_, ApiError>((
            json!({"DeletedParameters": gone, "InvalidParameters": unknown}),
            changes.collect(),
        ))
    };
    context.region.ledger.change(decide).await
}

fn metadata(context: &Context, name: &str, version: &Value) -> Value {
    let mut view = json!({
        "Name": name, "ARN": arn(context, name), "Policies": [], "LastModifiedUser": version["LastModifiedUser"],
    });
    for member in [
        "Type",
        "KeyId",
        "LastModifiedDate",
        "Description",
        "AllowedPattern",
        "Version",
        "Tier",
        "DataType",
    ] {
        view[member] = version[member].clone();
    }
    view
}

/// Whether a parameter passes `ParameterFilters`.
fn passes(input: &Value, name: &str, version: &Value, item: &Item) -> bool {
    input.list("ParameterFilters").iter().all(|filter| {
        let values = filter.texts("Values");
        let option = filter.text("Option").unwrap_or("Equals");
        let fits = |own: &str| {
            values.iter().any(|wanted| match option {
                "BeginsWith" => own.starts_with(wanted) || own.starts_with(&format!("/{wanted}")),
                "Contains" => own.contains(wanted),
                _ => own == *wanted || own == format!("/{wanted}"),
            })
        };
        match filter.required("Key") {
            "Name" => fits(name),
            "Type" => fits(version.required("Type")),
            "KeyId" => fits(version.required("KeyId")),
            "Tier" => fits(version.required("Tier")),
            "DataType" => fits(version.required("DataType")),
            "Path" => values.iter().any(|path| {
                let prefix = format!("{}/", path.trim_end_matches('/'));
                let rest = name.strip_prefix(&prefix);
                rest.is_some_and(|rest| option == "Recursive" || !rest.contains('/'))
            }),
            other => match other.strip_prefix("tag:") {
                Some(key) => item
                    .tags
                    .get(key)
                    .is_some_and(|own| values.is_empty() || values.contains(&own.as_str())),
                None => true,
            },
        }
    })
}

/// `DescribeParameters`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let older = input.list("Filters");
    let views = context.region.ledger.read(|state| {
        let own = catalogue::of_kind(state, ItemKind::Parameter).filter_map(|one| Some((one, chosen(one, None)?)));
        let named = |name: &str, version: &Value| {
            older.iter().all(|filter| {
                let value = if filter.text("Key") == Some("Type") {
                    version.required("Type")
                } else {
                    name
                };
                filter.texts("Values").iter().any(|wanted| value.starts_with(wanted))
            })
        };
        own.filter(|(one, version)| passes(&input, &one.key, version, one) && named(&one.key, version))
            .map(|(one, version)| metadata(&context, &one.key, version))
            .collect()
    });
    paged(&input, "Parameters", views, 10)
}

/// `GetParameterHistory`.
pub async fn history(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    let decrypt = input.flag("WithDecryption").unwrap_or(false);
    let views = context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::Parameter, named(name).0).ok_or_else(|| not_found(name))?;
        let version = |version: &Value| {
            let mut view = metadata(&context, &known.key, version);
            if let Some(members) = view.as_object_mut() {
                members.remove("ARN");
            }
            view["Labels"] = version["Labels"].clone();
            view["Value"] = if version.text("Type") == Some("SecureString") && !decrypt {
                format!("kms:{}", version.required("KeyId")).into()
            } else {
                version["Value"].clone()
            };
            view
        };
        Ok::<_, ApiError>(known.body.list("Versions").iter().map(version).collect())
    })?;
    paged(&input, "Parameters", views, 50)
}

/// `LabelParameterVersion`.
pub async fn label(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    let labels = input.texts("Labels");
    catalogue::edit(
        &context,
        ItemKind::Parameter,
        name,
        || not_found(name),
        |_, parameter| {
            let latest = chosen(parameter, None).and_then(|version| version.number("Version"));
            let wanted = input.number("ParameterVersion").or(latest);
            let versions = parameter.body["Versions"].as_array_mut().into_iter().flatten();
            let mut found = false;
            for version in versions {
                let is_it = version.number("Version") == wanted;
                found |= is_it;
                let mut own: Vec<String> = version
                    .texts("Labels")
                    .into_iter()
                    .filter(|label| !labels.contains(label))
                    .map(str::to_owned)
                    .collect();
                own.extend(labels.iter().filter(|_| is_it).map(|label| (*label).to_owned()));
                version["Labels"] = own.into();
            }
            if !found {
                let message = format!(
                    "Systems Manager could not find version {} of {name}.",
                    wanted.unwrap_or(0)
                );
                return Err(ApiError::bad_request("ParameterVersionNotFound", message));
            }
            Ok(json!({"InvalidLabels": [], "ParameterVersion": wanted}))
        },
    )
    .await
}

fn no_resource(id: &str) -> ApiError {
    ApiError::bad_request(
        "InvalidResourceId",
        format!("The resource ID \"{id}\" is not valid. Verify the ID and try again."),
    )
}

/// `AddTagsToResource`.
pub async fn add_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ResourceId");
    catalogue::edit(
        &context,
        ItemKind::Parameter,
        id,
        || no_resource(id),
        |_, parameter| {
            parameter.tags.extend(input.tags("Tags"));
            Ok(nothing())
        },
    )
    .await
}

/// `RemoveTagsFromResource`.
pub async fn remove_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ResourceId");
    catalogue::edit(
        &context,
        ItemKind::Parameter,
        id,
        || no_resource(id),
        |_, parameter| {
            input
                .texts("TagKeys")
                .into_iter()
                .for_each(|key| drop(parameter.tags.remove(key)));
            Ok(nothing())
        },
    )
    .await
}

/// `ListTagsForResource`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ResourceId");
    context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::Parameter, id).ok_or_else(|| no_resource(id))?;
        Ok(json!({ "TagList": tag_list(&known.tags) }))
    })
}
