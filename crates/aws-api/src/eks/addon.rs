//! Add-ons: versions, configuration, and those of a cluster.

use aws_types::eks_version::VERSIONS;
use aws_types::time::Time;
use aws_types::{ClusterName, arn};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::addon::{self as rules, Addon, AddonStatus, OFFERED, Offered};
use cluster_lifecycle::refusal::RefusalKind;
use cluster_lifecycle::update::Update;
use serde_json::{Value, json};

use super::cluster::check_role;
use super::nodegroup::wake;
use super::{check_tags, find_cluster, tag_map, view};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;
use crate::page;

/// An add-on as answers show it.
fn shown(addon: &Addon) -> Value {
    let issues: Vec<Value> = addon
        .issues
        .iter()
        .map(|issue| json!({"code": issue.code, "message": issue.message, "resourceIds": issue.resource_ids}))
        .collect();
    json!({
        "addonName": addon.name, "clusterName": addon.cluster, "status": addon.status.name(), "addonVersion": addon.version,
        "health": {"issues": issues}, "addonArn": addon.arn, "createdAt": Time(addon.created_at),
        "modifiedAt": Time(addon.modified_at), "serviceAccountRoleArn": addon.service_account_role_arn, "tags": addon.tags,
        "configurationValues": addon.configuration_values, "podIdentityAssociations": addon.associations,
        "owner": "aws", "publisher": "eks",
    })
}

fn offered(name: &str) -> Result<&'static Offered, Refusal> {
    rules::offered(name)
        .ok_or_else(|| Refusal::invalid_parameter(format!("Addon {name} specified is not supported")).of_addon(name))
}

/// The named add-on of the named cluster.
///
/// # Errors
/// When one of them is not there.
pub fn find<'a>(state: &'a State, cluster: Option<&str>, name: &str) -> Result<&'a Addon, Refusal> {
    let cluster = &find_cluster(state, cluster)?.name;
    state.addons.get(&(cluster.clone(), name.to_owned())).ok_or_else(|| {
        let message = format!("No addon: {name} found in cluster: {cluster}");
        Refusal::new(RefusalKind::ResourceNotFound, message)
            .of_cluster(cluster.as_str())
            .of_addon(name)
    })
}

/// `CreateAddon`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("addonName");
    let (uuid, now) = (context.region.random.uuid(), context.region.clock.now());
    let tags = tag_map(&input);
    check_tags(&tags)?;
    if let Some(role) = input.text("serviceAccountRoleArn") {
        check_role("serviceAccountRoleArn", Some(role))?;
    }
    let made = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        if let Ok(existing) = find(state, input.text("clusterName"), name) {
            if existing.client_request_token.is_some()
                && existing.client_request_token.as_deref() == input.text("clientRequestToken")
            {
                return Ok((shown(existing), Vec::new()));
            }
            let refusal = Refusal::in_use("Addon already exists.")
                .of_cluster(cluster.name.as_str())
                .of_addon(name);
            return Err(ApiError::from(refusal));
        }
        let known = offered(name)?;
        cluster.require_active("create an add-on")?;
        let version = known.version(input.text("addonVersion"), &cluster.version)?;
        rules::values(known, input.text("configurationValues"))?;
        let mut addon = Addon {
            cluster: cluster.name.clone(),
            name: name.to_owned(),
            arn: arn::addon(
                &context.region.name,
                &context.caller.account,
                &cluster.name,
                name,
                &uuid,
            ),
            version,
            status: AddonStatus::Creating,
            service_account_role_arn: input.text("serviceAccountRoleArn").map(str::to_owned),
            configuration_values: input.text("configurationValues").map(str::to_owned),
            associations: Vec::new(),
            created_at: now,
            modified_at: now,
            tags,
            issues: Vec::new(),
            resolve_conflicts: input.text("resolveConflicts").unwrap_or("NONE").to_owned(),
            preserve: false,
            update: None,
            client_request_token: input.text("clientRequestToken").map(str::to_owned),
        };
        let mut changes = super::pod_identity::of_addon(&context, state, &mut addon, &input)?;
        let answer = shown(&addon);
        changes.push(Change::put(addon));
        Ok((answer, changes))
    });
    let addon = made.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "addon": addon }))
}

/// `DescribeAddon`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| find(state, input.text("clusterName"), input.required("addonName")).map(shown);
    Ok(json!({ "addon": context.region.ledger.read(look)? }))
}

/// `ListAddons`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let own = state.addons.values().filter(|addon| addon.cluster == cluster.name);
        Ok::<_, Refusal>(own.map(|addon| addon.name.clone()).collect())
    })?;
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    Ok(json!({"addons": names, "nextToken": next}))
}

