//! Tables on the next actions: what runs on the left, what is done on the right.

use super::*;
use crate::observed::Container as Run;

/// `c0` names a container with one letter and an attempt; `+` runs, `-` ended well, `!` failed, `.` was only created.
/// A leading `s`/`d` word is a ready or dead sandbox.
pub(crate) fn observed(text: &str) -> Observed {
    let mut observed = Observed::default();
    for word in text.split_whitespace() {
        let epoch = Timestamp::UNIX_EPOCH;
        if let Some(attempt) = word.strip_prefix("sandbox") {
            let (attempt, ready) = attempt
                .strip_suffix('x')
                .map_or((attempt, true), |attempt| (attempt, false));
            observed.sandboxes.insert(
                0,
                Sandbox {
                    id: format!("s{attempt}"),
                    attempt: attempt.parse().unwrap(),
                    ready,
                    ips: vec!["10.0.0.1".parse().unwrap()],
                    created_at: epoch,
                },
            );
            continue;
        }
        let (name, attempt, state) = (&word[..1], &word[1..2], &word[2..]);
        let (state, exit_code) = match state {
            "+" => (ContainerState::Running, 0),
            "-" => (ContainerState::Exited, 0),
            "!" => (ContainerState::Exited, 1),
            _ => (ContainerState::Created, 0),
        };
        observed.containers.insert(
            0,
            Run {
                id: format!("{name}{attempt}"),
                sandbox_id: observed.sandboxes[0].id.clone(),
                name: name.to_owned(),
                attempt: attempt.parse().unwrap(),
                state,
                image: "i".into(),
                image_id: "sha".into(),
                created_at: epoch,
                started_at: Some(epoch),
                finished_at: (state == ContainerState::Exited).then_some(epoch),
                exit_code,
                reason: String::new(),
                message: String::new(),
                user: None,
                spec_hash: String::new(),
            },
        );
    }
    observed
}

