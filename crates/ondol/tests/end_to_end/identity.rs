//! AWS identities as pods and people have them: the region by TLS, roles of service accounts by their tokens, by EKS Pod Identity, and the node's own.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::collections::BTreeMap;

use crate::support::{Ondol, provisions, until};

const CLUSTER: &str = "identity";

const CONFIGURATION: &str = "
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata: {name: identity, region: ap-northeast-2, version: '1.35'}
vpc: {cidr: 10.30.0.0/16}
";

/// A trust policy of one statement.
fn trust(principal: &str, actions: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{principal},"Action":{actions},"Condition":{condition}}}]}}"#
    )
}

/// A role that may look at VPCs on a condition, and nothing else.
fn role(ondol: &Ondol, name: &str, trust: &str, condition: &str) {
    ondol
        .aws([
            "iam",
            "create-role",
            "--role-name",
            name,
            "--assume-role-policy-document",
            trust,
        ])
        .ok();
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"ec2:DescribeVpcs","Resource":"*","Condition":{condition}}}]}}"#
    );
    let put = [
        "iam",
        "put-role-policy",
        "--role-name",
        name,
        "--policy-name",
        "look",
        "--policy-document",
        &policy,
    ];
    ondol.aws(put).ok();
}

fn described(ondol: &Ondol, query: &str) -> String {
    let asked = [
        "eks",
        "describe-cluster",
        "--name",
        CLUSTER,
        "--query",
        query,
        "--output",
        "text",
    ];
    ondol.aws(asked).ok().trim().to_owned()
}

/// One node whose tokens of instance metadata reach no pod.
fn node(ondol: &Ondol) {
    let by_ec2 = trust(r#"{"Service":"ec2.amazonaws.com"}"#, r#""sts:AssumeRole""#, "{}");
    role(ondol, "node-role", &by_ec2, "{}");
    for policy in ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryReadOnly"] {
        let arn = format!("arn:aws:iam::aws:policy/{policy}");
        let attach = [
            "iam",
            "attach-role-policy",
            "--role-name",
            "node-role",
            "--policy-arn",
            &arn,
        ];
        ondol.aws(attach).ok();
    }
    let data = r#"{"MetadataOptions":{"HttpTokens":"required","HttpPutResponseHopLimit":1}}"#;
    let template = [
        "ec2",
        "create-launch-template",
        "--launch-template-name",
        "near",
        "--launch-template-data",
        data,
    ];
    ondol.aws(template).ok();
    let subnet = described(ondol, "cluster.resourcesVpcConfig.subnetIds[0]");
    let arn = "arn:aws:iam::000000000000:role/node-role";
    let group = [
        "eks",
        "create-nodegroup",
        "--cluster-name",
        CLUSTER,
        "--nodegroup-name",
        "n",
        "--subnets",
        &subnet,
        "--node-role",
        arn,
        "--scaling-config",
        "minSize=1,maxSize=1,desiredSize=1",
        "--instance-types",
        "t3.medium",
        "--launch-template",
        "name=near",
    ];
    ondol.aws(group).ok();
}

