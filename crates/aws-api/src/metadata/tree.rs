//! The tree of an instance's metadata: what is at each path, and what a directory lists. Pure: facts in, texts out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::facts::Facts;

#[cfg(test)]
mod tests;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A text.
    Text(String),
    /// The credentials of the instance's role, which are made when they are asked for.
    Credentials,
    /// What the instance was started with.
    UserData(Vec<u8>),
}

/// What is at `path`, which begins with the version: `/latest/meta-data/instance-id`. A directory is a list of what is in it.
pub fn look(facts: &Facts, path: &str) -> Option<Found> {
    let path = path.trim_start_matches('/');
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    if version.is_empty() {
        return Some(Found::Text("2024-04-11\nlatest".to_owned()));
    }
    if !is_version(version) {
        return None;
    }
    let wanted = rest.trim_end_matches('/');
    if wanted == "user-data" {
        return facts.user_data.clone().map(Found::UserData);
    }
    let role = role_name(&facts.role);
    if wanted == format!("meta-data/iam/security-credentials/{role}") {
        return Some(Found::Credentials);
    }
    let leaves = leaves(facts);
    if let Some(text) = leaves.get(wanted) {
        return Some(Found::Text(text.clone()));
    }
    let listed = list(&leaves, wanted, facts.user_data.is_some());
    (!listed.is_empty()).then(|| Found::Text(listed.into_iter().collect::<Vec<_>>().join("\n")))
}

/// The name of a role from its ARN, which may have a path.
pub fn role_name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// `latest`, or a day on which an API version was published.
fn is_version(text: &str) -> bool {
    let is_day = text.len() == 10 && text.bytes().all(|letter| letter.is_ascii_digit() || letter == b'-');
    text == "latest" || text == "1.0" || is_day
}

/// What a directory holds; further directories end with a slash.
fn list(leaves: &BTreeMap<String, String>, directory: &str, has_user_data: bool) -> BTreeSet<String> {
    let prefix = if directory.is_empty() {
        String::new()
    } else {
        format!("{directory}/")
    };
    let below = leaves.keys().filter_map(|path| path.strip_prefix(&prefix));
    let mut listed: BTreeSet<String> = below
        .map(|rest| match rest.split_once('/') {
            Some((first, _)) if directory.is_empty() => first.to_owned(),
            Some((first, _)) => format!("{first}/"),
            None => rest.to_owned(),
        })
        .collect();
    if directory.is_empty() && has_user_data {
        listed.insert("user-data".to_owned());
    }
    listed
}

/// Every text but credentials and user data, by path without the version.
fn leaves(facts: &Facts) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let mut put = |path: String, text: String| {
        leaves.insert(path, text);
    };
    for (path, text) in plain(facts) {
        put(format!("meta-data/{path}"), text);
    }
    for (path, text) in interface(facts) {
        put(
            format!("meta-data/network/interfaces/macs/{}/{path}", facts.mac()),
            text,
        );
    }
    if !facts.role.is_empty() {
        // What is there is made when it is asked for: see `Found::Credentials`.
        let path = format!("meta-data/iam/security-credentials/{}", role_name(&facts.role));
        put(path, String::new());
        put("meta-data/iam/info".to_owned(), profile(facts));
    }
    if facts.options.tags {
        for (key, value) in facts.tags.iter().filter(|(key, _)| !key.contains('/')) {
            put(format!("meta-data/tags/instance/{key}"), value.clone());
        }
    }
    put("dynamic/instance-identity/document".to_owned(), identity(facts));
    put("dynamic/fws/instance-monitoring".to_owned(), "disabled".to_owned());
    leaves
}

fn plain(facts: &Facts) -> Vec<(&'static str, String)> {
    let names = |of: fn(&(String, String)) -> &String| joined(facts.security_groups.iter().map(of));
    let texts = [
        ("ami-id", facts.image.as_str()),
        ("ami-launch-index", "0"),
        ("ami-manifest-path", "(unknown)"),
        ("autoscaling/target-lifecycle-state", "InService"),
        ("block-device-mapping/ami", "/dev/xvda"),
        ("block-device-mapping/root", "/dev/xvda"),
        ("events/maintenance/history", "[]"),
        ("events/maintenance/scheduled", "[]"),
        ("hostname", facts.name.as_str()),
        ("instance-action", "none"),
        ("instance-id", facts.id.as_str()),
        ("instance-life-cycle", if facts.spot { "spot" } else { "on-demand" }),
        ("instance-type", facts.instance_type.as_str()),
        ("local-hostname", facts.name.as_str()),
        ("placement/availability-zone", facts.zone.as_str()),
        ("placement/region", facts.region.as_str()),
        ("profile", "default-hvm"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
        ("system", "nitro"),
    ];
    let mut all: Vec<(&'static str, String)> = texts.into_iter().map(|(path, text)| (path, text.to_owned())).collect();
    all.push(("local-ipv4", facts.address.to_string()));
    all.push(("mac", facts.mac()));
    all.push(("reservation-id", facts.id.as_str().replacen("i-", "r-", 1)));
    all.push(("security-groups", names(|(_, name)| name)));
    all.extend(
        facts
            .zone_id
            .iter()
            .map(|id| ("placement/availability-zone-id", id.clone())),
    );
    all
}

fn interface(facts: &Facts) -> Vec<(&'static str, String)> {
    let groups = |of: fn(&(String, String)) -> &String| joined(facts.security_groups.iter().map(of));
    let addresses = std::iter::once(&facts.address).chain(&facts.secondary);
    vec![
        ("device-number", "0".to_owned()),
        ("interface-id", facts.interface.clone()),
        ("local-hostname", facts.name.clone()),
        ("local-ipv4s", joined(addresses)),
        ("mac", facts.mac()),
        ("network-card", "0".to_owned()),
        ("owner-id", facts.account.to_string()),
        ("security-group-ids", groups(|(id, _)| id)),
        ("security-groups", groups(|(_, name)| name)),
        ("subnet-id", facts.subnet.clone()),
        ("subnet-ipv4-cidr-block", facts.subnet_block.clone()),
        ("vpc-id", facts.vpc.to_string()),
        ("vpc-ipv4-cidr-block", facts.vpc_block.clone()),
        ("vpc-ipv4-cidr-blocks", facts.vpc_block.clone()),
    ]
}

fn joined<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join("\n")
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}")
}

/// `iam/info`. A profile's id follows from its name, since EKS's own profiles are no records.
fn profile(facts: &Facts) -> String {
    let letters: String = role_name(&facts.profile)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    pretty(&json!({
        "Code": "Success", "LastUpdated": moment(facts.launched_at), "InstanceProfileArn": facts.profile,
        "InstanceProfileId": format!("AIPA{}", letters.to_uppercase()).chars().take(21).collect::<String>(),
    }))
}

/// A time as metadata shows it.
pub fn moment(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn identity(facts: &Facts) -> String {
    pretty(&json!({
        "accountId": facts.account, "architecture": facts.architecture, "availabilityZone": facts.zone,
        "billingProducts": null, "devpayProductCodes": null, "marketplaceProductCodes": null, "imageId": facts.image,
        "instanceId": facts.id, "instanceType": facts.instance_type, "kernelId": null,
        "pendingTime": moment(facts.launched_at), "privateIp": facts.address, "ramdiskId": null, "region": facts.region,
        "version": "2017-09-30",
    }))
}
