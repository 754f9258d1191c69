//! Keeps the status of validating policies: what the types of the objects that they are about say of their expressions.
//!
//! Source: `pkg/controller/validatingadmissionpolicystatus`; upstream's controller manager does it, with a copy of the schemas. A policy is checked once for each generation; kinds that are defined
//! later change nothing.

use std::sync::Arc;

use access_rules::User;
use bytes::Bytes;
use kube_types::dynamic::{Object, Value, json};
use supervision::Supervisor;

use crate::admission::{hooks, type_checking};
use crate::options::WriteOptions;
use crate::registry::{RESTART, Registry};
use crate::request::{Context, MediaType, RequestBody, Target};
use crate::status::StatusError;

const PLURAL: &str = "validatingadmissionpolicies";
/// Who owns the status.
const MANAGER: &str = "validatingadmissionpolicy-status";

impl Registry {
    /// Lets this process keep the status of validating policies, in a task of `supervisor`.
    pub fn start_policy_status(self: &Arc<Self>, supervisor: &Supervisor) {
        let registry = self.clone();
        supervisor.spawn_restarting(MANAGER, RESTART, move || {
            let registry = registry.clone();
            async move { registry.keep_policy_status().await }
        });
    }

    async fn keep_policy_status(&self) -> Result<(), StatusError> {
        let policies = self.built_in(hooks::GROUP, PLURAL)?;
        let mut changes = policies.cache.subscribe();
        loop {
            for policy in self.objects(hooks::GROUP, PLURAL, None) {
                if is_checked(&policy) {
                    continue;
                }
                match self.tell_types(&policy).await {
                    Ok(()) => {}
                    Err(error) if error.is_conflict() || error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn tell_types(&self, policy: &Object) -> Result<(), StatusError> {
        let warnings = type_checking::warnings(policy, &*self.kinds());
        let checking = if warnings.is_empty() {
            json!({})
        } else {
            json!({ "expressionWarnings": warnings })
        };
        let gvk = policy.gvk();
        let name = policy.name().unwrap_or_default();
        let status = json!({
            "apiVersion": gvk.api_version(), "kind": gvk.kind,
            "metadata": {"name": name, "uid": policy.uid()},
            "status": {"observedGeneration": generation(policy), "typeChecking": checking},
        });
        let mut target = Target::object(self.built_in(hooks::GROUP, PLURAL)?.kind.gvr(), None, name);
        target.subresource = Some("status".to_owned());
        let body = RequestBody {
            media_type: MediaType::ApplyPatch,
            bytes: Bytes::from(status.to_string()),
        };
        let options = WriteOptions {
            field_manager: MANAGER.to_owned(),
            force: Some(true),
            ..WriteOptions::default()
        };
        let context = Context::for_user(User::master("system:apiserver"));
        self.patch(&context, &target, body, options).await.map(drop)
    }
}

fn is_checked(policy: &Object) -> bool {
    let observed = policy
        .0
        .get("status")
        .and_then(|status| status["observedGeneration"].as_i64());
    generation(policy) <= observed.unwrap_or(0)
}

fn generation(policy: &Object) -> i64 {
    let metadata = policy.metadata();
    let generation = metadata.and_then(|metadata| metadata.get("generation"));
    generation.and_then(Value::as_i64).unwrap_or(0)
}
