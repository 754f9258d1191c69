//! Ondol without sudo: a user whom the test makes goes through the guide, and is told what the system does not give.

use crate::support::user::User;
use crate::support::{Ondol, page_comes, provisions, until};

/// A pod that runs as another user than root, whose ids come from the user's ranges.
const ANOTHER: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: another
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000}
  volumes:
    - {name: scratch, emptyDir: {}}
  containers:
    - name: another
      image: busybox
      command: [sh, -c, 'id > /scratch/id; sleep 3600']
      resources: {limits: {memory: 64Mi}}
      volumeMounts:
        - {name: scratch, mountPath: /scratch}
";

/// None where such a user cannot be made, after saying so. In CI that is a failure.
fn possible<T>(made: Result<T, String>) -> Option<T> {
    match made {
        Ok(made) => Some(made),
        Err(reason) => {
            assert!(std::env::var_os("CI").is_none(), "{reason}");
            println!("skipped: {reason}");
            None
        }
    }
}

#[tokio::test]
async fn an_ordinary_user_goes_through_the_guide_and_is_told_what_is_not_enforced() {
    let Some(provisions) = provisions() else { return };
    let Some(user) = possible(User::make("ondole", &[], &provisions)) else {
        return;
    };
    let ondol = Ondol::of_user(provisions, user);
    let said = ondol.run(["up", "--port", "0", "--load-balancer-port", "80"]).ok();
    assert!(said.contains("note: limits are not enforced: "), "{said}");
    if std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").is_ok_and(|port| port.trim() != "0") {
        assert!(said.contains("note: port 80 cannot be had: "), "{said}");
    }
    ondol.load_image("nginx");
    ondol.load_image("busybox");
    ondol
        .run(["create", "cluster", "-f", &ondol.example("cluster.yaml")])
        .ok();
    let conditions = ondol.kubectl(["describe", "nodes"]).ok();
    assert!(
        conditions.contains("cpu and memory limits are not enforced on this machine: "),
        "{conditions}"
    );

    // The demo.
    ondol.kubectl(["apply", "-f", &ondol.example("demo.yaml")]).ok();
    ondol
        .kubectl(["rollout", "status", "deployment/demo", "--timeout=120s"])
        .ok();
    page_comes(&ondol, &balancer(&ondol, "demo").await, "It is warm in here").await;

    apps_of_other_users_run(&ondol).await;
    // A new region process finds the user namespace and the machines in it again.
    let pods = [
        "get",
        "pods",
        "-o",
        "jsonpath={.items[*].status.containerStatuses[*].containerID}",
    ];
    // Those of the demo that are on their way out count as long as they are listed.
    let all = 1 + 3 + 1;
    let settled = |pods: &str| pods.split_whitespace().count() == all;
    let before = until("the pods that stay", || ondol.kubectl(pods), settled).await;
    ondol.kill_region();
    ondol.start().ok();
    let after = until("the API server", || ondol.kubectl(pods), |pods| !pods.is_empty()).await;
    assert_eq!(after, before, "the same containers");
    page_comes(&ondol, &balancer(&ondol, "demo").await, "It is warm in here").await;
    ondol.run(["delete", "cluster", "--name", "warm", "--wait"]).ok();
    ondol.down();
}

/// The guide's app, whose image has other users than root, and a pod that is another user itself.
async fn apps_of_other_users_run(ondol: &Ondol) {
    ondol.kubectl(["apply", "-f", &ondol.example("nginx.yaml")]).ok();
    ondol
        .kubectl(["rollout", "status", "deployment/nginx-deployment", "--timeout=120s"])
        .ok();
    page_comes(ondol, &balancer(ondol, "nginx-service").await, "Welcome to nginx").await;
    ondol
        .kubectl(["apply", "-f", &ondol.file("another.yaml", ANOTHER)])
        .ok();
    ondol
        .kubectl(["wait", "pod/another", "--for=condition=Ready", "--timeout=120s"])
        .ok();
    let id = ["exec", "another", "--", "cat", "/scratch/id"];
    let id = until("the pod's ids", || ondol.kubectl(id), |said| !said.is_empty()).await;
    assert!(
        id.contains("uid=1000") && id.contains("gid=3000") && id.contains("2000"),
        "{id}"
    );
    let logs = ondol.kubectl(["logs", "-l", "app=nginx", "--tail=100"]).ok();
    assert!(logs.contains("GET / HTTP/1.1"), "{logs}");
    let ready = ["get", "deployment", "demo", "-o", "jsonpath={.status.readyReplicas}"];
    for replicas in ["5", "1"] {
        ondol
            .kubectl(["scale", "deployment/demo", &format!("--replicas={replicas}")])
            .ok();
        until(
            "the wanted replicas",
            || ondol.kubectl(ready),
            |found| found == replicas,
        )
        .await;
    }
}

async fn balancer(ondol: &Ondol, service: &str) -> String {
    let name = [
        "get",
        "service",
        service,
        "-o",
        "jsonpath={.status.loadBalancer.ingress[0].hostname}",
    ];
    let is_name = |name: &str| name.ends_with(".elb.localhost");
    until("the load balancer's name", || ondol.kubectl(name), is_name).await
}

#[tokio::test]
async fn a_user_who_cannot_have_containers_is_told_why_and_what_helps() {
    let Some(provisions) = provisions() else { return };
    let ranges = ["--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0"];
    let Some(user) = possible(User::make("ondolf", &ranges, &provisions)) else {
        return;
    };
    let ondol = Ondol::of_user(provisions, user);
    let said = ondol.start().refused();
    for part in [
        "/etc/subuid has no range for user ondolf",
        "usermod --add-subuids",
        "with sudo",
        "--simulated",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(ondol.processes().ours.is_empty(), "a region that was refused runs on");
    ondol.down();
}
