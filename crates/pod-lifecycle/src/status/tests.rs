//! Whole statuses, in the few words that matter: what runs on the left, what is reported on the right.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};

use super::*;
use crate::plan::Waiting;
use crate::plan::tests::{observed, pod};

fn state(state: Option<&ContainerState>) -> String {
    let Some(state) = state else { return "-".to_owned() };
    if state.running.is_some() {
        return "running".to_owned();
    }
    if let Some(ended) = &state.terminated {
        return format!("ended({})", ended.exit_code);
    }
    state
        .waiting
        .as_ref()
        .and_then(|waiting| waiting.reason.clone())
        .unwrap_or_else(|| "waiting".to_owned())
}

fn show(status: &PodStatus) -> String {
    let container = |status: &ContainerStatus| {
        let flags = [(status.ready, " ready"), (status.started == Some(true), " started")];
        let flags: String = flags.iter().filter(|(on, _)| *on).map(|(_, text)| *text).collect();
        format!(
            "  {} {} last {} restarts {}{flags}\n",
            status.name,
            state(status.state.as_ref()),
            state(status.last_state.as_ref()),
            status.restart_count
        )
    };
    let condition = |condition: &PodCondition| {
        let more: Vec<&str> = [&condition.reason, &condition.message]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        format!("  {}={} {}", condition.type_, condition.status, more.join(": "))
            .trim_end()
            .to_owned()
            + "\n"
    };
    let mut text = format!(
        "{} {}\n",
        status.phase.as_deref().unwrap(),
        status.pod_ip.as_deref().unwrap_or("no address")
    );
    text.extend(status.init_container_statuses.iter().flatten().map(container));
    text.extend(status.container_statuses.iter().flatten().map(container));
    text.extend(status.conditions.iter().flatten().map(condition));
    text
}

fn status_of(pod: &Pod, runs: &str, memory: &Memory, ended: bool) -> PodStatus {
    let host_ips = ["10.0.0.9".parse().unwrap()];
    let now = Timestamp::UNIX_EPOCH;
    generate(
        pod,
        &observed(runs),
        &Context {
            memory,
            host_ips: &host_ips,
            runtime: "ondol",
            now,
            ended,
        },
    )
}

fn text_of(pod: &Pod, runs: &str) -> String {
    show(&status_of(pod, runs, &Memory::default(), false))
}

#[test]
fn a_pod_before_anything_runs() {
    insta::assert_snapshot!(text_of(&pod("Always", "", "ba"), ""), @r"
    Pending no address
      a ContainerCreating last - restarts 0
      b ContainerCreating last - restarts 0
      PodReadyToStartContainers=False
      Initialized=True
      Ready=False ContainersNotReady: containers with unready status: [b a]
      ContainersReady=False ContainersNotReady: containers with unready status: [b a]
      PodScheduled=True
    ");
    insta::assert_snapshot!(text_of(&pod("Always", "i", "a"), "sandbox0 i0+"), @r"
    Pending 10.0.0.1
      i running last - restarts 0 started
      a PodInitializing last - restarts 0
      PodReadyToStartContainers=True
      Initialized=False ContainersNotInitialized: containers with incomplete status: [i]
      Ready=False ContainersNotReady: containers with unready status: [a]
      ContainersReady=False ContainersNotReady: containers with unready status: [a]
      PodScheduled=True
    ");
}

#[test]
fn a_running_pod() {
    insta::assert_snapshot!(text_of(&pod("Always", "i", "a"), "sandbox0 i0- a0+"), @r"
    Running 10.0.0.1
      i ended(0) last - restarts 0 ready
      a running last - restarts 0 ready started
      PodReadyToStartContainers=True
      Initialized=True
      Ready=True
      ContainersReady=True
      PodScheduled=True
    ");
}

#[test]
fn an_unready_sidecar_and_a_failing_container() {
    let mut memory = Memory::default();
    memory.waiting.insert(
        "a".into(),
        Waiting {
            reason: "CrashLoopBackOff".into(),
            message: "back-off".into(),
        },
    );
    let status = status_of(&pod("Always", "S", "a"), "sandbox0 S0+ a0! a1!", &memory, false);
    insta::assert_snapshot!(show(&status), @r"
    Running 10.0.0.1
      S running last - restarts 0
      a CrashLoopBackOff last ended(1) restarts 1
      PodReadyToStartContainers=True
      Initialized=True
      Ready=False ContainersNotReady: containers with unready status: [S a]
      ContainersReady=False ContainersNotReady: containers with unready status: [S a]
      PodScheduled=True
    ");
}

#[test]
fn ended_pods() {
    let ended = |policy, runs| show(&status_of(&pod(policy, "", "ab"), runs, &Memory::default(), true));
    insta::assert_snapshot!(ended("OnFailure", "sandbox0x a0- b0-"), @r"
    Succeeded 10.0.0.1
      a ended(0) last - restarts 0
      b ended(0) last - restarts 0
      PodReadyToStartContainers=False
      Initialized=True PodCompleted
      Ready=False PodCompleted
      ContainersReady=False PodCompleted
      PodScheduled=True
    ");
    insta::assert_snapshot!(ended("Never", "sandbox0x a0- b0!"), @r"
    Failed 10.0.0.1
      a ended(0) last - restarts 0
      b ended(1) last - restarts 0
      PodReadyToStartContainers=False
      Initialized=True
      Ready=False PodFailed
      ContainersReady=False PodFailed
      PodScheduled=True
    ");
}

#[test]
fn transition_times_move_only_with_the_status() {
    let mut one = pod("Always", "", "a");
    one.metadata.generation = Some(3);
    one.status = Some(status_of(&one, "sandbox0", &Memory::default(), false));
    let host_ips = ["10.0.0.9".parse().unwrap()];
    let now = Timestamp::from_second(60).unwrap();
    let memory = Memory::default();
    let context = Context {
        memory: &memory,
        host_ips: &host_ips,
        runtime: "ondol",
        now,
        ended: false,
    };
    let later = generate(&one, &observed("sandbox0 a0+"), &context);
    let since = |kind: &str| {
        condition(&later, kind)
            .unwrap()
            .last_transition_time
            .clone()
            .unwrap()
            .0
            .as_second()
    };
    assert_eq!((since("Initialized"), since("Ready")), (0, 60));
    assert_eq!(condition(&later, "Ready").unwrap().observed_generation, Some(3));
    assert_eq!(later.start_time.unwrap().0.as_second(), 0);
}

#[test]
fn a_terminal_phase_and_a_verdict_of_the_node_stay() {
    let mut one = pod("Always", "", "a");
    let verdict = plan::Stopped {
        reason: "DeadlineExceeded".into(),
        message: "too long".into(),
    };
    let memory = Memory {
        stopped: Some(verdict),
        ..Memory::default()
    };
    let failed = status_of(&one, "sandbox0 a0+", &memory, false);
    assert_eq!(
        (failed.phase.as_deref(), failed.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    one.status = Some(failed);
    let later = status_of(&one, "", &Memory::default(), true);
    assert_eq!(
        (later.phase.as_deref(), later.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    let lost = later.container_statuses.unwrap()[0]
        .state
        .clone()
        .unwrap()
        .terminated
        .unwrap();
    assert_eq!(
        (lost.exit_code, lost.reason.as_deref()),
        (137, Some("ContainerStatusUnknown"))
    );
}
