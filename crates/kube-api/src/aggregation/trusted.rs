//! `kube-system/extension-apiserver-authentication`: by it aggregated API servers know whose word about users they may
//! take. Source: `controlplane/controller/clusterauthenticationtrust`.

use std::time::Duration;

use kube_types::dynamic::{Map, Object, Value, json};
use kube_types::{GroupVersionResource, ObjectKey};
use registry::{RequestBody, StatusError, Target, WriteOptions};

use super::{LOOK_AGAIN, own_context};
use crate::api::KubeApi;
use crate::pki::{ClusterPki, FRONT_PROXY_CLIENT};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// After a write that did not succeed.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What the ConfigMap says.
fn wanted(pki: &ClusterPki) -> Map<String, Value> {
    let list = |name: &str| json!([name]).to_string();
    let entries = [
        ("client-ca-file", pki.ca_pem().to_owned()),
        ("requestheader-allowed-names", list(FRONT_PROXY_CLIENT)),
        ("requestheader-client-ca-file", pki.front_proxy_ca_pem().to_owned()),
        ("requestheader-extra-headers-prefix", list("X-Remote-Extra-")),
        ("requestheader-group-headers", list("X-Remote-Group")),
        ("requestheader-uid-headers", list("X-Remote-Uid")),
        ("requestheader-username-headers", list("X-Remote-User")),
    ];
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect()
}

/// Keeps the ConfigMap as it must be, whoever changes or deletes it.
pub(super) async fn keep(api: KubeApi) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let changes = registry.changes("", "configmaps");
    let mut changes = changes.ok_or_else(|| StatusError::internal("configmaps are not served"))?;
    let wanted = wanted(&api.0.pki);
    loop {
        changes.borrow_and_update();
        let key = ObjectKey::namespaced(NAMESPACE, NAME);
        let pause = match settle(&api, registry.object("", "configmaps", &key), &wanted).await {
            Ok(()) => LOOK_AGAIN,
            Err(error) => {
                tracing::debug!(%error, "{NAME} is written again later");
                TRY_AGAIN
            }
        };
        if let Ok(Err(_closed)) = tokio::time::timeout(pause, changes.changed()).await {
            return Ok(());
        }
    }
}

async fn settle(api: &KubeApi, present: Option<Object>, wanted: &Map<String, Value>) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let maps = GroupVersionResource::new("", "v1", "configmaps");
    let (context, options) = (own_context(), WriteOptions::default());
    let Some(mut present) = present else {
        let made = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": NAMESPACE}, "data": wanted});
        let target = Target::collection(maps, Some(NAMESPACE));
        registry
            .create(&context, &target, RequestBody::json(made.to_string()), options)
            .await?;
        return Ok(());
    };
    let data = present.0.entry("data").or_insert_with(|| json!({}));
    if wanted.iter().all(|(key, value)| data.get(key) == Some(value)) {
        return Ok(());
    }
    if let Value::Object(data) = data {
        data.extend(wanted.clone());
    }
    let target = Target::object(maps, Some(NAMESPACE), NAME);
    let body = RequestBody::json(Value::Object(present.0).to_string());
    registry.update(&context, &target, body, options).await?;
    Ok(())
}
