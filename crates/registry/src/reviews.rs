//! Kinds that are answered and forgotten: who am I, whose token is this, may I.

use access_rules::{Attributes, Decision, ResourceAttributes, User};
use kube_types::dynamic::{Map, Object, Value, json};

use crate::columns::{list, string};
use crate::kinds::ResourceKind;
use crate::options::WriteOptions;
use crate::pipeline::check_namespace;
use crate::registry::Registry;
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::{StatusError, Subject};
use crate::subresources::reply;

impl Registry {
    /// Answers a post to a kind that is not stored.
    pub(crate) async fn create_unstored(
        &self,
        context: &Context,
        target: &Target,
        kind: &ResourceKind,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        if !matches!(context.form, crate::request::Form::Object) {
            return Err(StatusError::not_acceptable(&["application/json", "application/yaml"]));
        }
        if kind.kind == "Binding" {
            return self.bind_by_resource(context, target, kind, body, options).await;
        }
        let mut review = self.decode(context, &kind.gvk(), &body, options.field_validation)?;
        check_namespace(kind, target, &mut review)?;
        let status = match &*kind.kind {
            "SelfSubjectReview" => json!({"userInfo": user_info(&context.user)}),
            "TokenReview" => self.review_token(&review).await?,
            "SelfSubjectRulesReview" => self.rules(context, &review)?,
            "SelfSubjectAccessReview" => self.access(&context.user, kind, &review).await?,
            "SubjectAccessReview" | "LocalSubjectAccessReview" => {
                let user = reviewed_user(kind, &review)?;
                self.access(&user, kind, &review).await?
            }
            other => return Err(StatusError::internal(format!("{other} is not answered here"))),
        };
        review.0.insert("status".to_owned(), status);
        reply(201, &Value::Object(review.0))
    }

    async fn review_token(&self, review: &Object) -> Result<Value, StatusError> {
        let token = string(&review.0, &["spec", "token"]);
        if token.is_empty() {
            return Err(StatusError::bad_request(
                "token is required for TokenReview in authentication",
            ));
        }
        let audiences = list(&review.0, &["spec", "audiences"]);
        let audiences: Vec<String> = audiences.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(match self.tokens.review(token, &audiences).await {
            Ok(Some((user, audiences))) => {
                json!({"authenticated": true, "user": user_info(&user), "audiences": audiences})
            }
            Ok(None) => json!({"user": {}}),
            Err(error) => json!({"user": {}, "error": error.to_string()}),
        })
    }

    async fn access(&self, user: &User, kind: &ResourceKind, review: &Object) -> Result<Value, StatusError> {
        let resource = review
            .0
            .get("spec")
            .and_then(|spec| spec.get("resourceAttributes"))
            .and_then(Value::as_object);
        let path = review
            .0
            .get("spec")
            .and_then(|spec| spec.get("nonResourceAttributes"))
            .and_then(Value::as_object);
        let empty = Map::new();
        let decision = match (resource, path) {
            (Some(resource), None) => {
                let of = |field: &str| string(resource, &[field]);
                let resource = ResourceAttributes {
                    group: of("group"),
                    version: of("version"),
                    resource: of("resource"),
                    subresource: of("subresource"),
                    namespace: of("namespace"),
                    name: of("name"),
                };
                self.authorize(&Attributes {
                    user,
                    verb: of("verb"),
                    resource: Some(resource),
                    path: "",
                })
                .await
            }
            (None, path) if path.is_some() => {
                let path = path.unwrap_or(&empty);
                let (verb, path) = (string(path, &["verb"]), string(path, &["path"]));
                self.authorize(&Attributes {
                    user,
                    verb,
                    resource: None,
                    path,
                })
                .await
            }
            _ => {
                let mut errors = object_rules::field::Errors::new();
                let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
                errors.invalid("spec.resourceAttributes", Value::Null, detail);
                return Err(StatusError::invalid(&Subject::kind(kind), "", &errors));
            }
        };
        Ok(match decision {
            Decision::Allow { reason } => status(true, false, &reason),
            Decision::Deny { reason } => status(false, true, &reason),
            Decision::NoOpinion { reason } => status(false, false, &reason),
        })
    }

    fn rules(&self, context: &Context, review: &Object) -> Result<Value, StatusError> {
        let namespace = string(&review.0, &["spec", "namespace"]);
        if namespace.is_empty() {
            return Err(StatusError::bad_request("no namespace on request"));
        }
        let (rules, errors) = self.policy()?.rules_for(&context.user, namespace);
        let mut resource_rules = Vec::new();
        let mut path_rules = Vec::new();
        for rule in rules {
            let some = |list: Option<Vec<String>>| list.filter(|list| !list.is_empty());
            if let Some(paths) = some(rule.non_resource_urls) {
                path_rules.push(json!({"verbs": rule.verbs, "nonResourceURLs": paths}));
                continue;
            }
            let mut entry = json!({"verbs": rule.verbs, "apiGroups": rule.api_groups.unwrap_or_default(),
                "resources": rule.resources.unwrap_or_default()});
            if let Some(names) = some(rule.resource_names) {
                entry["resourceNames"] = names.into();
            }
            resource_rules.push(entry);
        }
        let mut status =
            json!({"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": !errors.is_empty()});
        if !errors.is_empty() {
            status["evaluationError"] = errors.join(", ").into();
        }
        Ok(status)
    }
}

fn status(allowed: bool, denied: bool, reason: &str) -> Value {
    let mut status = json!({"allowed": allowed});
    if denied {
        status["denied"] = true.into();
    }
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    status
}

pub(crate) fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if let Some(uid) = &user.uid {
        info["uid"] = uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

fn reviewed_user(kind: &ResourceKind, review: &Object) -> Result<User, StatusError> {
    let name = string(&review.0, &["spec", "user"]);
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let groups = review
        .0
        .get("spec")
        .and_then(|spec| spec.get("groups"))
        .map(texts)
        .unwrap_or_default();
    if name.is_empty() && groups.is_empty() {
        let mut errors = object_rules::field::Errors::new();
        errors.invalid("spec.user", "", "at least one of user or group must be specified");
        return Err(StatusError::invalid(&Subject::kind(kind), "", &errors));
    }
    let extra = review
        .0
        .get("spec")
        .and_then(|spec| spec.get("extra"))
        .and_then(Value::as_object);
    let extra = extra
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), texts(value)))
        .collect();
    let uid = string(&review.0, &["spec", "uid"]);
    Ok(User {
        name: name.to_owned(),
        uid: (!uid.is_empty()).then(|| uid.to_owned()),
        groups,
        extra,
    })
}
