//! `token`: a signed token of a service account.

use kube_types::dynamic::{Object, Value, json};
use kube_types::{GroupVersionKind, ObjectKey};
use object_rules::field::Errors;

use super::reply;
use crate::columns::{list, number, string};
use crate::options::WriteOptions;
use crate::pipeline::{check_name, check_namespace, stamp};
use crate::registry::{Registry, TokenClaims};
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::{StatusError, Subject};

/// Shortest and longest life of a token in seconds, and its life when nothing is asked.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 3600;

impl Registry {
    /// Signs a token for a service account.
    pub(crate) async fn issue_token(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        let gvk = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
        let mut request = self.decode(context, &gvk, &body, options.field_validation)?;
        let accounts = self.built_in("", "serviceaccounts")?;
        check_namespace(&accounts.kind, target, &mut request)?;
        check_name(target, &mut request)?;
        self.admit_posted(context, &accounts, target, &mut request, options.dry_run)
            .await?;
        let name = target.name.as_deref().unwrap_or_default();
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let item = self.newest(&accounts, Some(namespace), name).await?;
        let account = item.ok_or_else(|| accounts.not_found(name))?;
        let seconds = match number(&request.0, &["spec", "expirationSeconds"]) {
            0 => USUAL,
            seconds => seconds,
        };
        check_seconds(name, seconds)?;
        let (bound_object, node) = self.bound(namespace, name, &request)?;
        let audiences = list(&request.0, &["spec", "audiences"]);
        let claims = TokenClaims {
            namespace: namespace.to_owned(),
            service_account: name.to_owned(),
            service_account_uid: account.extract.uid.to_string(),
            audiences: audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            expiration_seconds: seconds,
            bound_object,
            node,
        };
        let issued = self.tokens.issue(claims).await.map_err(StatusError::internal)?;
        let metadata = request.metadata_mut();
        metadata.insert("creationTimestamp".to_owned(), stamp(self.clock.now()).into());
        request.0["spec"]["audiences"] = issued.audiences.into();
        request.0["spec"]["expirationSeconds"] = seconds.into();
        let status = json!({"token": issued.token, "expirationTimestamp": stamp(issued.expires)});
        request.0.insert("status".to_owned(), status);
        reply(201, &Value::Object(request.0))
    }

    /// The object that the token dies with, which must be there and be the one meant.
    #[allow(clippy::type_complexity, reason = "two optional names that belong together")]
    fn bound(
        &self,
        namespace: &str,
        account: &str,
        request: &Object,
    ) -> Result<(Option<(String, String, String)>, Option<(String, String)>), StatusError> {
        let of = |field: &str| string(&request.0, &["spec", "boundObjectRef", field]).to_owned();
        let (kind, name, uid) = (of("kind"), of("name"), of("uid"));
        if kind.is_empty() {
            return Ok((None, None));
        }
        let (plural, key) = match kind.as_str() {
            "Pod" => ("pods", ObjectKey::namespaced(namespace, name.as_str())),
            "Secret" => ("secrets", ObjectKey::namespaced(namespace, name.as_str())),
            "Node" => ("nodes", ObjectKey::cluster(name.as_str())),
            _ => {
                return Err(StatusError::bad_request(format!(
                    "cannot bind token for serviceaccount \"{account}\" to {kind} \"{name}\""
                )));
            }
        };
        let subject = Subject::new("", plural);
        let object = self
            .cached("", plural, &key)
            .ok_or_else(|| StatusError::not_found(&subject, &name))?;
        let found = object.uid().unwrap_or_default().to_owned();
        if !uid.is_empty() && uid != found {
            let problem = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(StatusError::conflict(&subject, &name, &problem));
        }
        if kind == "Pod" && string(&object.0, &["spec", "serviceAccountName"]) != account {
            return Err(StatusError::bad_request(format!(
                "cannot bind token for serviceaccount \"{account}\" to pod \"{name}\" running with different serviceaccount \"{}\"",
                string(&object.0, &["spec", "serviceAccountName"])
            )));
        }
        let node = string(&object.0, &["spec", "nodeName"]);
        let node = (kind == "Pod" && !node.is_empty()).then(|| {
            let uid = self.cached("", "nodes", &ObjectKey::cluster(node));
            (
                node.to_owned(),
                uid.and_then(|node| node.uid().map(str::to_owned)).unwrap_or_default(),
            )
        });
        Ok((Some((kind, name, found)), node))
    }
}

fn check_seconds(name: &str, seconds: i64) -> Result<(), StatusError> {
    let mut errors = Errors::new();
    if seconds < SHORTEST {
        errors.invalid(
            "spec.expirationSeconds",
            seconds,
            "may not specify a duration less than 10 minutes",
        );
    }
    if seconds > LONGEST {
        errors.invalid(
            "spec.expirationSeconds",
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid(
        &Subject::new("authentication.k8s.io", "TokenRequest"),
        name,
        &errors,
    ))
}
