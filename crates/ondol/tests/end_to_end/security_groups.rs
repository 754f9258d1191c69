//! Security groups as users have them: who reaches whom between the nodes of a cluster, by the real AWS CLI.

use crate::support::{Ondol, provisions, until};

const CONFIGURATION: &str = "
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: guarded, region: ap-northeast-2, version: '1.35'}
vpc: {cidr: 10.40.0.0/16}
managedNodeGroups:
  - {name: nodes, instanceType: t3.medium, desiredCapacity: 2}
";

/// What trying to reach the server comes to.
const OPEN: &str = "open";
const VANISHED: &str = "TimeoutError";

/// Two nodes with a pod on each.
struct Guarded {
    ondol: Ondol,
    /// The cluster's security group.
    group: String,
    /// The server's address and the instance that it is on.
    server: String,
    instance: String,
}

impl Guarded {
    async fn up() -> Option<Self> {
        let ondol = Ondol::up(provisions()?);
        ondol.load_image("boto3");
        let file = ondol.file("cluster.yaml", CONFIGURATION);
        ondol.run(["create", "cluster", "-f", &file]).ok();
        let path = "jsonpath={range .items[*]}{.metadata.name} {.spec.providerID}{\"\\n\"}{end}";
        let said = ondol.kubectl(["get", "nodes", "-o", path]).ok();
        let nodes: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(nodes.len(), 2, "{said}");
        let server = ondol.file("server.py", include_str!("security_groups/server.py"));
        let client = ondol.file("client.py", include_str!("security_groups/client.py"));
        let files = [server, client].map(|path| format!("--from-file={path}"));
        ondol
            .kubectl(["create", "configmap", "files", &files[0], &files[1]])
            .ok();
        let pods = include_str!("security_groups/pods.yaml");
        let pods = pods
            .replace("SERVER-NODE", nodes[0].0)
            .replace("CLIENT-NODE", nodes[1].0);
        let pods = ondol.file("pods.yaml", &pods);
        ondol.kubectl(["apply", "-f", &pods]).ok();
        let wait = ["wait", "pod", "--all", "--for=condition=Ready", "--timeout=120s"];
        ondol.kubectl(wait).ok();
        let address = ["get", "pod", "server", "-o", "jsonpath={.status.podIP}"];
        let query = "cluster.resourcesVpcConfig.clusterSecurityGroupId";
        let described = [
            "eks",
            "describe-cluster",
            "--name",
            "guarded",
            "--query",
            query,
            "--output",
            "text",
        ];
        Some(Self {
            group: ondol.aws(described).ok().trim().to_owned(),
            server: ondol.kubectl(address).ok(),
            instance: nodes[0].1.rsplit('/').next().unwrap_or_default().to_owned(),
            ondol,
        })
    }

    /// Lets the group's members reach each other so, or no longer.
    fn change(&self, verb: &str, permission: &str) {
        let (command, group) = (format!("{verb}-security-group-ingress"), self.group.as_str());
        let permission = format!("{permission},UserIdGroupPairs=[{{GroupId={group}}}]");
        let arguments = ["ec2", &command, "--group-id", group, "--ip-permissions", &permission];
        self.ondol.aws(arguments).ok();
    }

    /// What a new connection from the other node's pod to the server comes to.
    fn tried(&self, port: &str) -> String {
        let script = [
            "exec",
            "client",
            "--",
            "python3",
            "/files/client.py",
            &self.server,
            port,
        ];
        self.ondol.kubectl(script).ok().trim().to_owned()
    }

    /// A new group without rules for who may come in.
    fn closed_group(&self) -> String {
        let text = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().chain(["--output", "text"]).collect();
            self.ondol.aws_with(&words).ok().trim().to_owned()
        };
        let group = self.group.as_str();
        let vpc = text(&format!(
            "ec2 describe-security-groups --group-ids {group} --query SecurityGroups[0].VpcId"
        ));
        let create = "ec2 create-security-group --group-name closed --description closed";
        text(&format!("{create} --vpc-id {vpc} --query GroupId"))
    }

    fn secure_instance(&self, group: &str) {
        let arguments = [
            "ec2",
            "modify-instance-attribute",
            "--instance-id",
            &self.instance,
            "--groups",
            group,
        ];
        self.ondol.aws(arguments).ok();
    }

    /// Waits until the connection that is held was used once more.
    async fn held_goes_on(&self) {
        let count = || self.ondol.kubectl(["exec", "client", "--", "cat", "/tmp/count"]);
        let before = until("a count", count, |count| !count.is_empty()).await;
        until("a higher count", count, |count| !count.is_empty() && *count != before).await;
    }
}

#[tokio::test]
async fn rules_hold_between_nodes_as_soon_as_they_are_written_and_after_a_restart() {
    let Some(guarded) = Guarded::up().await else { return };
    assert_eq!(guarded.tried("9000"), OPEN, "the cluster's group lets its members in");
    let keep = "python3 /files/client.py $0 9000 keep >/tmp/log 2>&1 &";
    let exec = ["exec", "client", "--", "sh", "-c", keep, &guarded.server];
    guarded.ondol.kubectl(exec).ok();
    guarded.held_goes_on().await;

    // What the control plane needs stays allowed; the rest goes with the rule for everything.
    for port in ["10250", "443"] {
        guarded.change("authorize", &format!("IpProtocol=tcp,FromPort={port},ToPort={port}"));
    }
    guarded.change("revoke", "IpProtocol=-1");
    assert_eq!(guarded.tried("9000"), VANISHED);
    guarded.held_goes_on().await;
    guarded.change("authorize", "IpProtocol=tcp,FromPort=9001,ToPort=9002");
    assert_eq!(
        (guarded.tried("9001"), guarded.tried("9000")),
        (OPEN.into(), VANISHED.into())
    );

    guarded.ondol.kill_region();
    guarded.ondol.start().ok();
    let pods = || guarded.ondol.kubectl(["get", "pods"]);
    until("the API server", pods, |pods| pods.contains("client")).await;
    assert_eq!(
        (guarded.tried("9001"), guarded.tried("9000")),
        (OPEN.into(), VANISHED.into())
    );
    guarded.held_goes_on().await;

    // A group without rules lets nobody in, and another group of the instance is in force at once.
    let closed = guarded.closed_group();
    guarded.secure_instance(&closed);
    assert_eq!(guarded.tried("9001"), VANISHED);
    guarded.secure_instance(&guarded.group);
    assert_eq!(guarded.tried("9001"), OPEN);
    guarded.change("authorize", "IpProtocol=-1");
    assert_eq!(guarded.tried("9000"), OPEN);
    // A VPC with a group of one's own in it cannot be deleted.
    let delete = ["ec2", "delete-security-group", "--group-id", &closed];
    guarded.ondol.aws(delete).ok();
    guarded
        .ondol
        .run(["delete", "cluster", "--name", "guarded", "--wait"])
        .ok();
    guarded.ondol.down();
}
