//! The provider `kms`: a plugin behind a socket, of version 2.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_rules::field::Errors;

use super::{Kms, Provider};
use crate::encryption::plugins::PluginService;

/// How long a plugin may take when the file does not say.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The provider, if nothing is wrong with it. Source: `validateKMSConfiguration`.
pub(super) fn read(given: &Kms, field: &str, plugins: &mut BTreeSet<String>, errors: &mut Errors) -> Option<Provider> {
    let before = errors.iter().count();
    // Upstream's default is the older version, which it then refuses.
    let version = given.api_version.as_deref().unwrap_or("v1");
    let name = given.name.as_str();
    let name_field = format!("{field}.name");
    if name.is_empty() {
        errors.required(&name_field, "name is a mandatory field for a provider");
    }
    if version != "v1" && name.contains(':') {
        let detail = format!("invalid KMS provider name {name}, must not contain ':'");
        errors.invalid(&name_field, name, detail);
    }
    if version != "v1" && plugins.contains(name) {
        let detail = format!("duplicate KMS provider name {name}, names must be unique");
        errors.invalid(&name_field, name, detail);
    }
    plugins.insert(name.to_owned());
    let timeout = timeout(given.timeout.as_deref(), &format!("{field}.timeout"), errors);
    let socket = socket(&given.endpoint, &format!("{field}.endpoint"), errors);
    if let (true, Some(size)) = (version != "v1", given.cache_size) {
        errors.invalid(format!("{field}.cachesize"), size, "cachesize is not supported in v2");
    }
    match version {
        "v2" => {}
        "v1" => {
            let detail = "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  Set \
                          --feature-gates=KMSv1=true to use the deprecated KMSv1 feature.";
            errors.forbidden(format!("{field}.apiVersion"), detail);
        }
        other => {
            let detail = "unsupported apiVersion apiVersion for KMS provider, only v1 and v2 are supported";
            errors.invalid(format!("{field}.apiVersion"), other, detail);
        }
    }
    (errors.iter().count() == before).then(|| Provider::Kms {
        name: name.to_owned(),
        service: Arc::new(PluginService::new(name, socket, timeout)),
    })
}

fn timeout(given: Option<&str>, field: &str, errors: &mut Errors) -> Duration {
    let Some(text) = given else { return TIMEOUT };
    let nanos = cel_rules::parse_duration(text).unwrap_or_default();
    match u64::try_from(nanos) {
        Ok(nanos) if nanos > 0 => Duration::from_nanos(nanos),
        _ => {
            errors.invalid(field, text, "timeout should be a positive value");
            TIMEOUT
        }
    }
}

fn socket(endpoint: &str, field: &str, errors: &mut Errors) -> PathBuf {
    if endpoint.is_empty() {
        errors.invalid(field, "", "endpoint is a mandatory field for a kms");
        return PathBuf::new();
    }
    match endpoint.split_once("://") {
        Some(("unix", path)) => PathBuf::from(path),
        other => {
            let scheme = other.map_or("", |(scheme, _)| scheme);
            let detail = format!("unsupported scheme {scheme:?} for KMS provider, only unix is supported");
            errors.invalid(field, endpoint, detail);
            PathBuf::new()
        }
    }
}
