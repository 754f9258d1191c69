//! Who asks, and may they: the front proxy's word, or a bearer token; the API server decides on both.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Clock;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};

use crate::MetricsServerError;

/// How long a decision is remembered. Source: `DelegatingAuthorizationOptions`.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Decisions that are remembered at most; all are forgotten when there are more.
const MOST: usize = 4096;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct User {
    pub name: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub verb: &'static str,
    pub resource: &'static str,
    pub namespace: String,
    pub name: String,
}

/// A decision that is remembered: until when, whether, and why not.
type Decision = (Timestamp, bool, String);

/// Decides on requests.
pub(crate) struct Access {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    /// PEM of the authority whose clients may speak for others.
    pub front_proxy_ca: String,
    /// Common names among them; empty allows all.
    allowed_names: Vec<String>,
    decided: Mutex<HashMap<(User, Asked), Decision>>,
}

impl Access {
    /// Reads whose word is to be taken.
    pub async fn read(client: kube::Client, clock: Arc<dyn Clock>) -> Result<Self, MetricsServerError> {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
        let map = maps.get("extension-apiserver-authentication").await;
        let mut data = map.map_err(MetricsServerError::FrontProxy)?.data.unwrap_or_default();
        let names = data.remove("requestheader-allowed-names").unwrap_or_default();
        let names = serde_json::from_str(if names.is_empty() { "[]" } else { &names });
        Ok(Self {
            client,
            clock,
            front_proxy_ca: data.remove("requestheader-client-ca-file").unwrap_or_default(),
            allowed_names: names.map_err(|error| MetricsServerError::Authority(error.to_string()))?,
            decided: Mutex::default(),
        })
    }

    /// The user behind a request. `proxy` is the common name of a certificate of the front proxy's authority.
    pub async fn user(&self, headers: &HeaderMap, proxy: Option<&str>) -> Result<Option<User>, kube::Error> {
        let is_allowed = |name: &str| self.allowed_names.is_empty() || self.allowed_names.iter().any(|one| one == name);
        if proxy.is_some_and(is_allowed)
            && let Some(user) = said(headers)
        {
            return Ok(Some(user));
        }
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        match header.and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => self.review(token.trim()).await,
            _ => Ok(None),
        }
    }

    async fn review(&self, token: &str) -> Result<Option<User>, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                ..TokenReviewSpec::default()
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status;
        let status = status.filter(|status| status.authenticated == Some(true));
        Ok(status.and_then(|status| status.user).map(|user| User {
            name: user.username.unwrap_or_default(),
            uid: user.uid,
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }

    /// Why the user may not; `None` when he may.
    pub async fn refusal(&self, user: &User, asked: &Asked) -> Result<Option<String>, kube::Error> {
        let key = (user.clone(), asked.clone());
        let now = self.clock.now();
        {
            let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((until, allowed, reason)) = decided.get(&key)
                && *until > now
            {
                return Ok((!allowed).then(|| reason.clone()));
            }
        }
        let review = SubjectAccessReview {
            spec: spec(user, asked),
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status;
        let status = status.unwrap_or_default();
        let reason = status.reason.unwrap_or_default();
        let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        if decided.len() >= MOST {
            decided.clear();
        }
        decided.insert(key, (now + REMEMBERED, status.allowed, reason.clone()));
        Ok((!status.allowed).then_some(reason))
    }
}

fn spec(user: &User, asked: &Asked) -> SubjectAccessReviewSpec {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReviewSpec {
        user: text(&user.name),
        uid: user.uid.clone(),
        groups: Some(user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
        resource_attributes: Some(ResourceAttributes {
            group: text(crate::document::GROUP),
            version: text(crate::document::VERSION),
            resource: text(asked.resource),
            verb: text(asked.verb),
            namespace: text(&asked.namespace),
            name: text(&asked.name),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

/// The user that the front proxy names.
fn said(headers: &HeaderMap) -> Option<User> {
    const EXTRA: &str = "x-remote-extra-";
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in headers.keys().filter_map(|name| name.as_str().strip_prefix(EXTRA)) {
        let key = percent_encoding::percent_decode_str(name)
            .decode_utf8_lossy()
            .into_owned();
        extra.insert(key, all(&format!("{EXTRA}{name}")));
    }
    Some(User {
        name: all("x-remote-user")
            .into_iter()
            .next()
            .filter(|name| !name.is_empty())?,
        uid: all("x-remote-uid").into_iter().next(),
        groups: all("x-remote-group"),
        extra,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_proxy_names_the_user() {
        let mut headers = HeaderMap::new();
        assert_eq!(said(&headers), None);
        headers.insert("x-remote-user", "jane".parse().unwrap());
        headers.append("x-remote-group", "a".parse().unwrap());
        headers.append("x-remote-group", "b".parse().unwrap());
        headers.insert("x-remote-extra-scope%2fx", "y".parse().unwrap());
        let user = said(&headers).unwrap();
        assert_eq!((user.name.as_str(), user.groups.len()), ("jane", 2));
        assert_eq!(user.extra["scope/x"], ["y"]);
    }
}
