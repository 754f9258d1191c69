//! Service-account tokens for projected volumes: asked for by TokenRequest, kept, and renewed before they expire.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use pod_lifecycle::projection;

/// A token is renewed when it is a day old or has used up this much of its life.
const LONGEST_USE: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone)]
struct Kept {
    token: String,
    renew_at: Timestamp,
}

type Key = (String, projection::TokenRequest);

/// Tokens by pod UID and what was asked for.
#[derive(Default)]
pub(crate) struct Tokens {
    kept: Mutex<BTreeMap<Key, Kept>>,
}

/// Tokens or failures by request, and when the first must be renewed.
pub(crate) type Issued = (
    BTreeMap<projection::TokenRequest, Result<String, String>>,
    Option<Timestamp>,
);

impl Tokens {
    /// The tokens that the pod's volumes need.
    pub(crate) async fn of_pod(&self, client: &kube::Client, pod: &Pod, now: Timestamp) -> Issued {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let mut issued = BTreeMap::new();
        let mut renew: Option<Timestamp> = None;
        for request in projection::tokens(pod) {
            let key = (uid.clone(), request.clone());
            let kept = self
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&key)
                .cloned();
            let result = match kept.clone().filter(|kept| kept.renew_at > now) {
                Some(fresh) => Ok(fresh),
                None => ask(client, pod, &request, now).await,
            };
            match result {
                Ok(fresh) => {
                    renew = Some(renew.map_or(fresh.renew_at, |earlier| earlier.min(fresh.renew_at)));
                    issued.insert(request, Ok(fresh.token.clone()));
                    self.kept
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(key, fresh);
                }
                // An old token serves until a new one can be had.
                Err(reason) => {
                    let result = kept.map(|old| old.token).ok_or(reason);
                    renew = Some(now + Duration::from_secs(10));
                    issued.insert(request, result);
                }
            }
        }
        (issued, renew)
    }

    pub(crate) fn forget(&self, uid: &str) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(owner, _), _| owner != uid);
    }
}

async fn ask(
    client: &kube::Client,
    pod: &Pod,
    request: &projection::TokenRequest,
    now: Timestamp,
) -> Result<Kept, String> {
    let meta = &pod.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or("default");
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let account = account.unwrap_or_else(|| "default".to_owned());
    let body = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: (!request.audience.is_empty()).then(|| vec![request.audience.clone()]),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: meta.name.clone(),
                uid: meta.uid.clone(),
            }),
            expiration_seconds: Some(request.expiration_seconds),
        }),
        ..TokenRequest::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer: Result<TokenRequest, kube::Error> = api
        .create_subresource("token", &account, &PostParams::default(), &body)
        .await;
    let status = answer.map_err(|error| crate::api_message(&error))?.status;
    let status = status.unwrap_or_default();
    let (Some(token), Some(expiry)) = (status.token, status.expiration_timestamp) else {
        return Err("the API server answered without a token".to_owned());
    };
    let life = expiry.0.duration_since(now).unsigned_abs();
    Ok(Kept {
        token,
        renew_at: now + (life * 8 / 10).min(LONGEST_USE),
    })
}
