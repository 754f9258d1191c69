//! The guide's first page, from `ondol up` to `ondol down`, and what must heal on the way.

use crate::support::{EXAMPLES, Ondol, page_comes, provisions, until};

fn it_can_be_looked_into(ondol: &Ondol) {
    let described = ondol.kubectl(["describe", "pods", "-l", "app=nginx"]).ok();
    assert!(
        described.contains("Successfully assigned") && described.contains("Started"),
        "{described}"
    );
    let logs = ondol.kubectl(["logs", "-l", "app=nginx", "--tail=100"]).ok();
    assert!(logs.contains("GET / HTTP/1.1"), "{logs}");
    let said = ondol
        .kubectl([
            "exec",
            "deployment/nginx-deployment",
            "--",
            "sh",
            "-c",
            "echo from $(hostname); exit 0",
        ])
        .ok();
    assert!(said.contains("from nginx-deployment-"), "{said}");
}

async fn it_scales_and_heals(ondol: &Ondol) {
    let ready = [
        "get",
        "deployment",
        "nginx-deployment",
        "-o",
        "jsonpath={.status.readyReplicas}",
    ];
    for replicas in ["10", "1", "3"] {
        ondol
            .kubectl([
                "scale",
                "deployment/nginx-deployment",
                &format!("--replicas={replicas}"),
            ])
            .ok();
        until(
            "the wanted replicas",
            || ondol.kubectl(ready),
            |found| found == replicas,
        )
        .await;
    }

    // A process that kills itself is a container that ends; the pod starts it again.
    ondol.kubectl(["exec", "deployment/nginx-deployment", "--", "sh", "-c", "kill -QUIT 1"]);
    let restarts = [
        "get",
        "pods",
        "-l",
        "app=nginx",
        "-o",
        "jsonpath={.items[*].status.containerStatuses[*].restartCount}",
    ];
    until(
        "a restarted container",
        || ondol.kubectl(restarts),
        |counts| counts.contains('1'),
    )
    .await;
    ondol.kubectl(["delete", "pod", "-l", "app=nginx", "--wait=false"]).ok();
    until("new pods", || ondol.kubectl(ready), |found| found == "3").await;
}

#[tokio::test]
async fn the_guides_first_page_works_and_heals() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("nginx");
    ondol
        .run(["create", "cluster", "-f", &format!("{EXAMPLES}/cluster.yaml")])
        .ok();
    ondol.kubectl(["apply", "-f", &format!("{EXAMPLES}/nginx.yaml")]).ok();
    ondol
        .kubectl(["rollout", "status", "deployment/nginx-deployment", "--timeout=120s"])
        .ok();
    let name = [
        "get",
        "service",
        "nginx-service",
        "-o",
        "jsonpath={.status.loadBalancer.ingress[0].hostname}",
    ];
    let host = until(
        "the load balancer's name",
        || ondol.kubectl(name),
        |name| name.ends_with(".elb.localhost"),
    )
    .await;
    page_comes(&ondol, &host, "Welcome to nginx").await;

    it_can_be_looked_into(&ondol);
    it_scales_and_heals(&ondol).await;
    page_comes(&ondol, &host, "Welcome to nginx").await;

    let whoami = ondol
        .aws(["sts", "get-caller-identity", "--query", "Account", "--output", "text"])
        .ok();
    assert_eq!(whoami.trim().len(), 12, "{whoami}");
    let state = ondol
        .aws([
            "eks",
            "describe-cluster",
            "--name",
            "warm",
            "--query",
            "cluster.status",
            "--output",
            "text",
        ])
        .ok();
    assert_eq!(state.trim(), "ACTIVE");
    ondol.run(["delete", "cluster", "--name", "warm", "--wait"]).ok();
    ondol.down();
}

#[tokio::test]
async fn a_killed_region_process_finds_its_machines_again_and_their_pods_ran_on() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol
        .run(["create", "cluster", "-f", &format!("{EXAMPLES}/cluster.yaml")])
        .ok();
    ondol.kubectl(["apply", "-f", &format!("{EXAMPLES}/demo.yaml")]).ok();
    ondol
        .kubectl(["rollout", "status", "deployment/demo", "--timeout=120s"])
        .ok();
    let name = [
        "get",
        "service",
        "demo",
        "-o",
        "jsonpath={.status.loadBalancer.ingress[0].hostname}",
    ];
    let host = until(
        "the load balancer's name",
        || ondol.kubectl(name),
        |name| name.ends_with(".elb.localhost"),
    )
    .await;
    let pods = [
        "get",
        "pods",
        "-l",
        "app=demo",
        "-o",
        "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].containerID} {end}",
    ];
    let before = ondol.kubectl(pods).ok();

    ondol.kill_region();
    ondol.start().ok();
    let after = until("the API server", || ondol.kubectl(pods), |pods| !pods.is_empty()).await;
    assert_eq!(after, before, "the same pods with the same containers");
    page_comes(&ondol, &host, "It is warm in here").await;
    ondol.kubectl(["scale", "deployment/demo", "--replicas=4"]).ok();
    ondol
        .kubectl(["rollout", "status", "deployment/demo", "--timeout=120s"])
        .ok();
    ondol.down();
}
