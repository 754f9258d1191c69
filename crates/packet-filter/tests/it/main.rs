//! Real tables in network namespaces of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail as its assertions do"
)]
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Instant;

use nix::sched::{CloneFlags, unshare};
use packet_filter::{PacketFilter, forget_flows};
use service_routing::endpoints::{NodeView, SliceIndex};
use service_routing::ruleset::{
    ChainKind, Data, DataType, Field, Hook, HookPoint, Protocol, SetKind, Statement, Table, Value, Verdict,
};
use service_routing::service_rules::{StaleFlow, service_table};

/// Runs a test on a thread in a new namespace; where none can be made it is skipped, but not in CI.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let outcome = std::thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            assert!(
                std::env::var_os("CI").is_none(),
                "no network namespace can be made: {error}"
            );
            return eprintln!("skipped: no network namespace can be made: {error}");
        }
        test();
    });
    outcome.join().unwrap();
}

/// What the nft program prints, where it is installed.
fn nft_list() -> Option<String> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().ok()?;
    assert!(
        output.status.success(),
        "{:?} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

/// The kube-proxy table of `services` Services with some endpoints each; the first two have affinity and node ports.
fn cluster(services: u32, endpoints: u32, local_policy: bool) -> Table {
    let name = |index: u32| format!("s{index}");
    let policy = if local_policy { "Local" } else { "Cluster" };
    let objects: Vec<_> = (0..services)
        .map(|index| {
            let address = Ipv4Addr::from(0x0a64_0000 + index);
            let affinity = if index % 2 == 0 { "ClientIP" } else { "None" };
            let node_port = if index < 100 { format!(r#","nodePort":{}"#, 30000 + index) } else { String::new() };
            parse(&format!(
                r#"{{"metadata":{{"namespace":"d","name":"{}"}},"spec":{{"clusterIP":"{address}","sessionAffinity":"{affinity}",
                "externalTrafficPolicy":"{policy}","ports":[{{"port":80{node_port}}}]}}}}"#,
                name(index)
            ))
        })
        .collect();
    let slices: Vec<_> = (0..services)
        .map(|index| {
            let addresses: Vec<String> = (0..endpoints)
                .map(|endpoint| {
                    let address = Ipv4Addr::from(0x0a00_0100 + index * endpoints + endpoint);
                    format!(r#"{{"addresses":["{address}"],"nodeName":"n{endpoint}"}}"#)
                })
                .collect();
            parse(&format!(
                r#"{{"metadata":{{"namespace":"d","labels":{{"kubernetes.io/service-name":"{}"}}}},"addressType":"IPv4",
                "ports":[{{"port":8080}}],"endpoints":[{}]}}"#,
                name(index),
                addresses.join(",")
            ))
        })
        .collect();
    let node = NodeView {
        name: "n0".into(),
        zone: None,
    };
    service_table(&objects, &SliceIndex::new(&slices), &node)
}

#[test]
fn the_services_table_is_accepted_and_nft_can_print_it() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        filter.apply(cluster(3, 2, true)).unwrap();
        let Some(text) = nft_list() else { return };
        println!("{text}");
        for part in [
            "table ip kube-proxy",
            "10.100.0.1 . tcp . 80 : goto service-of-2",
            "meta l4proto . th dport",
            "10.0.1.0 . 10.0.1.0",
            "update @service-affinity { ip saddr . ip daddr . meta l4proto . th dport timeout 3h : ct mark }",
            "fib daddr type local",
            "masquerade",
            "reject",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    });
}

#[test]
fn a_change_keeps_what_was_learned_and_leaves_nothing_stale() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        filter.apply(cluster(20, 3, false)).unwrap();
        for (services, endpoints, local) in [
            (20, 5, false),
            (7, 1, true),
            (0, 0, false),
            (30, 2, true),
            (20, 3, false),
        ] {
            let wanted = cluster(services, endpoints, local);
            filter.apply(wanted.clone()).unwrap();
            assert_eq!(filter.applied(), Some(&wanted));
            let changed = nft_list();
            let mut fresh = PacketFilter::open().unwrap();
            fresh.apply(wanted).unwrap();
            assert_eq!(
                sorted(changed),
                sorted(nft_list()),
                "a change gives what a new table gives"
            );
            // The other filter replaced the table, which ours may not know: the next change notices or agrees.
        }
        filter.remove("kube-proxy").unwrap();
        filter.remove("kube-proxy").unwrap();
        assert!(nft_list().is_none_or(|text| text.is_empty()));
    });
}

