//! When targets are well, as ELB counts it.

use super::*;

fn check() -> HealthCheck {
    HealthCheck {
        question: Question::Connection,
        port: None,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        healthy_after: 3,
        unhealthy_after: 2,
    }
}

const BAD: Result<(), CheckFailure> = Err(CheckFailure::NoAnswer);

#[test]
fn a_new_target_is_healthy_at_once_and_a_sick_one_after_several_good_answers() {
    let check = check();
    let new = Health::default();
    assert_eq!(new.state, HealthState::Registering);
    let healthy = new.after(Ok(()), &check);
    assert_eq!(healthy.state, HealthState::Healthy);
    let once = healthy.after(BAD, &check);
    assert_eq!(once.state, HealthState::Healthy);
    assert_eq!(
        once.after(Ok(()), &check).after(BAD, &check).state,
        HealthState::Healthy,
        "in a row"
    );
    let sick = once.after(Err(CheckFailure::Code(500)), &check);
    assert_eq!(sick.state, HealthState::Unhealthy(CheckFailure::Code(500)));
    let better = sick.after(Ok(()), &check).after(Ok(()), &check);
    assert_eq!(better.state, HealthState::Unhealthy(CheckFailure::Code(500)));
    assert_eq!(better.after(Ok(()), &check).state, HealthState::Healthy);
    assert_eq!(
        better.after(BAD, &check).after(Ok(()), &check).state,
        HealthState::Unhealthy(CheckFailure::NoAnswer)
    );
}

#[test]
fn a_target_that_never_answered_is_initial_and_then_unhealthy() {
    let check = check();
    let once = Health::default().after(BAD, &check);
    assert_eq!(once.state, HealthState::Initial);
    assert_eq!(
        once.after(BAD, &check).state,
        HealthState::Unhealthy(CheckFailure::NoAnswer)
    );
    assert_eq!(once.after(Ok(()), &check).state, HealthState::Healthy);
}

#[test]
fn traffic_goes_to_the_healthy_or_to_all_that_are_sick_but_not_to_the_new() {
    let target = |host| Target {
        id: format!("i-{host}"),
        port: 80,
        address: Some(Ipv4Addr::new(10, 0, 0, host)),
    };
    let gone = Target {
        address: None,
        ..target(4)
    };
    let group = TargetGroup {
        targets: [target(1), target(2), target(3), gone.clone()].into(),
        check: check(),
        drain: Duration::ZERO,
        sticky: false,
    };
    let check = check();
    let healthy = Health::default().after(Ok(()), &check);
    let sick = Health::default().after(BAD, &check).after(BAD, &check);
    let mut health = BTreeMap::from([(target(1), healthy), (target(2), sick), (gone, healthy)]);
    let to = |host| SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 80);
    assert_eq!(ready(&[(&group, &health)]), [to(1)]);
    health.insert(target(1), sick);
    health.insert(
        Target {
            address: None,
            ..target(4)
        },
        sick,
    );
    assert_eq!(ready(&[(&group, &health)]), [to(1), to(2)]);
    assert_eq!(ready(&[(&group, &BTreeMap::new())]), []);
}

#[test]
fn matchers_name_codes_and_ranges() {
    assert_eq!(codes("200"), [(200, 200)]);
    assert_eq!(codes("200-399"), [(200, 399)]);
    assert_eq!(codes("200, 204,300-302"), [(200, 200), (204, 204), (300, 302)]);
    assert_eq!(codes("nothing"), []);
}
