//! `eviction`: deleting a pod, if the disruption budgets allow it.

use std::sync::Arc;

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value, json};
use kube_types::meta;
use kube_types::selector::LabelSelector;
use serde::Deserialize;

use super::created;
use crate::columns::{at, number, string};
use crate::options::{DeleteOptions, WriteOptions};
use crate::pipeline::{Part, Source, check_name, check_namespace, stamp};
use crate::registry::Registry;
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::StatusError;

/// A budget that waits for this many disruptions to be seen is not asked for more. Source: `MaxDisruptedPodSize`.
const MOST_DISRUPTED: usize = 2000;

impl Registry {
    /// Evicts a pod.
    pub(crate) async fn evict(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        let gvk = GroupVersionKind::new("policy", "v1", "Eviction");
        let mut eviction = self.decode(context, &gvk, &body, options.field_validation)?;
        let pods = self.built_in("", "pods")?;
        check_namespace(&pods.kind, target, &mut eviction)?;
        check_name(target, &mut eviction)?;
        self.admit_posted(context, &pods, target, &mut eviction, options.dry_run)
            .await?;
        let given = eviction
            .0
            .get("deleteOptions")
            .map(Value::to_string)
            .unwrap_or_default();
        let mut delete = DeleteOptions::read(&[], given.as_bytes())?;
        delete.dry_run |= options.dry_run;
        let pod_target = Target {
            subresource: None,
            ..target.clone()
        };
        let name = target.name.as_deref().unwrap_or_default();
        let item = self.newest(&pods, target.namespace.as_deref(), name).await?;
        let pod = item.ok_or_else(|| pods.not_found(name))?.object();
        if counts(&pod) {
            self.take_from_budget(context, &pod, delete.dry_run).await?;
        }
        self.delete_object(context, &pods, &pod_target, &delete).await?;
        created()
    }

    /// Takes one disruption from the pod's budget, or says why none is left.
    async fn take_from_budget(&self, context: &Context, pod: &Object, dry_run: bool) -> Result<(), StatusError> {
        let budgets = self.built_in("policy", "poddisruptionbudgets")?;
        let namespace = pod.namespace().unwrap_or_default();
        let (items, _) = budgets
            .cache
            .select(&format!("{namespace}/"), None, |_| true, usize::MAX);
        let labels = pod.labels();
        let selecting: Vec<Object> = items
            .iter()
            .map(|item| item.object())
            .filter(|budget| selector(budget).is_some_and(|selector| selector.matches(&labels)))
            .collect();
        let budget = match selecting.as_slice() {
            [] => return Ok(()),
            [budget] => budget,
            _ => {
                let problem =
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
                return Err(StatusError::new(500, "InternalError", problem));
            }
        };
        let target = Target::object(budgets.kind.gvr(), Some(namespace), budget.name().unwrap_or_default());
        let pod_name = pod.name().unwrap_or_default().to_owned();
        let now = stamp(self.clock.now());
        let source = Source::Edit(Arc::new(move |budget: &mut Object| take(budget, &pod_name, &now)));
        let options = WriteOptions {
            dry_run,
            ..WriteOptions::default()
        };
        self.change(context, &budgets, &target, Part::Status, source, &options)
            .await?;
        Ok(())
    }
}

/// Pods that are finished, not yet running or already going are no disruption. Source: `canIgnorePDB`.
fn counts(pod: &Object) -> bool {
    !pod.is_deleting() && !matches!(string(&pod.0, &["status", "phase"]), "Succeeded" | "Failed" | "Pending")
}

fn selector(budget: &Object) -> Option<LabelSelector> {
    let typed = meta::LabelSelector::deserialize(at(&budget.0, &["spec", "selector"])?).ok()?;
    LabelSelector::from_typed(&typed).ok()
}

/// Source: `checkAndDecrement`.
fn take(budget: &mut Object, pod: &str, now: &str) -> Result<(), StatusError> {
    let refuse = |cause: String, seconds: i32| {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        Err(StatusError::too_many_requests(message, seconds).with_cause("DisruptionBudget", cause, ""))
    };
    let name = budget.name().unwrap_or_default().to_owned();
    let observed = number(&budget.0, &["status", "observedGeneration"]);
    if observed < number(&budget.0, &["metadata", "generation"]) {
        return refuse(
            format!("The disruption budget {name} is still being processed by the server."),
            10,
        );
    }
    if crate::columns::count(&budget.0, &["status", "disruptedPods"]) > MOST_DISRUPTED {
        return refuse(
            format!("The disruption budget {name} has too many evictions not confirmed by the controller."),
            10,
        );
    }
    let allowed = number(&budget.0, &["status", "disruptionsAllowed"]);
    if allowed <= 0 {
        let desired = number(&budget.0, &["status", "desiredHealthy"]);
        let current = number(&budget.0, &["status", "currentHealthy"]);
        let cause = format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently");
        return refuse(cause, 0);
    }
    let status = budget.0.entry("status").or_insert_with(|| json!({}));
    status["disruptionsAllowed"] = (allowed - 1).into();
    status["disruptedPods"][pod] = now.into();
    Ok(())
}
