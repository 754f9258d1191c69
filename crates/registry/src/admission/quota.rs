//! ResourceQuota: what a namespace may hold. What a write adds is counted in the transaction that writes it, so that two
//! writers never share what is left.
//!
//! Source: `apiserver/pkg/admission/plugin/resourcequota`, `pkg/quota/v1/evaluator/core`.

use bytes::Bytes;
use kube_types::dynamic::{Object, Value};
use kube_types::quantity::Amount;
use object_rules::quota::{self as usage, Amounts, amounts};
use store::{Expectation, Write};

use super::{Operation, Request};
use crate::cache::encode;
use crate::columns::at;
use crate::pipeline::Allocation;
use crate::status::StatusError;

impl Request<'_> {
    /// Adds to the transaction what the object takes from the quotas of its namespace.
    ///
    /// # Errors
    /// 403 when a quota has not as much left.
    pub(crate) fn take_quota(&self, object: &Object, allocation: &mut Allocation) -> Result<(), StatusError> {
        let kind = &self.resource.kind;
        let counted = self.operation == Operation::Create || usage::changes(&kind.group, &kind.plural);
        if !kind.namespaced || self.subresource.is_some_and(|part| part != "resize") || !counted {
            return Ok(());
        }
        let quotas = self.registry.built_in("", "resourcequotas")?;
        let namespace = object.namespace().unwrap_or_default();
        let (items, _) = quotas
            .cache
            .select(&format!("{namespace}/"), None, |_| true, usize::MAX);
        for item in items {
            let mut quota = item.object();
            let Some(used) = self.take_from(&quota, object)? else {
                continue;
            };
            if self.dry_run {
                continue;
            }
            let status = quota
                .0
                .entry("status")
                .or_insert_with(|| Value::Object(Default::default()));
            for (name, amount) in used {
                status["used"][name] = amount.to_quantity().0.into();
            }
            quota.metadata_mut().remove("resourceVersion");
            let stored = quotas.stored();
            let value = encode(&stored.kind, &stored.api_version(), &quota.0).map_err(StatusError::internal)?;
            let name = quota.name().unwrap_or_default();
            let key = Bytes::from(quotas.store_key(Some(namespace), name));
            allocation.expect.push(Expectation {
                key: key.clone(),
                mod_revision: item.revision,
            });
            allocation.writes.push(Write::Put {
                key,
                value,
                lease: None,
            });
        }
        Ok(())
    }

    /// What of a quota is used with this object; nothing when it is not about it.
    fn take_from(&self, quota: &Object, object: &Object) -> Result<Option<Amounts>, StatusError> {
        let kind = &self.resource.kind;
        let hard = amounts(at(&quota.0, &["status", "hard"]).unwrap_or(&Value::Null));
        let spec = quota.0.get("spec").unwrap_or(&Value::Null);
        if hard.is_empty() || !usage::in_scope(spec, &kind.group, &kind.plural, object) {
            return Ok(None);
        }
        let pod = kind.group.is_empty() && kind.plural == "pods";
        let name = quota.name().unwrap_or_default();
        if pod && self.operation == Operation::Create {
            let missing = usage::unspecified(&hard, object);
            if !missing.is_empty() {
                let problem = format!("failed quota: {name}: must specify {}", missing.join("; "));
                return Err(self.forbidden(object, &problem));
            }
        }
        let before = match self.old {
            Some(old) if usage::in_scope(spec, &kind.group, &kind.plural, old) => {
                usage::of(&kind.group, &kind.plural, old)
            }
            _ => Amounts::new(),
        };
        let mut asked = Amounts::new();
        for (resource, amount) in usage::of(&kind.group, &kind.plural, object) {
            let more = amount - before.get(&resource).copied().unwrap_or_default();
            if more.sign() > 0 && hard.contains_key(&resource) {
                asked.insert(resource, more);
            }
        }
        if asked.is_empty() {
            return Ok(None);
        }
        let used = amounts(at(&quota.0, &["status", "used"]).unwrap_or(&Value::Null));
        let used_of = |resource: &String| used.get(resource).copied().unwrap_or_default();
        let exceeded: Vec<&String> = asked
            .iter()
            .filter(|(resource, more)| used_of(resource) + **more > hard[*resource])
            .map(|(resource, _)| resource)
            .collect();
        if exceeded.is_empty() {
            let taken = asked
                .iter()
                .map(|(resource, more)| (resource.clone(), used_of(resource) + *more));
            return Ok(Some(taken.collect()));
        }
        let show = |of: &dyn Fn(&String) -> Amount| -> String {
            let shown: Vec<String> = exceeded.iter().map(|name| format!("{name}={}", of(name))).collect();
            shown.join(",")
        };
        let problem = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            show(&|resource| asked[resource]),
            show(&|resource| used_of(resource)),
            show(&|resource| hard[resource])
        );
        Err(self.forbidden(object, &problem))
    }
}
