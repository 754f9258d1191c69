//! Kinds that are answered and forgotten: who am I, whose token is this, may I.

mod access;

use access_rules::User;
use kube_types::dynamic::{Object, Value, json};

use crate::columns::{list, string};
use crate::kinds::ResourceKind;
use crate::options::WriteOptions;
use crate::pipeline::check_namespace;
use crate::registry::Registry;
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::StatusError;
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
            "SelfSubjectAccessReview" => self.review_access(kind, &review, Some(&context.user)).await?,
            "SubjectAccessReview" | "LocalSubjectAccessReview" => self.review_access(kind, &review, None).await?,
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

    /// Which authorizers decide without being able to say all that they allow.
    fn untold(&self, user: &User) -> impl Iterator<Item = &'static str> {
        let node = user
            .node_name()
            .map(|_| "node authorizer does not support user rule resolution");
        // At EKS access policies are behind a webhook.
        let other = self.authorizer.get();
        let other = other.map(|_| "webhook authorizer does not support user rule resolution");
        node.into_iter().chain(other)
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
        let problems = self.untold(&context.user).map(str::to_owned).chain(errors);
        let problems: Vec<String> = problems.collect();
        let mut status = json!({"resourceRules": resource_rules, "nonResourceRules": path_rules,
            "incomplete": !problems.is_empty()});
        match problems.as_slice() {
            [] => {}
            [one] => status["evaluationError"] = one.as_str().into(),
            several => status["evaluationError"] = format!("[{}]", several.join(", ")).into(),
        }
        Ok(status)
    }
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
