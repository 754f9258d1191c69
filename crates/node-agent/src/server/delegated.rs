//! Bearer tokens on the kubelet's port: whose they are and what he may, the API server says. Decisions are kept a while.
//!
//! Source: `kubelet/server/auth.go`, `DelegatingAuthenticatorConfig`.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use super::identity::Caller;
use crate::agent::Agent;

/// Upstream's `authentication.webhook.cacheTTL` and `authorization.webhook.cache*TTL`.
const TOKENS: Duration = Duration::from_secs(120);
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Decisions kept at most; all are forgotten when there are more.
const MOST: usize = 1024;

/// What was decided, until when it holds.
#[derive(Default)]
pub(crate) struct Delegated {
    tokens: Kept<String, Option<Caller>>,
    decisions: Kept<(Caller, &'static str, &'static str), bool>,
}

struct Kept<K, V>(Mutex<HashMap<K, (Timestamp, V)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key)
            .filter(|(until, _)| *until > now)
            .map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V, until: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, (until, value));
    }
}

/// Whose token a request carries; `None` for one without, or with one of nobody.
pub(super) async fn bearer(agent: &Agent, headers: &HeaderMap) -> Option<Caller> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (known, now) = (&agent.delegated.tokens, agent.now());
    let token = token.trim().to_owned();
    if let Some(decided) = known.get(&token, now) {
        return decided;
    }
    let review = TokenReview {
        spec: TokenReviewSpec {
            token: token.clone(),
            ..TokenReviewSpec::default()
        },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(agent.client.clone());
    let status = match reviews.create(&PostParams::default(), &review).await {
        Ok(reviewed) => reviewed.status.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(error = supervision::error_chain(&error), "a token is not reviewed");
            return None;
        }
    };
    let user = status.user.filter(|_| status.authenticated == Some(true));
    let caller = user.map(|user| Caller {
        name: user.username.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
    });
    known.put(token, caller.clone(), now + TOKENS);
    caller
}

/// May the caller do this on this node?
pub(super) async fn may(agent: &Agent, caller: &Caller, verb: &'static str, subresource: &'static str) -> bool {
    let (known, now) = (&agent.delegated.decisions, agent.now());
    let key = (caller.clone(), verb, subresource);
    if let Some(decided) = known.get(&key, now) {
        return decided;
    }
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(caller.name.clone()),
            groups: Some(caller.groups.clone()),
            resource_attributes: Some(ResourceAttributes {
                version: Some("v1".to_owned()),
                resource: Some("nodes".to_owned()),
                subresource: Some(subresource.to_owned()),
                name: Some(agent.config.node_name.clone()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(agent.client.clone());
    match reviews.create(&PostParams::default(), &review).await {
        Ok(reviewed) => {
            let allowed = reviewed.status.is_some_and(|status| status.allowed);
            known.put(key, allowed, now + if allowed { ALLOWED } else { DENIED });
            allowed
        }
        Err(error) => {
            tracing::warn!(
                error = supervision::error_chain(&error),
                "access to the kubelet's port is not reviewed"
            );
            false
        }
    }
}

/// The verb and the subresources of the node by which a request is allowed, the narrowest first.
pub(super) fn asked(method: &Method, path: &str) -> (&'static str, &'static [&'static str]) {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::DELETE => "delete",
        Method::PATCH => "patch",
        _ => "get",
    };
    let below = |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    let subresources: &[&str] = match () {
        () if below("/stats") => &["stats"],
        () if below("/metrics") => &["metrics"],
        () if below("/logs") => &["log"],
        () if below("/pods") || below("/runningpods") => &["pods", "proxy"],
        () if below("/configz") => &["configz", "proxy"],
        () => &["proxy"],
    };
    (verb, subresources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_subresources_of_the_node() {
        let get = |path: &str| asked(&Method::GET, path).1;
        assert_eq!(get("/metrics/resource"), ["metrics"]);
        assert_eq!(get("/stats/summary"), ["stats"]);
        assert_eq!(get("/pods"), ["pods", "proxy"]);
        assert_eq!(get("/metricsx"), ["proxy"]);
        assert_eq!(asked(&Method::POST, "/exec/n/p/c"), ("create", ["proxy"].as_slice()));
    }
}
