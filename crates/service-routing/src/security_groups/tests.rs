//! What security groups become, as text.

use super::*;

fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn rule(peer: &str, traffic: Traffic) -> Permission {
    let peer = match peer.parse() {
        Ok(range) => Peer::Range(range),
        Err(_no_range) => Peer::Group(peer.to_owned()),
    };
    Permission { peer, traffic }
}

fn group(ingress: &[Permission], egress: &[Permission]) -> Group {
    Group {
        ingress: ingress.iter().cloned().collect(),
        egress: egress.iter().cloned().collect(),
    }
}

fn in_groups(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn tcp(port: u16) -> Traffic {
    Traffic::Ports {
        protocol: 6,
        first: port,
        last: port,
    }
}

/// A cluster's group, one that lets some in, and one without rules.
fn example() -> SecurityGroups {
    let everything = rule("0.0.0.0/0", Traffic::All);
    let cluster = group(&[rule("sg-cluster", Traffic::All)], std::slice::from_ref(&everything));
    let web = group(
        &[
            rule("10.1.0.0/16", tcp(80)),
            rule("0.0.0.0/0", Traffic::Icmp { kind: 8, code: None }),
            rule("sg-elsewhere", Traffic::Protocol(17)),
        ],
        &[rule("203.0.113.0/24", tcp(443)), rule("sg-cluster", tcp(5432))],
    );
    SecurityGroups {
        resolver: Some(v4("10.0.0.2")),
        groups: BTreeMap::from([
            ("sg-cluster".to_owned(), cluster),
            ("sg-web".to_owned(), web),
            ("sg-none".to_owned(), Group::default()),
            ("sg-unused".to_owned(), group(&[everything], &[])),
        ]),
        members: BTreeMap::from([
            (v4("10.0.0.5"), in_groups(&["sg-cluster"])),
            (v4("10.0.0.10"), in_groups(&["sg-cluster", "sg-web"])),
            (v4("10.0.0.11"), in_groups(&["sg-cluster", "sg-web"])),
            (v4("10.0.32.10"), in_groups(&["sg-none"])),
        ]),
        control_plane: [v4("10.0.0.5")].into(),
        public_endpoints: [(v4("10.0.32.10"), v4("10.0.0.5"))].into(),
    }
}

#[test]
fn groups_are_chains_and_members_are_elements() {
    insta::assert_snapshot!(security_group_table(&example()).to_string());
}

#[test]
fn another_address_of_known_groups_changes_elements_only() {
    let mut more = example();
    more.members
        .insert(v4("10.0.0.12"), in_groups(&["sg-cluster", "sg-web"]));
    let (before, after) = (security_group_table(&example()), security_group_table(&more));
    assert_eq!(before.chains, after.chains);
    let shape = |table: &Table| table.sets.keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&before), shape(&after));
    let count = |table: &Table| table.sets.values().map(|set| set.elements.len()).sum::<usize>();
    assert_eq!(
        count(&after) - count(&before),
        3,
        "ingress, egress, and the group that a rule names"
    );
}

#[test]
fn an_interface_of_many_groups_has_a_name_of_its_own() {
    let (one, other) = (in_groups(&["sg-a", "sg-b"]), in_groups(&["sg-a", "sg-c"]));
    assert_ne!(name_of(&one), name_of(&other));
    assert!(name_of(&one).starts_with("sg-a-and-1-"));
    let most: BTreeSet<String> = (0..16).map(|index| format!("sg-{index:017x}")).collect();
    assert!(name_of(&most).len() < 64);
    assert_eq!(name_of(&BTreeSet::new()), "nothing");
}
