//! What a node may and may not do.

use super::*;
use crate::identity::User;

fn pod(namespace: &str, name: &str, node: &str, spec: &str) -> Pod {
    serde_json::from_str(&format!(
        r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}"}},"spec":{{"nodeName":"{node}","containers":[],{spec}}}}}"#
    ))
    .unwrap()
}

fn graph() -> Graph {
    let mut graph = Graph::new();
    graph.set_pod(&pod(
        "a",
        "p",
        "n1",
        r#""serviceAccountName":"sa","imagePullSecrets":[{"name":"pull"}],
           "initContainers":[{"name":"i","env":[{"name":"X","valueFrom":{"secretKeyRef":{"name":"env","key":"k"}}}],
                              "envFrom":[{"configMapRef":{"name":"from"}}]}],
           "volumes":[{"name":"v","configMap":{"name":"conf"}},
                      {"name":"pvc","persistentVolumeClaim":{"claimName":"data"}},
                      {"name":"pr","projected":{"sources":[{"secret":{"name":"proj"}}]}}]"#,
    ));
    graph
}

/// `<node> <verb> <group>:<resource>[:<sub>] <namespace|-> <name|->`
fn allowed(graph: &Graph, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let parts: Vec<&str> = words[2].split(':').collect();
    let or_empty = |word: &'static str, text| if text == word { "" } else { text };
    let user = User::node(words[0]);
    let resource = ResourceAttributes {
        group: parts[0],
        version: "v1",
        resource: parts[1],
        subresource: parts.get(2).copied().unwrap_or(""),
        namespace: or_empty("-", words[3]),
        name: or_empty("-", words[4]),
    };
    graph
        .authorize(&Attributes {
            user: &user,
            verb: words[1],
            resource: Some(resource),
            path: "",
        })
        .is_allowed()
}

#[test]
fn nodes_reach_what_their_pods_refer_to_and_their_own_objects() {
    let graph = graph();
    for (line, expected) in [
        ("n1 get :secrets a pull", true),
        ("n1 get :secrets a env", true),
        ("n1 watch :secrets a proj", true),
        ("n1 get :secrets a other", false),
        ("n1 get :secrets b pull", false),
        ("n2 get :secrets a pull", false),
        ("n1 list :secrets a -", false),
        ("n1 update :secrets a pull", false),
        ("n1 get :configmaps a conf", true),
        ("n1 get :configmaps a from", true),
        ("n1 get :persistentvolumeclaims a data", true),
        ("n1 create :serviceaccounts:token a sa", true),
        ("n1 create :serviceaccounts:token a default", false),
        ("n1 update :nodes:status - n1", true),
        ("n1 patch :nodes:status - n2", false),
        ("n1 create :nodes - -", true),
        ("n1 list :pods - -", true),
        ("n1 patch :pods:status a p", true),
        ("n1 get :pods a p", true),
        ("n2 get :pods a p", false),
        ("n1 update coordination.k8s.io:leases kube-node-lease n1", true),
        ("n1 update coordination.k8s.io:leases kube-node-lease n2", false),
        ("n1 create coordination.k8s.io:leases default -", false),
        ("n1 list :services - -", true),
        ("n1 create :services default -", false),
        ("n1 create :events default -", true),
        ("n1 delete :nodes - n1", false),
    ] {
        assert_eq!(allowed(&graph, line), expected, "{line}");
    }
}

#[test]
fn a_pod_that_goes_or_moves_takes_its_grants_with_it() {
    let mut graph = graph();
    graph.set_pod(&pod("a", "p", "n2", r#""serviceAccountName":"sa""#));
    assert!(!allowed(&graph, "n1 get :secrets a pull"));
    assert!(allowed(&graph, "n2 create :serviceaccounts:token a sa"));
    graph.remove_pod("a", "p");
    assert!(!allowed(&graph, "n2 create :serviceaccounts:token a sa"));
}

#[test]
fn a_mirror_pod_grants_nothing() {
    let mut graph = graph();
    let mut mirror = pod("a", "m", "n2", r#""imagePullSecrets":[{"name":"pull"}]"#);
    mirror.metadata.annotations = Some(BTreeMap::from([(
        "kubernetes.io/config.mirror".to_owned(),
        String::new(),
    )]));
    graph.set_pod(&mirror);
    assert!(!allowed(&graph, "n2 get :secrets a pull"));
}
