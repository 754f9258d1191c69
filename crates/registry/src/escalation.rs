//! Roles and bindings: nobody gives away what they do not have.
//!
//! Source: `pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased`.

use access_rules::identity::MASTERS;
use access_rules::rbac::full_authority;
use access_rules::{Attributes, ResourceAttributes};
use kube_types::api::rbac::v1::{PolicyRule, RoleRef};
use kube_types::dynamic::{Object, Value};
use serde::Deserialize;

use crate::pipeline::Resource;
use crate::registry::Registry;
use crate::request::Context;
use crate::status::{StatusError, Subject};

const GROUP: &str = "rbac.authorization.k8s.io";

impl Registry {
    /// Refuses a role or binding that gives the user's own power away beyond what it is.
    pub(crate) async fn check_escalation(
        &self,
        context: &Context,
        resource: &Resource,
        new: &Object,
        old: Option<&Object>,
    ) -> Result<(), StatusError> {
        if resource.kind.group != GROUP || context.user.in_group(MASTERS) {
            return Ok(());
        }
        if old.is_some_and(|old| differs_for_collection_only(new, old)) {
            return Ok(());
        }
        match &*resource.kind.plural {
            "roles" | "clusterroles" => self.check_role(context, resource, new, old).await,
            _ => self.check_binding(context, resource, new).await,
        }
    }

    async fn check_role(
        &self,
        context: &Context,
        resource: &Resource,
        new: &Object,
        old: Option<&Object>,
    ) -> Result<(), StatusError> {
        let namespace = new.namespace().unwrap_or_default();
        let name = new.name().unwrap_or_default();
        if self
            .may(context, "escalate", &resource.kind.plural, namespace, name)
            .await
        {
            return Ok(());
        }
        let rules = part::<Vec<PolicyRule>>(new, "rules")?.unwrap_or_default();
        let refuse = |problem: &str| StatusError::forbidden(&resource.subject(), name, problem);
        let policy = self.policy()?;
        policy
            .confirm_no_escalation(&context.user, namespace, &rules)
            .map_err(|problem| refuse(&problem))?;
        let collects = |role: &Object| role.0.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if (collects(new) || old.is_some_and(collects))
            && policy
                .confirm_no_escalation(&context.user, namespace, &full_authority())
                .is_err()
        {
            return Err(refuse("must have cluster-admin privileges to use an aggregationRule"));
        }
        Ok(())
    }

    async fn check_binding(&self, context: &Context, resource: &Resource, new: &Object) -> Result<(), StatusError> {
        let namespace = new.namespace().unwrap_or_default();
        let Some(reference) = part::<RoleRef>(new, "roleRef")? else {
            return Ok(());
        };
        let plural = match reference.kind.as_str() {
            "Role" => "roles",
            _ => "clusterroles",
        };
        if self.may(context, "bind", plural, namespace, &reference.name).await {
            return Ok(());
        }
        let policy = self.policy()?;
        let rules = policy.role_rules(&reference, namespace).or(Err(StatusError::not_found(
            &Subject::new(GROUP, plural),
            &reference.name,
        )))?;
        let rules: Vec<PolicyRule> = rules.into_iter().cloned().collect();
        policy
            .confirm_no_escalation(&context.user, namespace, &rules)
            .map_err(|problem| StatusError::forbidden(&resource.subject(), new.name().unwrap_or_default(), &problem))
    }

    /// Whether the user holds a verb that lets them pass the check.
    async fn may(&self, context: &Context, verb: &str, plural: &str, namespace: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: &context.user,
            verb,
            resource: Some(ResourceAttributes {
                group: GROUP,
                version: "*",
                resource: plural,
                subresource: "",
                namespace,
                name,
                ..ResourceAttributes::default()
            }),
            path: "",
        };
        self.authorize(&attributes).await.is_allowed()
    }
}

fn part<T: for<'de> Deserialize<'de>>(object: &Object, field: &str) -> Result<Option<T>, StatusError> {
    let Some(value) = object.0.get(field).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    T::deserialize(value)
        .map(Some)
        .map_err(|error| StatusError::bad_request(format!("{field}: {error}")))
}

/// Whether only what garbage collection needs to change is changed: owners and finalizers.
fn differs_for_collection_only(new: &Object, old: &Object) -> bool {
    let strip = |object: &Object| {
        let mut object = object.clone();
        let metadata = object.metadata_mut();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            metadata.remove(field);
        }
        Value::Object(object.0)
    };
    strip(new) == strip(old)
}