/// Lines without their order: sets print their elements as the hash lies.
fn sorted(text: Option<String>) -> Vec<String> {
    let text = text
        .unwrap_or_default()
        .replace(", ", ",\n")
        .replace("elements = {", "")
        .replace(['}', ','], "");
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_table_that_others_removed_is_made_anew() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        filter.apply(cluster(3, 2, false)).unwrap();
        PacketFilter::open().unwrap().remove("kube-proxy").unwrap();
        filter.apply(cluster(3, 3, false)).unwrap();
        assert!(nft_list().is_none_or(|text| text.contains("service-of-3")));
    });
}

/// A table with a set, a chain and an element for each of these names.
fn with_sets(names: &[&str]) -> Table {
    let mut table = Table::new("t");
    table.define("verdicts", &[DataType::Address], SetKind::VerdictMap);
    let hook = Hook {
        kind: ChainKind::Filter,
        point: HookPoint::Forward,
        priority: 0,
    };
    let look = Statement::VerdictOf {
        key: vec![Field::SourceAddress],
        map: "verdicts".into(),
    };
    table.chain("forward", Some(hook), vec![vec![look]]);
    for (name, host) in names.iter().zip(1..) {
        let address = vec![Value::Address(Ipv4Addr::new(10, 0, 0, host))];
        table.define(name, &[DataType::Address], SetKind::Set);
        table.insert(name, address.clone(), Data::Member);
        let member = Statement::Member {
            key: vec![Field::DestinationAddress],
            set: (*name).to_owned(),
        };
        let chain = format!("to-{name}");
        table.chain(&chain, None, vec![vec![member, Statement::Verdict(Verdict::Drop)]]);
        table.insert("verdicts", address, Data::Verdict(Verdict::Goto(chain)));
    }
    table
}

#[test]
fn sets_come_and_go_with_the_chains_that_use_them() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        filter.apply(with_sets(&["a"])).unwrap();
        for names in [&["a", "b", "c"][..], &["c"], &[], &["b", "a"]] {
            filter.apply(with_sets(names)).unwrap();
            let changed = nft_list();
            let mut fresh = PacketFilter::open().unwrap();
            fresh.apply(with_sets(names)).unwrap();
            assert_eq!(sorted(changed), sorted(nft_list()), "{names:?}");
        }
    });
}

#[test]
fn a_refusal_says_which_rule_and_changes_nothing() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        let mut good = Table::new("t");
        good.define("known", &[DataType::Address], SetKind::Set);
        filter.apply(good.clone()).unwrap();
        let mut bad = good.clone();
        let hook = Hook {
            kind: ChainKind::Filter,
            point: HookPoint::Input,
            priority: 0,
        };
        let rule = vec![Statement::Member {
            key: vec![Field::SourceAddress],
            set: "unknown".into(),
        }];
        bad.chain("in", Some(hook), vec![rule]);
        let error = filter.apply(bad).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.contains(r#"rule "ip saddr @unknown" in chain in of table t"#),
            "{cause}"
        );
        let text = nft_list();
        assert!(text.is_none_or(|text| text.contains("set known") && !text.contains("chain in")));
    });
}

