//! User data as eksctl, Karpenter, Terraform modules and people write it.

use super::*;

fn bootstrap(
    cluster: &str,
    labels: &[(&str, &str)],
    taints: &[(&str, &str, &str)],
    max_pods: Option<u32>,
) -> Bootstrap {
    let owned = |text: &&str| (*text).to_owned();
    Bootstrap {
        cluster: cluster.to_owned(),
        endpoint: Some("https://E".to_owned()),
        labels: labels.iter().map(|(key, value)| (owned(key), owned(value))).collect(),
        taints: taints
            .iter()
            .map(|(key, value, effect)| (owned(key), owned(value), owned(effect)))
            .collect(),
        max_pods,
    }
}

#[test]
fn node_configs_are_merged_over_the_parts_of_a_message() {
    let text = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"//\"\r\n\r\n--//\r\nContent-Type: application/node.eks.aws\r\n\r\napiVersion: node.eks.aws/v1alpha1\r\nkind: NodeConfig\r\nmetadata: {}\r\nspec:\r\n  cluster:\r\n    name: demo\r\n    apiServerEndpoint: https://E\r\n    certificateAuthority: TFM=\r\n    cidr: 172.20.0.0/16\r\n  kubelet:\r\n    config:\r\n      maxPods: 29\r\n      clusterDNS: [172.20.0.10]\r\n      registerWithTaints:\r\n      - {key: karpenter.sh/unregistered, effect: NoExecute}\r\n    flags:\r\n    - --node-labels=karpenter.sh/nodepool=default,a=\r\n--//\r\nContent-Type: application/node.eks.aws\r\n\r\napiVersion: node.eks.aws/v1alpha1\r\nkind: NodeConfig\r\nspec:\r\n  kubelet:\r\n    config: {maxPods: 30}\r\n--//--\r\n";
    let expected = bootstrap(
        "demo",
        &[("karpenter.sh/nodepool", "default"), ("a", "")],
        &[("karpenter.sh/unregistered", "", "NoExecute")],
        Some(30),
    );
    assert_eq!(read(text), Some(expected));
}

#[test]
fn bootstrap_scripts_are_read_with_their_quotes_and_continued_lines() {
    let text = "#!/bin/bash\nset -e\n/etc/eks/bootstrap.sh demo \\\n  --apiserver-endpoint 'https://E' --b64-cluster-ca TFM= --use-max-pods false \\\n  --kubelet-extra-args '--node-labels=\"a=b,c=d\" --register-with-taints=x=y:NoSchedule --max-pods=17'\n";
    let expected = bootstrap("demo", &[("a", "b"), ("c", "d")], &[("x", "y", "NoSchedule")], Some(17));
    assert_eq!(read(text), Some(expected));
}

#[test]
fn bottlerocket_settings_are_read() {
    let text = "[settings.kubernetes]\ncluster-name = \"demo\"\napi-server = \"https://E\"\nmax-pods = 20\n[settings.kubernetes.node-labels]\n\"a.b/c\" = \"d\"\n[settings.kubernetes.node-taints]\nx = [\"y:NoSchedule\"]\n\"p.q/r\" = \":NoExecute\"\n";
    let expected = bootstrap(
        "demo",
        &[("a.b/c", "d")],
        &[("x", "y", "NoSchedule"), ("p.q/r", "", "NoExecute")],
        Some(20),
    );
    assert_eq!(read(text), Some(expected));
}

#[test]
fn other_user_data_names_no_cluster() {
    for text in [
        "",
        "#!/bin/sh\necho bootstrapping\n",
        "#cloud-config\npackages: [jq]\n",
        "apiVersion: node.eks.aws/v1alpha1\nkind: Other\n",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}
