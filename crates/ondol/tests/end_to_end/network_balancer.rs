//! A network load balancer of one's own: made by the real AWS CLI, with pods and nodes as its targets.

use crate::support::{Ondol, page_comes, provisions, until};

const CONFIGURATION: &str = "
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: balanced, region: ap-northeast-2, version: '1.35'}
vpc: {cidr: 10.50.0.0/16}
managedNodeGroups:
  - {name: nodes, instanceType: t3.medium, desiredCapacity: 2}
";

const PAGES: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: pages}
spec:
  replicas: 2
  selector: {matchLabels: {app: pages}}
  template:
    metadata: {labels: {app: pages}}
    spec:
      containers: [{name: page, image: 'ondol.local/demo:latest'}]
---
apiVersion: v1
kind: Service
metadata: {name: pages}
spec:
  type: NodePort
  selector: {app: pages}
  ports: [{port: 80, nodePort: 30080}]
";

const PAGE: &str = "It is warm in here";

/// The words of a command line as the CLI's arguments, and what it answers as text.
fn aws(ondol: &Ondol, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().chain(["--output", "text"]).collect();
    ondol.aws_with(&words).ok().trim().to_owned()
}

/// A target group of this VPC that is checked often.
fn group(ondol: &Ondol, vpc: &str, name: &str, kind: &str, port: u16, check: &str) -> String {
    let often = "--health-check-interval-seconds 5 --healthy-threshold-count 2 --unhealthy-threshold-count 2";
    let line = format!(
        "elbv2 create-target-group --name {name} --protocol TCP --port {port} --vpc-id {vpc} --target-type {kind} {often} {check} \
         --query TargetGroups[0].TargetGroupArn"
    );
    aws(ondol, &line)
}

/// Waits until the targets of a group are like this, state and reason.
async fn health_is(ondol: &Ondol, group: &str, expected: &[&str]) {
    let query = "TargetHealthDescriptions[].[TargetHealth.State,TargetHealth.Reason]";
    let words = [
        "elbv2",
        "describe-target-health",
        "--target-group-arn",
        group,
        "--query",
        query,
        "--output",
        "text",
    ];
    let seen = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(|line| line.replace('\t', " ")).collect();
        lines.sort();
        lines
    };
    until(
        "the targets' health",
        || ondol.aws(words),
        |text| seen(text) == expected,
    )
    .await;
}

/// A region with a cluster in which the pages run; its VPC and one of its subnets.
fn up() -> Option<(Ondol, String, String)> {
    let ondol = Ondol::up(provisions()?);
    let (cluster, pages) = (
        ondol.file("cluster.yaml", CONFIGURATION),
        ondol.file("pages.yaml", PAGES),
    );
    ondol.run(["create", "cluster", "-f", &cluster]).ok();
    ondol.kubectl(["apply", "-f", &pages]).ok();
    let rollout = ["rollout", "status", "deployment/pages", "--timeout=120s"];
    ondol.kubectl(rollout).ok();
    let described = |query: &str| aws(&ondol, &format!("eks describe-cluster --name balanced --query {query}"));
    let vpc = described("cluster.resourcesVpcConfig.vpcId");
    let subnet = described("cluster.resourcesVpcConfig.subnetIds[0]");
    Some((ondol, vpc, subnet))
}

/// The two nodes, as targets.
fn instances(ondol: &Ondol) -> Vec<String> {
    let query = "Reservations[].Instances[].InstanceId";
    let line = format!("ec2 describe-instances --filters Name=instance-state-name,Values=running --query {query}");
    let ids = aws(ondol, &line);
    ids.split_whitespace().map(|id| format!("Id={id}")).collect()
}

/// Registers the pods, and one address where nobody answers, with a listener that forwards to them; the listener.
async fn pods_get_traffic(ondol: &Ondol, vpc: &str, balancer: &str) -> String {
    let pods = group(ondol, vpc, "pods", "ip", 80, "--health-check-protocol HTTP");
    let path = "jsonpath={range .items[*]}Id={.status.podIP} {end}";
    let targets = ondol.kubectl(["get", "pods", "-l", "app=pages", "-o", path]).ok();
    let register = format!("elbv2 register-targets --target-group-arn {pods} --targets");
    aws(ondol, &format!("{register} {targets} Id=10.50.255.1,Port=81"));
    health_is(ondol, &pods, &["unused Target.NotInUse"; 3]).await;
    let forward = format!("--default-actions Type=forward,TargetGroupArn={pods}");
    let create = format!("elbv2 create-listener --load-balancer-arn {balancer} --protocol TCP --port 80 {forward}");
    let listener = aws(ondol, &format!("{create} --query Listeners[0].ListenerArn"));
    let sick = "unhealthy Target.FailedHealthChecks";
    health_is(ondol, &pods, &["healthy None", "healthy None", sick]).await;
    listener
}

#[tokio::test]
async fn a_network_load_balancer_reaches_pods_and_nodes_whose_checks_are_good() {
    let Some((ondol, vpc, subnet)) = up() else { return };
    let query = "LoadBalancers[0].[LoadBalancerArn,DNSName]";
    let create = format!("elbv2 create-load-balancer --type network --name own --subnets {subnet} --query {query}");
    let made = aws(&ondol, &create);
    let (balancer, host) = made.split_once('\t').expect("an ARN and a name");
    let listener = pods_get_traffic(&ondol, &vpc, balancer).await;
    page_comes(&ondol, host, PAGE).await;

    // Nodes by a Service's node port.
    let nodes = group(&ondol, &vpc, "nodes", "instance", 30080, "");
    let ids = instances(&ondol);
    assert_eq!(ids.len(), 2);
    let of_nodes = format!("--target-group-arn {nodes} --targets");
    aws(&ondol, &format!("elbv2 register-targets {of_nodes} {}", ids.join(" ")));
    let forward = format!("--default-actions Type=forward,TargetGroupArn={nodes}");
    aws(
        &ondol,
        &format!("elbv2 modify-listener --listener-arn {listener} {forward}"),
    );
    health_is(&ondol, &nodes, &["healthy None"; 2]).await;
    page_comes(&ondol, host, PAGE).await;
    aws(&ondol, &format!("elbv2 deregister-targets {of_nodes} {}", ids[0]));
    let one_left = ["draining Target.DeregistrationInProgress", "healthy None"];
    health_is(&ondol, &nodes, &one_left).await;

    // It is there again after a crash of the region.
    ondol.kill_region();
    ondol.start().ok();
    health_is(&ondol, &nodes, &one_left).await;
    page_comes(&ondol, host, PAGE).await;
    aws(
        &ondol,
        &format!("elbv2 delete-load-balancer --load-balancer-arn {balancer}"),
    );
    ondol.run(["delete", "cluster", "--name", "balanced", "--wait"]).ok();
    ondol.down();
}
