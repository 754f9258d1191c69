//! The cut equals eksctl's, and five addresses of each subnet are never handed out.
use super::*;

fn zones(count: usize) -> Vec<String> {
    ('a'..)
        .take(count)
        .map(|letter| format!("ap-northeast-2{letter}"))
        .collect()
}

fn cidr(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

#[test]
fn three_zones_of_a_16() {
    let plan = plan_subnets(cidr("10.0.0.0/16"), &zones(3)).unwrap();
    let shown: Vec<String> = plan
        .iter()
        .map(|zone| format!("{} {} {}", zone.zone, zone.public, zone.private))
        .collect();
    assert_eq!(
        shown,
        [
            "ap-northeast-2a 10.0.0.0/19 10.0.96.0/19",
            "ap-northeast-2b 10.0.32.0/19 10.0.128.0/19",
            "ap-northeast-2c 10.0.64.0/19 10.0.160.0/19",
        ]
    );
}

#[test]
fn five_zones_are_cut_into_sixteen_parts() {
    let plan = plan_subnets(cidr("192.168.0.0/16"), &zones(5)).unwrap();
    assert_eq!(plan[4].public, cidr("192.168.64.0/20"));
    assert_eq!(plan[0].private, cidr("192.168.80.0/20"));
}

#[test]
fn bad_ranges_are_refused() {
    let shown = |text: &str, count| plan_subnets(cidr(text), &zones(count)).unwrap_err().to_string();
    assert_eq!(
        shown("10.0.0.0/8", 3),
        "VPC CIDR 10.0.0.0/8: prefix must be between /16 and /24"
    );
    assert_eq!(
        shown("10.0.0.0/25", 3),
        "VPC CIDR 10.0.0.0/25: prefix must be between /16 and /24"
    );
    assert_eq!(
        shown("10.0.3.0/16", 3),
        "VPC CIDR 10.0.3.0/16 has host bits set, the network is 10.0.0.0/16"
    );
    assert_eq!(shown("10.0.0.0/16", 0), "0 availability zones: must be between 1 and 8");
}

#[test]
fn first_four_and_last_address_are_reserved() {
    let mut subnet = SubnetAddresses::new(cidr("10.0.0.0/28"), []);
    assert_eq!(subnet.free(), 11);
    let all = subnet.take(11).unwrap();
    assert_eq!(
        (all[0].to_string(), all[10].to_string()),
        ("10.0.0.4".into(), "10.0.0.14".into())
    );
    assert_eq!(
        subnet.take(1).unwrap_err().to_string(),
        "subnet 10.0.0.0/28 has insufficient free addresses: 1 wanted, 0 free"
    );
    assert!(subnet.release(all[3]));
    assert_eq!(subnet.take(1).unwrap(), [all[3]]);
}

#[test]
fn an_address_that_was_given_back_comes_up_again_after_all_others() {
    let of = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let mut subnet = SubnetAddresses::new(cidr("10.0.0.0/28"), []);
    let first = subnet.take(2).unwrap();
    assert!(subnet.release(first[0]) && subnet.release(first[1]));
    assert_eq!(subnet.take(1).unwrap(), [of("10.0.0.6")]);
    // Whoever remembers where it stopped goes on there.
    let mut later = SubnetAddresses::new(cidr("10.0.0.0/28"), [of("10.0.0.6")]).beginning_at(Some(subnet.goes_on_at()));
    assert_eq!(
        (later.take(8).unwrap().pop(), later.goes_on_at()),
        (Some(of("10.0.0.14")), of("10.0.0.4"))
    );
    assert_eq!(later.take(2).unwrap(), first);
    assert_eq!(later.free(), 0);
    let elsewhere = SubnetAddresses::new(cidr("10.0.1.0/28"), []).beginning_at(Some(of("10.0.0.9")));
    assert_eq!(elsewhere.goes_on_at(), of("10.0.1.4"));
}

#[test]
fn particular_addresses() {
    let mut subnet = SubnetAddresses::new(
        cidr("10.0.0.0/24"),
        ["10.0.0.5".parse().unwrap(), "10.9.0.1".parse().unwrap()],
    );
    assert_eq!(subnet.free(), 250);
    let taken = subnet.take_exactly("10.0.0.5".parse().unwrap()).unwrap_err();
    assert_eq!(taken.to_string(), "address 10.0.0.5 is in use");
    let reserved = subnet.take_exactly("10.0.0.3".parse().unwrap()).unwrap_err();
    assert_eq!(
        reserved.to_string(),
        "address 10.0.0.3 is not usable in subnet 10.0.0.0/24"
    );
    assert_eq!(
        subnet.take(2).unwrap(),
        ["10.0.0.4".parse::<Ipv4Addr>().unwrap(), "10.0.0.6".parse().unwrap()]
    );
}
