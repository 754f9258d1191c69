//! The parameters of a binding: objects that its policy's expressions read.

use kube_types::dynamic::{Object, Value};
use kube_types::meta;
use kube_types::selector::LabelSelector;
use serde::Deserialize;

use super::super::Request;
use super::{Binding, Policy};

/// Upstream's sentence when there are none and there must be.
const NONE_FOUND: &str =
    "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";

impl Request<'_> {
    /// One evaluation for each entry: an object, or nothing where the policy takes no parameters.
    pub(super) fn params(
        &self,
        policy: &Policy,
        binding: &Binding,
        namespace: &str,
    ) -> Result<Vec<Option<Object>>, String> {
        let (Some(gvk), false) = (&policy.param_kind, binding.params.is_null()) else {
            return Ok(vec![None]);
        };
        let unknown = || {
            format!(
                "failed to configure policy: failed to find resource referenced by paramKind: '{}, Kind={}'",
                gvk.api_version(),
                gvk.kind
            )
        };
        let kind = self.kinds.by_kind(gvk).cloned().ok_or_else(unknown)?;
        let resource = self
            .registry
            .resource_of(kind)
            .map_err(|error| error.message().to_owned())?;
        let text = |field: &str| binding.params[field].as_str().unwrap_or_default();
        let namespace = match (resource.kind.namespaced, text("namespace")) {
            (false, _) => None,
            (true, "") if namespace.is_empty() => {
                let problem = "failed to configure binding: cannot use namespaced paramRef in policy binding that \
                               matches cluster-scoped resources";
                return Err(problem.to_owned());
            }
            (true, "") => Some(namespace),
            (true, given) => Some(given),
        };
        let found: Vec<Object> = match text("name") {
            "" => {
                let selector = selector(&binding.params["selector"])?;
                let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
                let (items, _) = resource.cache.select(&prefix, None, |_| true, usize::MAX);
                let objects = items.iter().map(|item| item.object());
                objects.filter(|object| selector.matches(&object.labels())).collect()
            }
            name => {
                let item = resource.cache.get(&resource.cache_key(namespace, name));
                item.map(|item| item.object()).into_iter().collect()
            }
        };
        if found.is_empty() && binding.params["parameterNotFoundAction"] != "Allow" {
            return Err(NONE_FOUND.to_owned());
        }
        Ok(found
            .into_iter()
            .map(|object| Some(resource.to_requested(object)))
            .collect())
    }
}

fn selector(given: &Value) -> Result<LabelSelector, String> {
    if given.is_null() {
        return Ok(LabelSelector::everything());
    }
    let typed = meta::LabelSelector::deserialize(given).map_err(|error| error.to_string())?;
    LabelSelector::from_typed(&typed).map_err(|error| error.to_string())
}
