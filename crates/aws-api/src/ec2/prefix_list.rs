//! Managed prefix lists: blocks of addresses under one name, with versions; and the lists that AWS manages.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// The entries of each version, by number.
const VERSIONS: &str = "_Versions";

fn entries(given: &[Value]) -> Result<Vec<Value>, ApiError> {
    let one = |entry: &Value| {
        let block = entry.required("Cidr");
        if block.parse::<ipnet::IpNet>().is_err() {
            return Err(invalid(format!("The CIDR {block} is invalid.")));
        }
        let mut kept = json!({ "Cidr": block });
        if let Some(text) = entry.text("Description") {
            kept["Description"] = text.into();
        }
        Ok(kept)
    };
    given.iter().map(one).collect()
}

/// The IPv4 ranges that a list holds now; none when it is gone.
pub fn ranges(state: &State, id: &str) -> Vec<Ipv4Net> {
    let Ok(known) = document::find(state, Kind::PrefixList, id) else {
        return Vec::new();
    };
    let version = known.body.number("Version").unwrap_or(1).to_string();
    let entries = known.body[VERSIONS].list(&version).iter();
    entries.filter_map(|entry| entry.text("Cidr")?.parse().ok()).collect()
}

fn too_many(most: i64) -> ApiError {
    let message = format!("You've reached the maximum number of entries for the prefix list ({most}).");
    ApiError::bad_request("PrefixListMaxEntriesExceeded", message)
}

/// `CreateManagedPrefixList`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let (entries, most) = (entries(input.list("Entries"))?, input.number("MaxEntries").unwrap_or(0));
    if i64::try_from(entries.len()).unwrap_or(i64::MAX) > most {
        return Err(too_many(most));
    }
    let body = json!({
        "PrefixListName": input.text("PrefixListName"), "AddressFamily": input.text("AddressFamily"), "MaxEntries": most,
        "State": "create-complete", "Version": 1, "OwnerId": context.caller.account, VERSIONS: {"1": entries},
    });
    let mut made = Document::new(&context, Kind::PrefixList, &input, body);
    made.body["PrefixListArn"] = format!(
        "arn:aws:ec2:{}:{}:prefix-list/{}",
        context.region.name, context.caller.account, made.id
    )
    .into();
    document::create(&context, &input, made, "PrefixList", |_| Ok(())).await
}

/// `DescribeManagedPrefixLists`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::PrefixList)
}

/// `GetManagedPrefixListEntries`.
pub async fn entries_of(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let found = context.region.ledger.read(|state| {
        let known = document::find(state, Kind::PrefixList, input.required("PrefixListId"))?;
        let version = input
            .number("TargetVersion")
            .or_else(|| known.body.number("Version"))
            .unwrap_or(1);
        let entries = known.body[VERSIONS].get(version.to_string()).and_then(Value::as_array);
        entries
            .cloned()
            .ok_or_else(|| invalid(format!("The prefix list {} has no version {version}", known.id)))
    })?;
    document::page(&input, "Entries", found)
}

/// `ModifyManagedPrefixList`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("PrefixListId");
    let (added, removed) = (entries(input.list("AddEntries"))?, input.list("RemoveEntries"));
    document::edit(&context, &input, Kind::PrefixList, id, |_, known| {
        let version = known.body.number("Version").unwrap_or(1);
        if input.number("CurrentVersion").is_some_and(|current| current != version) {
            let message = "The prefix list has the incorrect version number.";
            return Err(ApiError::bad_request("PrefixListVersionMismatch", message));
        }
        if let Some(name) = input.text("PrefixListName") {
            known.body["PrefixListName"] = name.into();
        }
        if let Some(most) = input.number("MaxEntries") {
            known.body["MaxEntries"] = most.into();
        }
        if !added.is_empty() || !removed.is_empty() {
            let mut all = known.body[VERSIONS].list(&version.to_string()).to_vec();
            all.retain(|entry| !removed.iter().any(|gone| gone["Cidr"] == entry["Cidr"]));
            for entry in added {
                all.retain(|old| old["Cidr"] != entry["Cidr"]);
                all.push(entry);
            }
            let most = known.body.number("MaxEntries").unwrap_or(0);
            if i64::try_from(all.len()).unwrap_or(i64::MAX) > most {
                return Err(too_many(most));
            }
            known.body[VERSIONS][(version + 1).to_string()] = all.into();
            known.body["Version"] = (version + 1).into();
        }
        known.body["State"] = "modify-complete".into();
        Ok(json!({ "PrefixList": known.view() }))
    })
    .await
}

/// `DeleteManagedPrefixList`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("PrefixListId");
    let mut view = context
        .region
        .ledger
        .read(|state| Ok::<_, ApiError>(document::find(state, Kind::PrefixList, id)?.view()))?;
    document::remove(&context, &input, Kind::PrefixList, id, |_: &State, _| Ok(())).await?;
    view["State"] = "delete-complete".into();
    Ok(json!({ "PrefixList": view }))
}

/// `DescribePrefixLists`: of services that a gateway endpoint reaches.
pub async fn of_services(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let region = &context.region.name;
    let lists = [
        ("pl-00a54069", "s3", vec!["52.216.0.0/15", "54.231.0.0/16"]),
        ("pl-00a5406a", "dynamodb", vec!["52.94.0.0/22", "52.119.224.0/20"]),
    ];
    let ids = input.texts("PrefixListIds");
    let views = lists
        .into_iter()
        .filter(|(id, ..)| ids.is_empty() || ids.contains(id))
        .map(|(id, service, cidrs)| {
            let view = json!({"PrefixListId": id, "PrefixListName": format!("com.amazonaws.{region}.{service}"), "Cidrs": cidrs});
            (view, Default::default())
        })
        .collect();
    let filters = [
        ("prefix-list-id", "PrefixListId"),
        ("prefix-list-name", "PrefixListName"),
    ];
    document::answer(&input, "PrefixLists", &filters, views)
}
