//! As whom a request is carried out, when its client asks to be somebody else.

use std::collections::BTreeMap;

use access_rules::identity::SERVICE_ACCOUNT_PREFIX;
use access_rules::{Attributes, ResourceAttributes, User};
use http::{HeaderMap, HeaderName};
use registry::{Registry, StatusError, Subject};

const IMPERSONATE_EXTRA: &str = "impersonate-extra-";

/// The user that the `Impersonate-*` headers ask for, if any, once `user` is found to be allowed each part of it.
pub(crate) async fn impersonated(registry: &Registry, user: &User, headers: &HeaderMap) -> Result<User, StatusError> {
    let Some(wanted) = Impersonation::read(headers)? else {
        return Ok(user.clone());
    };
    for part in wanted.parts() {
        let attributes = Attributes {
            user,
            verb: "impersonate",
            resource: Some(part),
            path: "",
        };
        let decision = registry.authorize(&attributes).await;
        if !decision.is_allowed() {
            let subject = Subject::new(part.group, part.resource);
            let mut problem = attributes.refusal();
            if !decision.reason().is_empty() {
                problem = format!("{problem}: {}", decision.reason());
            }
            return Err(StatusError::forbidden(&subject, part.name, &problem));
        }
    }
    Ok(wanted.into_user())
}

/// What the headers ask for.
struct Impersonation {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let all = |name: &'static str| -> Vec<String> {
            let values = headers.get_all(HeaderName::from_static(name)).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(IMPERSONATE_EXTRA) {
                let key = percent_encoding::percent_decode_str(key)
                    .decode_utf8_lossy()
                    .into_owned();
                extra
                    .entry(key)
                    .or_default()
                    .extend(value.to_str().ok().map(str::to_owned));
            }
        }
        let (name, uid, groups) = (
            all("impersonate-user"),
            all("impersonate-uid"),
            all("impersonate-group"),
        );
        match name.into_iter().next().filter(|name| !name.is_empty()) {
            Some(name) => Ok(Some(Self {
                name,
                uid: uid.into_iter().next(),
                groups,
                extra,
            })),
            None if uid.is_empty() && groups.is_empty() && extra.is_empty() => Ok(None),
            None => Err(StatusError::internal(
                "requested impersonation without impersonating a user",
            )),
        }
    }

    fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
    }

    /// One resource to be allowed for each part of the identity.
    fn parts(&self) -> Vec<ResourceAttributes<'_>> {
        let mut parts = Vec::new();
        match self.service_account() {
            Some((namespace, name)) => parts.push(ResourceAttributes {
                version: "v1",
                resource: "serviceaccounts",
                namespace,
                name,
                ..ResourceAttributes::default()
            }),
            None => parts.push(ResourceAttributes {
                resource: "users",
                name: &self.name,
                ..Default::default()
            }),
        }
        for name in &self.groups {
            parts.push(ResourceAttributes {
                resource: "groups",
                name,
                ..Default::default()
            });
        }
        let group = "authentication.k8s.io";
        if let Some(name) = &self.uid {
            parts.push(ResourceAttributes {
                group,
                version: "v1",
                resource: "uids",
                name,
                ..Default::default()
            });
        }
        for (key, values) in &self.extra {
            parts.extend(values.iter().map(|name| ResourceAttributes {
                group,
                version: "v1",
                resource: "userextras",
                subresource: key,
                name,
                ..Default::default()
            }));
        }
        parts
    }

    fn into_user(self) -> User {
        let mut user = match self.service_account() {
            Some((namespace, name)) if self.groups.is_empty() => User::service_account(namespace, name),
            _ if self.name == access_rules::identity::ANONYMOUS => User::anonymous(),
            _ => User::authenticated(self.name.clone(), self.groups.clone()),
        };
        user.uid = self.uid;
        user.extra = self.extra;
        user
    }
}