/// The region proves itself to unmodified clients, and its clusters' issuers answer anybody.
fn tls_holds(ondol: &Ondol, issuer: &str) {
    let text = std::fs::read(ondol.home().join("region/endpoint.json")).unwrap();
    let endpoint: aws_types::region_files::RegionEndpoint = serde_json::from_slice(&text).unwrap();
    let url = endpoint.tls_endpoint.unwrap();
    assert!(issuer.starts_with(&format!("{url}/id/")), "{issuer}");
    let whoami = [
        "--endpoint-url",
        &url,
        "sts",
        "get-caller-identity",
        "--query",
        "Account",
        "--output",
        "text",
    ];
    assert_eq!(ondol.aws(whoami).ok().trim(), "000000000000");
    let said = ondol.python(include_str!("identity/issuer.py"), issuer).ok();
    assert_eq!(said.trim(), format!("{issuer} RS256 1"));
    let instructions = ondol.run(["trust"]).ok();
    assert!(instructions.contains("AWS_CA_BUNDLE"), "{instructions}");
    assert!(
        ondol
            .run(["trust", "--pem"])
            .ok()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

/// A role for the tokens of one service account, and one for an association of another.
fn roles(ondol: &Ondol, issuer: &str) {
    let provider = [
        "iam",
        "create-open-id-connect-provider",
        "--url",
        issuer,
        "--client-id-list",
        "sts.amazonaws.com",
        "--thumbprint-list",
        "0123456789012345678901234567890123456789",
        "--query",
        "OpenIDConnectProviderArn",
        "--output",
        "text",
    ];
    let arn = ondol.aws(provider).ok().trim().to_owned();
    let (_, name) = arn.split_once("oidc-provider/").unwrap();
    let fits = format!(
        r#"{{"StringEquals":{{"{name}:sub":"system:serviceaccount:default:irsa","{name}:aud":"sts.amazonaws.com"}}}}"#
    );
    let federated = format!(r#"{{"Federated":"{arn}"}}"#);
    role(
        ondol,
        "irsa-role",
        &trust(&federated, r#""sts:AssumeRoleWithWebIdentity""#, &fits),
        "{}",
    );
    let by_pods = trust(
        r#"{"Service":"pods.eks.amazonaws.com"}"#,
        r#"["sts:AssumeRole","sts:TagSession"]"#,
        "{}",
    );
    let tagged = r#"{"StringEquals":{"aws:PrincipalTag/kubernetes-namespace":"default"}}"#;
    role(ondol, "pod-role", &by_pods, tagged);
    let addon = [
        "eks",
        "create-addon",
        "--cluster-name",
        CLUSTER,
        "--addon-name",
        "eks-pod-identity-agent",
    ];
    ondol.aws(addon).ok();
    let association = [
        "eks",
        "create-pod-identity-association",
        "--cluster-name",
        CLUSTER,
        "--namespace",
        "default",
        "--service-account",
        "associated",
        "--role-arn",
        "arn:aws:iam::000000000000:role/pod-role",
    ];
    ondol.aws(association).ok();
}

fn start_pods(ondol: &Ondol) {
    let who = ondol.file("who.py", include_str!("identity/who.py"));
    let metadata = ondol.file("metadata.py", include_str!("identity/metadata.py"));
    let authority = ondol.home().join("region/tls/ca.crt").display().to_string();
    let files = [who, metadata, authority].map(|path| format!("--from-file={path}"));
    let [who, metadata, authority] = &files;
    ondol
        .kubectl(["create", "configmap", "files", who, metadata, authority])
        .ok();
    let pods = ondol.file("pods.yaml", include_str!("identity/pods.yaml"));
    ondol.kubectl(["apply", "-f", &pods]).ok();
}

/// What a pod printed until its end, by name.
async fn printed(ondol: &Ondol, pod: &str) -> BTreeMap<String, String> {
    let phase = ["get", "pod", pod, "-o", "jsonpath={.status.phase}"];
    let ended = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    let phase = until("the end of the pod", || ondol.kubectl(phase), ended).await;
    let log = ondol.kubectl(["logs", pod]).ok();
    assert_eq!(phase, "Succeeded", "{pod}: {log}");
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[track_caller]
fn check(said: &BTreeMap<String, String>, role: &str, method: &str) {
    let prefix = format!("arn:aws:sts::000000000000:assumed-role/{role}/");
    assert!(said["arn"].starts_with(&prefix), "{said:?}");
    assert_eq!(said["method"], method, "{said:?}");
    assert_eq!(said["vpcs"], "allowed", "{said:?}");
    assert_eq!(said["clusters"], "AccessDeniedException", "{said:?}");
}

#[tokio::test]
async fn pods_have_the_roles_of_their_accounts_and_only_the_node_has_its_own() {
    let Some(provisions) = provisions() else { return };
    let ondol = Ondol::up(provisions);
    ondol.load_image("boto3");
    let file = ondol.file("cluster.yaml", CONFIGURATION);
    ondol.run(["create", "cluster", "-f", &file]).ok();
    node(&ondol);
    let issuer = described(&ondol, "cluster.identity.oidc.issuer");
    tls_holds(&ondol, &issuer);
    roles(&ondol, &issuer);
    start_pods(&ondol);

    check(
        &printed(&ondol, "irsa").await,
        "irsa-role",
        "assume-role-with-web-identity",
    );
    let by_name = printed(&ondol, "irsa-by-name").await;
    check(&by_name, "irsa-role", "assume-role-with-web-identity");
    assert_eq!(by_name["url"], "https://sts.ap-northeast-2.amazonaws.com");
    check(&printed(&ondol, "associated").await, "pod-role", "container-role");
    check(&printed(&ondol, "node").await, "node-role", "iam-role");
    assert_eq!(printed(&ondol, "plain").await["arn"], "none", "tokens reach no pod");

    let metadata = printed(&ondol, "metadata").await;
    for (what, status) in [
        ("without", "401"),
        ("short", "400"),
        ("wrong", "405"),
        ("missing", "404"),
    ] {
        assert_eq!(metadata[what], status, "{metadata:?}");
    }
    assert!(metadata["id"].starts_with("i-"), "{metadata:?}");
    assert!(metadata["interface"].starts_with("eni-"), "{metadata:?}");
    assert!(metadata["zone"].starts_with("ap-northeast-2"), "{metadata:?}");
    assert_eq!(metadata["mac"], metadata["own"]);
    ondol.run(["delete", "cluster", "--name", CLUSTER, "--wait"]).ok();
    ondol.down();
}
