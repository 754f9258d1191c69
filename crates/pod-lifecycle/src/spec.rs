//! Questions about a pod's spec that several rules ask.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// When it failed.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    /// Of the pod.
    pub fn of(spec: &PodSpec) -> Self {
        Self::parse(spec.restart_policy.as_deref())
    }

    /// Of one container: its own policy (KEP 5307) stands before the pod's.
    pub fn of_container(spec: &PodSpec, container: &Container) -> Self {
        match container.restart_policy.as_deref() {
            Some(own) => Self::parse(Some(own)),
            None => Self::of(spec),
        }
    }

    /// Whether a container with this policy is started again after `exit_code`.
    pub fn restarts_after(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// Whether a container is started again after `exit_code`, its own restart rules first.
pub fn restarts_after(spec: &PodSpec, container: &Container, exit_code: i32) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|code| *code == exit_code);
        let matches = if codes.operator == "NotIn" { !listed } else { listed };
        if matches && rule.action == "Restart" {
            return true;
        }
    }
    RestartPolicy::of_container(spec, container).restarts_after(exit_code)
}

/// An init container that keeps running beside the main ones (KEP 753).
pub fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Init containers, in order.
pub fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// Containers that were added to a pod that runs (`kubectl debug`), as ordinary ones that are never started again.
pub fn ephemeral_containers(spec: &PodSpec) -> impl Iterator<Item = Container> {
    spec.ephemeral_containers.iter().flatten().map(|found| Container {
        args: found.args.clone(),
        command: found.command.clone(),
        env: found.env.clone(),
        env_from: found.env_from.clone(),
        image: found.image.clone(),
        image_pull_policy: found.image_pull_policy.clone(),
        name: found.name.clone(),
        restart_policy: Some("Never".to_owned()),
        security_context: found.security_context.clone(),
        stdin: found.stdin,
        stdin_once: found.stdin_once,
        termination_message_path: found.termination_message_path.clone(),
        termination_message_policy: found.termination_message_policy.clone(),
        tty: found.tty,
        volume_mounts: found.volume_mounts.clone(),
        working_dir: found.working_dir.clone(),
        ..Container::default()
    })
}

/// The container whose processes an ephemeral container wants to see.
pub fn debug_target<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a str> {
    let mut all = spec.ephemeral_containers.iter().flatten();
    let found = all.find(|container| container.name == name)?;
    found
        .target_container_name
        .as_deref()
        .filter(|target| !target.is_empty())
}

/// A container of any kind by name.
pub fn find<'a>(spec: &'a PodSpec, name: &str) -> Option<Cow<'a, Container>> {
    let lasting = spec.containers.iter().chain(init_containers(spec));
    let found = lasting.into_iter().find(|container| container.name == name);
    let ephemeral = || ephemeral_containers(spec).find(|container| container.name == name);
    found.map(Cow::Borrowed).or_else(|| ephemeral().map(Cow::Owned))
}

/// Whether the pod uses the machine's network.
pub fn host_network(spec: &PodSpec) -> bool {
    spec.host_network == Some(true)
}

/// `name_namespace(uid)`, as upstream writes a pod in messages.
pub fn describe(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}

/// Seconds that the containers get to end: the deletion's own, else the spec's, else 30.
pub fn grace_period(pod: &Pod) -> i64 {
    let of_spec = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    pod.metadata
        .deletion_grace_period_seconds
        .or(of_spec)
        .unwrap_or(30)
        .max(0)
}

/// Whether the API server has been asked to delete the pod.
pub fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod's status says that it will never run again.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`, `1.5s`.
pub fn go_duration(duration: std::time::Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fraction = |value: u128, unit: u128, suffix: &str| {
        let (whole, rest) = (value / unit, value % unit);
        if rest == 0 {
            return format!("{whole}{suffix}");
        }
        let digits = unit.ilog10() as usize;
        format!("{whole}.{}{suffix}", format!("{rest:0digits$}").trim_end_matches('0'))
    };
    match nanos {
        0..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let last = fraction(nanos - u128::from(seconds / 60) * 60_000_000_000, 1_000_000_000, "s");
            match (hours, minutes) {
                (0, 0) => last,
                (0, _) => format!("{minutes}m{last}"),
                _ => format!("{hours}h{minutes}m{last}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_are_printed_as_go_does() {
        for (millis, text) in [
            (0, "0s"),
            (10_000, "10s"),
            (80_000, "1m20s"),
            (300_000, "5m0s"),
            (1_500, "1.5s"),
            (12, "12ms"),
            (3_600_000, "1h0m0s"),
            (1_234, "1.234s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(go_duration(Duration::from_micros(1_250)), "1.25ms");
    }

    #[test]
    fn restart_rules_stand_before_the_policy() {
        let container: Container = serde_json::from_str(
            r#"{"name":"a","restartPolicy":"Never","restartPolicyRules":[{"action":"Restart","exitCodes":{"operator":"In","values":[42]}}]}"#,
        )
        .unwrap();
        let spec = PodSpec {
            restart_policy: Some("Always".into()),
            ..PodSpec::default()
        };
        assert!(restarts_after(&spec, &container, 42));
        assert!(!restarts_after(&spec, &container, 1));
        assert!(restarts_after(&spec, &Container::default(), 0));
    }
}
