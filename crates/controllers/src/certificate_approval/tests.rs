//! Which requests are recognised, and as what.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{NodeAddress, NodeStatus};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::*;
use crate::certificate_signing::tests::{request, with};

const KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const USAGES: [&str; 2] = ["client auth", "digital signature"];

#[test]
fn client_certificates_of_nodes_are_approved_after_a_review() {
    let world = World::default();
    let own = request("system:node:n", "system:nodes", KUBELET, &USAGES);
    assert_eq!(ways(&own, &world), [SELF, NODE]);
    let mut first = own.clone();
    first.spec.username = Some("system:bootstrap:abc".to_owned());
    assert_eq!(ways(&first, &world), [NODE]);
    for other in [
        request("jane", "system:nodes", KUBELET, &USAGES),
        request("system:node:n", "dev", KUBELET, &USAGES),
        request(
            "system:node:n",
            "system:nodes",
            "kubernetes.io/kube-apiserver-client",
            &USAGES,
        ),
        with(own.clone(), &["Approved"]),
        with(own.clone(), &["Denied"]),
    ] {
        assert_eq!(ways(&other, &world), []);
    }
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let plan = approve(&own, SELF, now);
    let Change::UpdateApproval(approved) = &plan.steps[0].change else {
        panic!("{plan:?}")
    };
    let condition = &approved.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("Approved", Some("AutoApproved"))
    );
}

fn serving(names: &[&str]) -> CertificateSigningRequest {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "system:node:n");
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, "system:nodes");
    let pem = parameters
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    let signer = "kubernetes.io/kubelet-serving";
    let mut made = request(
        "system:node:n",
        "system:nodes",
        signer,
        &["server auth", "digital signature"],
    );
    made.spec.request = ByteString(pem.into_bytes());
    made
}

#[test]
fn serving_certificates_name_the_node_and_nobody_else() {
    let mut world = World::default();
    assert_eq!(ways(&serving(&["n"]), &world), []);
    let mut node = Node::default();
    node.metadata.name = Some("n".to_owned());
    node.status = Some(NodeStatus {
        addresses: Some(vec![NodeAddress {
            address: "10.0.0.7".to_owned(),
            type_: "InternalIP".to_owned(),
        }]),
        ..NodeStatus::default()
    });
    world.nodes.insert(Arc::new(node));
    assert_eq!(ways(&serving(&["n", "10.0.0.7"]), &world), [SERVING]);
    assert_eq!(ways(&serving(&["n", "10.0.0.8"]), &world), []);
    assert_eq!(ways(&serving(&["other"]), &world), []);
}
