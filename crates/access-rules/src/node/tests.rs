//! What a node may and may not do.

use std::collections::BTreeMap;

use kube_types::selector::FieldSelector;

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

/// `<node> <verb> <group>:<resource>[:<sub>] <namespace|-> <name|-> [<field selector>]`
fn allowed(graph: &Graph, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let parts: Vec<&str> = words[2].split(':').collect();
    let or_empty = |word: &'static str, text| if text == word { "" } else { text };
    let user = User::node(words[0]);
    let selector = FieldSelector::parse(words.get(5).copied().unwrap_or("")).unwrap();
    let resource = ResourceAttributes {
        group: parts[0],
        version: "v1",
        resource: parts[1],
        subresource: parts.get(2).copied().unwrap_or(""),
        namespace: or_empty("-", words[3]),
        name: or_empty("-", words[4]),
        fields: selector.requirements(),
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
        ("n1 get :serviceaccounts a sa", true),
        ("n1 get :serviceaccounts a default", false),
        ("n1 update :nodes:status - n1", true),
        // Which node it is, is looked at by NodeRestriction.
        ("n1 patch :nodes:status - n2", true),
        ("n1 get :nodes - n1", true),
        ("n1 get :nodes - n2", false),
        ("n1 list :nodes - -", false),
        ("n1 create :nodes - -", true),
        ("n1 list :pods - -", false),
        ("n1 list :pods - - spec.nodeName=n1", true),
        ("n1 watch :pods - - spec.nodeName=n2", false),
        ("n1 watch :pods - - spec.nodeName!=n1", false),
        ("n1 watch :pods a p", true),
        ("n2 watch :pods a p", false),
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

#[test]
fn volumes_and_their_secrets_follow_from_claims() {
    let mut graph = graph();
    let volume = |claim: &str| -> PersistentVolume {
        serde_json::from_str(&format!(
            r#"{{"metadata":{{"name":"pv"}},"spec":{{"claimRef":{{"namespace":"a","name":"{claim}"}},"csi":{{"driver":"d",
                "volumeHandle":"h","nodeStageSecretRef":{{"namespace":"vault","name":"stage"}},
                "controllerPublishSecretRef":{{"namespace":"vault","name":"control"}}}}}}}}"#
        ))
        .unwrap()
    };
    graph.set_volume(&volume("data"));
    for (line, expected) in [
        ("n1 get :persistentvolumes - pv", true),
        ("n2 get :persistentvolumes - pv", false),
        ("n1 list :persistentvolumes - pv", false),
        ("n1 get :persistentvolumes - other", false),
        ("n1 get :secrets vault stage", true),
        ("n2 get :secrets vault stage", false),
        ("n1 get :secrets vault control", false),
        ("n1 patch :persistentvolumeclaims:status a data", true),
        ("n2 patch :persistentvolumeclaims:status a data", false),
        ("n1 patch :persistentvolumeclaims a data", false),
    ] {
        assert_eq!(allowed(&graph, line), expected, "{line}");
    }
    graph.set_volume(&volume("elsewhere"));
    assert!(!allowed(&graph, "n1 get :secrets vault stage"));
    graph.set_volume(&volume("data"));
    graph.remove_volume("pv");
    assert!(!allowed(&graph, "n1 get :secrets vault stage"));
}

#[test]
fn attachments_slices_and_claims_are_of_their_nodes() {
    let mut graph = graph();
    let attachment = r#"{"metadata":{"name":"va"},"spec":{"attacher":"d","nodeName":"n1","source":{}}}"#;
    graph.set_attachment(&serde_json::from_str(attachment).unwrap());
    let slice = r#"{"metadata":{"name":"sl"},"spec":{"driver":"d","nodeName":"n1",
        "pool":{"name":"p","generation":1,"resourceSliceCount":1}}}"#;
    graph.set_slice(&serde_json::from_str(slice).unwrap());
    let mut claiming = pod(
        "a",
        "c",
        "n1",
        r#""resourceClaims":[{"name":"gpu","resourceClaimTemplateName":"t"}]"#,
    );
    let status = r#"{"resourceClaimStatuses":[{"name":"gpu","resourceClaimName":"c-gpu-x"}]}"#;
    claiming.status = Some(serde_json::from_str(status).unwrap());
    graph.set_pod(&claiming);
    for (line, expected) in [
        ("n1 get storage.k8s.io:volumeattachments - va", true),
        ("n2 get storage.k8s.io:volumeattachments - va", false),
        ("n1 list storage.k8s.io:volumeattachments - -", false),
        ("n1 update resource.k8s.io:resourceslices - sl", true),
        ("n2 update resource.k8s.io:resourceslices - sl", false),
        ("n2 create resource.k8s.io:resourceslices - -", true),
        ("n1 list resource.k8s.io:resourceslices - -", false),
        ("n1 list resource.k8s.io:resourceslices - - nodeName=n1", true),
        ("n1 get resource.k8s.io:resourceclaims a c-gpu-x", true),
        ("n2 get resource.k8s.io:resourceclaims a c-gpu-x", false),
        ("n1 get storage.k8s.io:csinodes - n1", true),
        ("n1 get storage.k8s.io:csinodes - n2", false),
    ] {
        assert_eq!(allowed(&graph, line), expected, "{line}");
    }
    graph.remove_attachment("va");
    graph.remove_slice("sl");
    assert!(!allowed(&graph, "n1 get storage.k8s.io:volumeattachments - va"));
    assert!(!allowed(&graph, "n1 get resource.k8s.io:resourceslices - sl"));
}