pub(crate) fn pod(policy: &str, inits: &str, mains: &str) -> Pod {
    let list = |names: &str| {
        let one = |name: char| match name {
            // An upper-case init container is a sidecar.
            'A'..='Z' => format!(r#"{{"name":"{name}","restartPolicy":"Always","startupProbe":{{"exec":{{}}}}}}"#),
            _ => format!(r#"{{"name":"{name}","livenessProbe":{{"exec":{{}}}}}}"#),
        };
        names.chars().map(one).collect::<Vec<_>>().join(",")
    };
    let json = format!(
        r#"{{"metadata":{{"name":"p","namespace":"n","uid":"u"}},"spec":{{"restartPolicy":"{policy}","initContainers":[{}],"containers":[{}]}}}}"#,
        list(inits),
        list(mains)
    );
    serde_json::from_str(&json).unwrap()
}

fn show(next: &Next) -> String {
    let one = |action: &Action| match action {
        Action::CreateSandbox { attempt } => format!("sandbox{attempt}"),
        Action::StopSandbox { id } => format!("stop {id}"),
        Action::RemoveContainer { id } => format!("remove {id}"),
        Action::Kill { id, message, grace, .. } => format!("kill {id} {grace} ({message})"),
        Action::Start { name, attempt } => format!("start {name}{attempt}"),
        Action::End { grace } => format!("end {grace}"),
    };
    let mut parts: Vec<String> = next.actions.iter().map(one).collect();
    parts.extend(
        next.held_back
            .iter()
            .map(|(name, waiting)| format!("{name} {}", waiting.reason)),
    );
    if next.ended {
        parts.push("ended".to_owned());
    }
    parts.join(", ")
}

fn check(pod: &Pod, runs: &str, expected: &str) {
    check_with(pod, runs, &Memory::default(), expected);
}

fn check_with(pod: &Pod, runs: &str, memory: &Memory, expected: &str) {
    let next = next(pod, &observed(runs), memory, Timestamp::UNIX_EPOCH);
    assert_eq!(show(&next), expected, "{runs}");
}

#[test]
fn a_pod_comes_up() {
    let pod = pod("Always", "", "ab");
    check(&pod, "", "sandbox0");
    check(&pod, "sandbox0", "start a0, start b0");
    check(&pod, "sandbox0 a0. b0+", "remove a0, start a0");
    check(&pod, "sandbox0 a0+ b0+", "");
    check(&pod, "sandbox0 a0! b0+", "start a1");
    check(&pod, "sandbox0 a0! a1! a2! a3+ b0+", "remove a0");
    check(&pod, "sandbox0x a0! b0!", "sandbox1");
    check(&pod, "sandbox0x a0! b0! sandbox1", "start a1, start b1");
}

#[test]
fn restart_policies_decide_the_end() {
    check(&pod("OnFailure", "", "ab"), "sandbox0 a0- b0!", "start b1");
    check(&pod("OnFailure", "", "ab"), "sandbox0 a0- b0-", "end 30");
    check(&pod("Never", "", "a"), "sandbox0 a0!", "end 30");
    check(&pod("Never", "", "a"), "sandbox0x a0!", "ended");
    check(&pod("Never", "", "a"), "sandbox0x a0+", "end 30");
}

#[test]
fn init_containers_run_in_order() {
    let pod = pod("Always", "ij", "a");
    check(&pod, "sandbox0", "start i0");
    check(&pod, "sandbox0 i0+", "");
    check(&pod, "sandbox0 i0-", "start j0");
    check(&pod, "sandbox0 i0- j0!", "start j1");
    check(&pod, "sandbox0 i0- j0-", "start a0");
    check(&pod, "sandbox0 a0+", "");
    check(&self::pod("Never", "i", "a"), "sandbox0 i0!", "end 30");
}

#[test]
fn sidecars_start_before_and_restart_beside() {
    let pod = pod("Always", "Sj", "a");
    check(&pod, "sandbox0", "start S0");
    check(&pod, "sandbox0 S0+", "");
    let mut memory = Memory::default();
    let started = Results {
        startup: Some(true),
        liveness: Some(true),
        readiness: Some(true),
    };
    memory.probes.insert("S0".into(), started);
    check_with(&pod, "sandbox0 S0+", &memory, "start j0");
    check_with(&pod, "sandbox0 S0+ j0-", &memory, "start a0");
    check(&pod, "sandbox0 S0! j0- a0+", "start S1");
    check(&self::pod("Never", "S", "a"), "sandbox0 S0+ a0-", "end 30");
}

#[test]
fn failed_probes_kill() {
    let mut memory = Memory::default();
    memory.probes.insert(
        "a0".into(),
        Results {
            startup: Some(true),
            liveness: Some(false),
            readiness: None,
        },
    );
    let runs = "sandbox0 a0+";
    check_with(
        &pod("Always", "", "a"),
        runs,
        &memory,
        "kill a0 30 (Container a failed liveness probe, will be restarted)",
    );
    check_with(
        &pod("Never", "", "a"),
        runs,
        &memory,
        "kill a0 30 (Container a failed liveness probe)",
    );
}

#[test]
fn back_off_holds_back_and_says_when() {
    let mut memory = Memory::default();
    memory.restarts.next("a", Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    let pod = pod("Always", "", "a");
    check_with(&pod, "sandbox0 a0!", &memory, "a CrashLoopBackOff");
    let next = next(&pod, &observed("sandbox0 a0!"), &memory, Timestamp::UNIX_EPOCH);
    assert_eq!(
        next.held_back[0].1.message,
        "back-off 10s restarting failed container=a pod=p_n(u)"
    );
    assert_eq!(next.wake_at, Some(Timestamp::from_second(10).unwrap()));
}

#[test]
fn deletion_and_deadline_end_a_pod() {
    let mut pod = pod("Always", "", "a");
    pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        Timestamp::UNIX_EPOCH,
    ));
    pod.metadata.deletion_grace_period_seconds = Some(5);
    check(&pod, "sandbox0 a0+", "end 5");
    check(&pod, "sandbox0 a0-", "end 5");
    check(&pod, "sandbox0x a0-", "ended");
    check(&pod, "", "ended");
    let mut late = self::pod("Always", "", "a");
    late.spec.as_mut().unwrap().active_deadline_seconds = Some(7);
    late.status = serde_json::from_str(r#"{"startTime":"1970-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(deadline(&late), Some(Timestamp::from_second(7).unwrap()));
    assert!(past_deadline(&late, Timestamp::UNIX_EPOCH).is_none());
    assert_eq!(
        past_deadline(&late, Timestamp::from_second(7).unwrap()).unwrap().reason,
        "DeadlineExceeded"
    );
}

#[test]
fn a_container_for_debugging_is_begun_once_whatever_the_others_do() {
    let mut pod = pod("Always", "i", "a");
    let ephemeral = r#"[{"name":"z","image":"busybox","targetContainerName":"a"}]"#;
    pod.spec.as_mut().unwrap().ephemeral_containers = Some(serde_json::from_str(ephemeral).unwrap());
    check(&pod, "sandbox0 i0+", "start z0");
    check(&pod, "sandbox0 i0- a0+", "start z0");
    check(&pod, "sandbox0 i0- a0+ z0+", "");
    check(&pod, "sandbox0 i0- a0+ z0!", "");
    // The runtime has forgotten it: what the status tells stands.
    let told = r#"[{"name":"z","containerID":"ondol://z0","image":"","imageID":"","ready":false,"restartCount":0}]"#;
    pod.status.get_or_insert_default().ephemeral_container_statuses = Some(serde_json::from_str(told).unwrap());
    check(&pod, "sandbox0 i0- a0+", "");
}

#[test]
fn a_container_for_debugging_does_not_keep_a_pod_from_ending() {
    let mut pod = pod("Never", "", "a");
    pod.spec.as_mut().unwrap().ephemeral_containers = Some(serde_json::from_str(r#"[{"name":"z"}]"#).unwrap());
    check(&pod, "sandbox0 a0- z0+", "end 30");
}
