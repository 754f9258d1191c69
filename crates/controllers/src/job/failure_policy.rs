//! What a failed pod means for its job. Source of the rules: upstream's `matchPodFailurePolicy`.

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube_types::ObjectKey;

/// What a failed pod means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts towards the back-off limit.
    Count,
    /// It counts for nothing.
    Ignore,
    /// Its index has failed for good.
    FailIndex,
    /// The job has failed, with this message.
    FailJob(String),
}

/// The verdict of the first rule that matches.
pub(super) fn verdict(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    for (number, rule) in rules.enumerate() {
        let Some(found) = matched(rule, pod) else { continue };
        return match rule.action.as_str() {
            "Ignore" => Verdict::Ignore,
            "FailIndex" => Verdict::FailIndex,
            "FailJob" => Verdict::FailJob(format!("{found} matching FailJob rule at index {number}")),
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

/// What of the pod a rule matches, in words.
fn matched(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    if let Some(codes) = &rule.on_exit_codes {
        return by_exit_code(codes, pod);
    }
    let patterns = rule.on_pod_conditions.iter().flatten();
    patterns.into_iter().find_map(|pattern| by_condition(pattern, pod))
}

fn by_exit_code(codes: &PodFailurePolicyOnExitCodesRequirement, pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses];
    let named = |container: &&ContainerStatus| {
        let wanted = codes.container_name.as_ref();
        wanted.is_none_or(|wanted| *wanted == container.name)
    };
    let mut containers = lists.into_iter().flatten().flatten().filter(named);
    containers.find_map(|container| {
        let code = container.state.as_ref()?.terminated.as_ref()?.exit_code;
        let fits = codes.values.contains(&code) != (codes.operator == "NotIn");
        let name = &container.name;
        let pod = ObjectKey::of(pod);
        (code != 0 && fits).then(|| format!("Container {name} for pod {pod} failed with exit code {code}"))
    })
}

fn by_condition(pattern: &PodFailurePolicyOnPodConditionsPattern, pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let status = pattern.status.as_deref().unwrap_or("True");
    let fits = |condition: &k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == pattern.type_ && condition.status == status
    };
    let found = conditions.iter().any(fits);
    found.then(|| format!("Pod {} has condition {}", ObjectKey::of(pod), pattern.type_))
}
