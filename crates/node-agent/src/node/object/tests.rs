//! The Node as a whole.

use super::*;

fn config() -> Config {
    serde_json::from_str(
        r#"{"nodeName":"ip-10-0-1-5.ap-northeast-2.compute.internal",
            "instance":{"instanceId":"i-0abc","instanceType":"t3.medium","region":"ap-northeast-2","zone":"ap-northeast-2a",
                "privateIp":"10.0.1.5","privateDnsName":"ip-10-0-1-5.ap-northeast-2.compute.internal","nodeGroup":"workers"},
            "labels":{"role":"web"},
            "taints":[{"key":"dedicated","value":"x","effect":"NoSchedule"}],
            "capacity":{"cpus":2,"memoryBytes":4294967296,"ephemeralStorageBytes":21474836480,"maxPods":17},
            "limits":{"memory":false,"cpu":true,"reason":"no cgroup delegation"},
            "clusterDns":["172.20.0.10"],"criSocket":"/run/cri.sock","rootDir":"/k","podLogDir":"/l",
            "kubeletVersion":"v1.36.1-eks-0000000","osImage":"Ondol"}"#,
    )
    .unwrap()
}

fn facts(ready: Result<(), String>) -> Facts {
    let system = NodeSystemInfo {
        kubelet_version: "v1.36.1-eks-0000000".into(),
        ..NodeSystemInfo::default()
    };
    Facts {
        runtime_version: "ondol://0.1.0".into(),
        images: Vec::new(),
        system,
        ready,
    }
}

#[test]
fn a_node_looks_as_on_eks() {
    let node = node(&config(), &facts(Ok(())), Timestamp::UNIX_EPOCH);
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&node)
            .unwrap()
            .replace(architecture(), "ARCH")
    );
}

#[test]
fn readiness_follows_the_runtime_and_heartbeats_do_not_count_as_change() {
    let config = config();
    let down = facts(readiness(&cri::RuntimeStatus::default()));
    let first = status(&config, &down, &NodeStatus::default(), Timestamp::UNIX_EPOCH);
    let later = status(&config, &down, &first, Timestamp::from_second(60).unwrap());
    assert!(same(&first, &later) && first != later);
    let up = status(&config, &facts(Ok(())), &later, Timestamp::from_second(90).unwrap());
    assert!(!same(&later, &up));
    let ready = up
        .conditions
        .unwrap()
        .into_iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.last_transition_time.unwrap().0.as_second()),
        ("True", 90)
    );
}