/// `UpdateAddon`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("addonName");
    let id = context.region.random.uuid();
    let now = context.region.clock.now();
    let changed = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let mut addon = find(state, input.text("clusterName"), name)?.clone();
        if matches!(
            addon.status,
            AddonStatus::Creating | AddonStatus::Updating | AddonStatus::Deleting
        ) {
            let message = format!(
                "Addon cannot be updated as it is currently in {} state",
                addon.status.name()
            );
            return Err(ApiError::from(
                Refusal::in_use(message)
                    .of_cluster(cluster.name.as_str())
                    .of_addon(name),
            ));
        }
        let known = offered(name)?;
        let mut params = Vec::new();
        if let Some(version) = input.text("addonVersion") {
            addon.version = known.version(Some(version), &cluster.version)?;
            params.push(("AddonVersion".to_owned(), addon.version.clone()));
        }
        if let Some(role) = input.text("serviceAccountRoleArn") {
            check_role("serviceAccountRoleArn", Some(role))?;
            addon.service_account_role_arn = Some(role.to_owned());
            params.push(("ServiceAccountRoleArn".to_owned(), role.to_owned()));
        }
        if let Some(values) = input.text("configurationValues") {
            rules::values(known, Some(values))?;
            addon.configuration_values = Some(values.to_owned());
            params.push(("ConfigurationValues".to_owned(), values.to_owned()));
        }
        addon.resolve_conflicts = input.text("resolveConflicts").unwrap_or("NONE").to_owned();
        params.push(("ResolveConflicts".to_owned(), addon.resolve_conflicts.clone()));
        let mut changes = super::pod_identity::of_addon(&context, state, &mut addon, &input)?;
        addon.status = AddonStatus::Updating;
        addon.modified_at = now;
        addon.update = Some(id.clone());
        let update = Update {
            addon: Some(name.to_owned()),
            ..Update::new(id.clone(), cluster.name.clone(), "AddonUpdate", params, now)
        };
        let answer = view::update(&update);
        changes.extend([Change::put(addon), Change::put(update)]);
        Ok((answer, changes))
    });
    let update = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "update": update }))
}

/// `DeleteAddon`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let changed = context.region.ledger.change(|state| {
        let mut addon = find(state, input.text("clusterName"), input.required("addonName"))?.clone();
        addon.status = AddonStatus::Deleting;
        addon.preserve = input.flag("preserve").unwrap_or(false);
        let own = state
            .pod_identities
            .values()
            .filter(|known| known.owner_arn.as_ref() == Some(&addon.arn));
        let mut changes: Vec<Change> = own
            .map(|known| {
                Change::remove::<cluster_lifecycle::pod_identity::PodIdentityAssociation>((
                    known.cluster.clone(),
                    known.id.clone(),
                ))
            })
            .collect();
        let answer = shown(&addon);
        changes.push(Change::put(addon));
        Ok::<_, ApiError>((answer, changes))
    });
    let addon = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "addon": addon }))
}

/// `DescribeAddonVersions`.
pub async fn versions(_context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.text("addonName");
    if let Some(name) = wanted {
        offered(name)
            .map_err(|_refusal| Refusal::new(RefusalKind::ResourceNotFound, format!("Addon {name} not found")))?;
    }
    let fits = |member: &str, value: &str| {
        let list = input.texts(member);
        list.is_empty() || list.contains(&value)
    };
    let names = OFFERED
        .iter()
        .filter(|addon| wanted.is_none_or(|name| name == addon.name) && fits("types", addon.kind))
        .filter(|_| fits("owners", "aws") && fits("publishers", "eks"))
        .map(|addon| addon.name.to_owned())
        .collect();
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    let minors: Vec<&str> = VERSIONS
        .iter()
        .map(|version| version.minor)
        .filter(|minor| input.text("kubernetesVersion").is_none_or(|wanted| wanted == *minor))
        .collect();
    let infos: Vec<Value> = names
        .iter()
        .filter_map(|name| rules::offered(name))
        .map(|addon| info(addon, &minors))
        .collect();
    Ok(json!({"addons": infos, "nextToken": next}))
}

fn info(addon: &Offered, minors: &[&str]) -> Value {
    let mut all: Vec<(String, Vec<Value>)> = Vec::new();
    for minor in minors {
        let versions = addon.versions(minor);
        for version in versions.iter().rev() {
            let compatibility = json!({
                "clusterVersion": minor, "platformVersions": ["*"], "defaultVersion": Some(version) == versions.last(),
            });
            match all.iter_mut().find(|(known, _)| known == version) {
                Some((_, compatibilities)) => compatibilities.push(compatibility),
                None => all.push((version.clone(), vec![compatibility])),
            }
        }
    }
    let versions: Vec<Value> = all
        .into_iter()
        .map(|(version, compatibilities)| {
            json!({
                "addonVersion": version, "architecture": ["amd64", "arm64"], "computeTypes": ["ec2"],
                "compatibilities": compatibilities, "requiresConfiguration": false,
                "requiresIamPermissions": addon.needs_permissions,
            })
        })
        .collect();
    json!({
        "addonName": addon.name, "type": addon.kind, "addonVersions": versions, "publisher": "eks", "owner": "aws",
        "defaultNamespace": "kube-system",
    })
}

/// `DescribeAddonConfiguration`.
pub async fn configuration(_context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, version) = (input.required("addonName"), input.required("addonVersion"));
    let known = offered(name).ok().filter(|known| {
        VERSIONS
            .iter()
            .any(|minor| known.versions(minor.minor).iter().any(|own| own == version))
    });
    let known = known.ok_or_else(|| {
        Refusal::new(
            RefusalKind::ResourceNotFound,
            format!("Addon {name} with version {version} not found"),
        )
    })?;
    let identities = if known.needs_permissions {
        json!([{"serviceAccount": known.service_account, "recommendedManagedPolicies": [known.policy]}])
    } else {
        json!([])
    };
    Ok(json!({
        "addonName": name, "addonVersion": version, "configurationSchema": known.schema, "podIdentityConfiguration": identities,
    }))
}

/// The add-ons that a new cluster has without being asked are not EKS's to manage: they have no record.
pub fn of_cluster<'a>(state: &'a State, cluster: &'a ClusterName) -> impl Iterator<Item = &'a Addon> {
    state.addons.values().filter(move |addon| addon.cluster == *cluster)
}