#[test]
fn every_statement_is_accepted() {
    in_namespace(|| {
        let mut table = Table::new("t");
        table.define("verdicts", &[DataType::Address], SetKind::VerdictMap);
        table.insert(
            "verdicts",
            vec![Value::Address(Ipv4Addr::LOCALHOST)],
            Data::Verdict(Verdict::Return),
        );
        let nat = Hook {
            kind: ChainKind::Nat,
            point: HookPoint::Prerouting,
            priority: -100,
        };
        let range = "10.0.0.0/16".parse().unwrap();
        let to = "169.254.1.3:15001".parse().unwrap();
        table.chain(
            "nat",
            Some(nat),
            vec![vec![
                Statement::SourceIn(range),
                Statement::DestinationIn { range, negated: true },
                Statement::ProtocolIs(Protocol::Tcp),
                Statement::Count,
                Statement::RedirectTo(to),
            ]],
        );
        let forward = Hook {
            kind: ChainKind::Filter,
            point: HookPoint::Forward,
            priority: 0,
        };
        table.chain(
            "forward",
            Some(forward),
            vec![
                vec![Statement::EstablishedConnection, Statement::Verdict(Verdict::Accept)],
                vec![Statement::VerdictOf {
                    key: vec![Field::SourceAddress],
                    map: "verdicts".into(),
                }],
                vec![Statement::DestinationIn { range, negated: false }, Statement::Reject],
            ],
        );
        PacketFilter::open().unwrap().apply(table).unwrap();
        let Some(text) = nft_list() else { return };
        println!("{text}");
        assert!(
            text.contains("ip saddr 10.0.0.0/16 ip daddr != 10.0.0.0/16 meta l4proto tcp"),
            "{text}"
        );
        assert!(text.contains("dnat to 169.254.1.3:15001"), "{text}");
        assert!(text.contains("ct state established,related accept"), "{text}");
    });
}

#[test]
fn ports_and_types_of_any_protocol_are_accepted() {
    in_namespace(|| {
        let mut table = Table::new("t");
        let forward = Hook {
            kind: ChainKind::Filter,
            point: HookPoint::Forward,
            priority: 0,
        };
        table.chain(
            "forward",
            Some(forward),
            vec![
                vec![
                    Statement::ProtocolNumberIs(6),
                    Statement::DestinationPortIn { first: 80, last: 90 },
                    Statement::Count,
                ],
                vec![
                    Statement::ProtocolNumberIs(17),
                    Statement::DestinationPortIn { first: 53, last: 53 },
                    Statement::Count,
                ],
                vec![
                    Statement::ProtocolNumberIs(1),
                    Statement::IcmpIs { kind: 3, code: Some(4) },
                    Statement::Count,
                ],
            ],
        );
        PacketFilter::open().unwrap().apply(table).unwrap();
        let Some(text) = nft_list() else { return };
        assert!(text.contains("dport >= 80") || text.contains("dport 80-90"), "{text}");
        assert!(text.contains("udp dport 53") || text.contains("th dport 53"), "{text}");
        assert!(text.contains("icmp type destination-unreachable"), "{text}");
    });
}

#[test]
fn large_clusters_are_applied_and_changed() {
    in_namespace(|| {
        let mut filter = PacketFilter::open().unwrap();
        let (first, second) = (cluster(1000, 5, false), cluster(1000, 4, false));
        let started = Instant::now();
        filter.apply(first).unwrap();
        let whole = started.elapsed();
        let started = Instant::now();
        filter.apply(second).unwrap();
        println!(
            "1000 services x 5 endpoints: {whole:?}; one endpoint fewer each: {:?}",
            started.elapsed()
        );
    });
}

#[test]
fn stale_udp_flows_are_forgotten() {
    in_namespace(|| {
        assert!(
            Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()
                .is_ok_and(|status| status.success())
        );
        // Tracking starts with the first table that asks for it.
        let mut filter = PacketFilter::open().unwrap();
        filter.apply(cluster(1, 1, false)).unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap();
        client.send_to(b"x", to).unwrap();
        let port = to.port();
        let stale = |endpoint| StaleFlow {
            address: Some(Ipv4Addr::LOCALHOST),
            port,
            endpoint,
        };
        assert_eq!(forget_flows(&[stale(Some("10.0.0.1:53".parse().unwrap()))]).unwrap(), 0);
        assert_eq!(forget_flows(&[stale(None)]).unwrap(), 1);
        assert_eq!(forget_flows(&[stale(None)]).unwrap(), 0);
    });
}
