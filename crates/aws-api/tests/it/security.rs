//! Security groups reach the networks that they are about.

use std::collections::BTreeSet;

use service_routing::security_groups::{Peer, Traffic};

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_security_groups_are_in_force_when_they_are_answered() {
    let fixture = Fixture::start().await;
    for script in ["create.py", "create_nodegroup.py", "security.py"] {
        fixture.python(script).await;
    }
    let world = fixture.host().world();
    assert!(world.launched_unknown.is_empty(), "{:?}", world.launched_unknown);
    let groups = world.secured.values().next().unwrap();
    let web = |peer: &Peer| *peer == Peer::Range("10.1.0.0/16".parse().unwrap());
    let own = groups
        .groups
        .iter()
        .find(|(_, group)| group.ingress.iter().any(|rule| web(&rule.peer)));
    let (own, rules) = own.unwrap();
    let ports = Traffic::Ports {
        protocol: 6,
        first: 80,
        last: 81,
    };
    assert!(rules.ingress.iter().all(|rule| rule.traffic == ports), "{rules:?}");
    assert_eq!(rules.egress.len(), 1, "everything may leave: {rules:?}");

    let mut sizes = BTreeSet::new();
    for (instance, _) in world.instances.values() {
        let of_it = &groups.members[&instance.address];
        assert!(
            instance.pod_addresses.iter().all(|pod| groups.members[pod] == *of_it),
            "pods are as their node"
        );
        sizes.insert(of_it.len());
        assert!(of_it.len() == 1 || of_it.contains(own), "{of_it:?}");
    }
    assert_eq!(sizes, BTreeSet::from([1, 2]));
    let spec = world.control_planes.values().next().unwrap();
    for address in &spec.addresses {
        assert!(groups.control_plane.contains(address));
        assert_eq!(groups.members[address], BTreeSet::from([own.clone()]));
        let nodes = world.instances.values().map(|(instance, _)| instance.address);
        assert!(
            nodes
                .into_iter()
                .all(|node| groups.public_endpoints.contains(&(node, *address)))
        );
    }
}
