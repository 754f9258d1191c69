//! How a node group grows, shrinks, heals and goes.

use std::collections::BTreeSet;

use super::*;

fn subnet(index: u8, zone: char) -> GroupSubnet {
    GroupSubnet {
        id: SubnetId::new(format!("subnet-0000000{index}")).unwrap(),
        zone: ZoneName::new(format!("ap-northeast-2{zone}")).unwrap(),
    }
}

fn group(min: u32, desired: u32, max: u32) -> Nodegroup {
    Nodegroup {
        name: NodegroupName::new("ng").unwrap(),
        cluster: ClusterName::new("demo").unwrap(),
        arn: String::new(),
        auto_scaling_group: String::new(),
        created_at: Timestamp::UNIX_EPOCH,
        modified_at: Timestamp::UNIX_EPOCH,
        version: "1.33".to_owned(),
        release_version: String::new(),
        status: NodegroupStatus::Creating,
        capacity_type: "ON_DEMAND".to_owned(),
        scaling: Scaling { min, max, desired },
        instance_types: vec!["t3.medium".to_owned()],
        subnets: vec![subnet(1, 'a'), subnet(2, 'b'), subnet(3, 'c')],
        ami_type: String::new(),
        node_role: String::new(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        disk_size: 20,
        max_unavailable: Unavailable::Count(1),
        tags: BTreeMap::new(),
        client_request_token: None,
        issues: Vec::new(),
        instances: Vec::new(),
        update: None,
        launch_template: None,
        remote_access: None,
    }
}

/// Launches whatever is missing and reports it as joined: what a perfect host would do.
fn grown(mut group: Nodegroup) -> Nodegroup {
    let numbers = group
        .instances
        .iter()
        .map(|instance| instance.id.as_str().trim_start_matches("i-").to_owned());
    let first = numbers
        .filter_map(|number| usize::from_str_radix(&number, 16).ok())
        .max()
        .map_or(0, |last| last + 1);
    let added = group
        .missing()
        .into_iter()
        .enumerate()
        .map(|(index, id)| instance(first + index, &id, &group))
        .collect();
    group = group.with_instances(added);
    let ids: Vec<InstanceId> = group.instances.iter().map(|instance| instance.id.clone()).collect();
    for id in &ids {
        group = group.step(Input::Launched(id.clone())).unwrap().unwrap();
    }
    observed(group, &ids, &ids)
}

fn instance(number: usize, id: &SubnetId, group: &Nodegroup) -> Instance {
    let zone = group
        .subnets
        .iter()
        .find(|subnet| subnet.id == *id)
        .unwrap()
        .zone
        .clone();
    Instance {
        id: InstanceId::new(format!("i-{number:08x}")).unwrap(),
        eni: EniId::new(format!("eni-{number:08x}")).unwrap(),
        instance_type: "t3.medium".to_owned(),
        subnet: id.clone(),
        zone,
        address: Ipv4Addr::LOCALHOST,
        node_name: format!("node-{number}"),
        pod_addresses: Vec::new(),
        launched_at: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
        phase: Phase::Launching,
        release: group.release_version.clone(),
        security_groups: Vec::new(),
    }
}

fn observed(group: Nodegroup, running: &[InstanceId], ready: &[InstanceId]) -> Nodegroup {
    let set = |ids: &[InstanceId]| Some(ids.iter().cloned().collect::<BTreeSet<_>>());
    let now = Timestamp::from_second(100).unwrap();
    group
        .step(Input::Observed(Observation {
            now,
            running: set(running),
            ready: set(ready),
        }))
        .unwrap()
        .unwrap()
}

fn phases(group: &Nodegroup) -> Vec<(String, Phase)> {
    group
        .instances
        .iter()
        .map(|instance| (instance.zone.to_string()[14..].to_owned(), instance.phase))
        .collect()
}

fn resize(group: Nodegroup, scaling: Scaling) -> Nodegroup {
    let change = ConfigChange {
        update_id: "update".to_owned(),
        scaling: Some(scaling),
        labels: None,
        taints: None,
        max_unavailable: None,
        now: Timestamp::UNIX_EPOCH,
    };
    group.step(Input::Configure(change)).unwrap().unwrap()
}

#[test]
fn a_group_is_active_when_every_node_is_ready_and_zones_are_balanced() {
    let group = grown(group(1, 4, 5));
    assert_eq!(group.status, NodegroupStatus::Active);
    let zones: Vec<String> = phases(&group).into_iter().map(|(zone, _)| zone).collect();
    assert_eq!(zones, ["a", "b", "c", "a"]);
    assert!(group.missing().is_empty());
}

#[test]
fn a_group_without_instances_is_active_at_once_when_none_are_wanted() {
    assert_eq!(observed(group(0, 0, 1), &[], &[]).status, NodegroupStatus::Active);
}

#[test]
fn scaling_down_drains_the_youngest_of_the_fullest_zone() {
    let mut group = resize(
        grown(group(1, 4, 5)),
        Scaling {
            min: 1,
            max: 5,
            desired: 2,
        },
    );
    assert_eq!(
        phases(&group),
        [
            ("a".to_owned(), Phase::InService),
            ("b".to_owned(), Phase::InService),
            ("c".to_owned(), Phase::Draining),
            ("a".to_owned(), Phase::Draining)
        ]
    );
    assert_eq!(group.take_finished_update(), Some(("update".to_owned(), Ok(()))));
    let gone = group.instances[3].id.clone();
    let group = group.step(Input::Drained(gone.clone())).unwrap().unwrap();
    assert_eq!(group.step(Input::Gone(gone)).unwrap().unwrap().instances.len(), 3);
}

#[test]
fn scaling_up_is_done_when_the_new_instances_run() {
    let mut group = resize(
        grown(group(1, 1, 5)),
        Scaling {
            min: 1,
            max: 5,
            desired: 3,
        },
    );
    assert_eq!(group.status, NodegroupStatus::Updating);
    assert_eq!(group.take_finished_update(), None);
    let mut group = grown(group);
    assert_eq!(group.status, NodegroupStatus::Active);
    assert_eq!(group.take_finished_update().unwrap().1, Ok(()));
}

#[test]
fn a_lost_instance_is_replaced_in_its_zone() {
    let group = grown(group(2, 3, 3));
    let left: Vec<InstanceId> = [0, 2].map(|index| group.instances[index].id.clone()).to_vec();
    let group = observed(group, &left, &left);
    assert_eq!(group.status, NodegroupStatus::Active);
    assert_eq!(group.instances[1].phase, Phase::Terminating);
    assert_eq!(group.missing(), [group.subnets[1].id.clone()]);
}

#[test]
fn nothing_is_concluded_when_the_host_cannot_be_asked() {
    let before = grown(group(1, 2, 2));
    let blind = Observation {
        now: Timestamp::from_second(100).unwrap(),
        running: None,
        ready: None,
    };
    assert_eq!(before.clone().step(Input::Observed(blind)).unwrap().unwrap(), before);
}

#[test]
fn failures_are_told_by_state() {
    let creating = group(1, 1, 1);
    let id = InstanceId::new("i-00000000").unwrap();
    let failed = Input::LaunchFailed {
        instance: id,
        message: "no kernel".to_owned(),
    };
    assert_eq!(
        creating.step(failed.clone()).unwrap().unwrap().status,
        NodegroupStatus::CreateFailed
    );
    let mut updating = resize(
        grown(group(1, 1, 3)),
        Scaling {
            min: 1,
            max: 3,
            desired: 2,
        },
    );
    updating = updating.step(failed).unwrap().unwrap();
    assert_eq!(updating.status, NodegroupStatus::Degraded);
    assert!(updating.take_finished_update().unwrap().1.is_err());
    assert_eq!(grown(updating).status, NodegroupStatus::Active);
}

#[test]
fn an_instance_that_never_joins_fails_the_group() {
    let mut creating = group(1, 1, 1);
    let added = vec![instance(0, &creating.missing()[0], &creating)];
    creating = creating.with_instances(added);
    let id = creating.instances[0].id.clone();
    creating = creating.step(Input::Launched(id.clone())).unwrap().unwrap();
    let later = Observation {
        now: Timestamp::from_second(i64::try_from(JOIN_LIMIT.as_secs()).unwrap() + 1).unwrap(),
        running: Some(BTreeSet::from([id])),
        ready: Some(BTreeSet::new()),
    };
    let failed = creating.step(Input::Observed(later)).unwrap().unwrap();
    assert_eq!(failed.status, NodegroupStatus::CreateFailed);
    assert_eq!(failed.issues[0].code, "NodeCreationFailure");
}

#[test]
fn deleting_drains_and_ends_in_nothing() {
    let mut group = grown(group(1, 2, 2)).step(Input::Delete).unwrap().unwrap();
    assert_eq!(group.status, NodegroupStatus::Deleting);
    let ids: Vec<InstanceId> = group.instances.iter().map(|instance| instance.id.clone()).collect();
    for id in &ids {
        group = group.step(Input::Drained(id.clone())).unwrap().unwrap();
    }
    assert!(group.missing().is_empty());
    group = group.step(Input::Gone(ids[0].clone())).unwrap().unwrap();
    assert_eq!(group.step(Input::Gone(ids[1].clone())).unwrap(), None);
}

#[test]
fn a_group_that_is_being_changed_refuses_another_change() {
    let updating = resize(
        grown(group(1, 1, 3)),
        Scaling {
            min: 1,
            max: 3,
            desired: 3,
        },
    );
    let change = ConfigChange {
        update_id: String::new(),
        scaling: None,
        labels: None,
        taints: None,
        max_unavailable: None,
        now: Timestamp::UNIX_EPOCH,
    };
    assert!(updating.step(Input::Configure(change)).is_err());
}

#[test]
fn a_new_version_comes_before_the_old_one_goes() {
    let mut group = grown(group(1, 2, 4));
    let change = |force| VersionChange {
        update_id: "u".into(),
        version: "1.34".into(),
        release: "new".into(),
        force,
        now: Timestamp::UNIX_EPOCH,
    };
    group = group.step(Input::ChangeVersion(change(false))).unwrap().unwrap();
    assert!(
        group.clone().step(Input::ChangeVersion(change(false))).is_err(),
        "one change at a time"
    );
    assert_eq!(group.missing().len(), 1, "one more than desired");
    for _ in 0..5 {
        group = grown(group);
        let draining: Vec<InstanceId> = group
            .instances
            .iter()
            .filter(|known| known.phase == Phase::Draining)
            .map(|known| known.id.clone())
            .collect();
        assert!(
            draining.len() <= 1 && group.counted().count() >= 2,
            "{:?}",
            group.instances
        );
        for id in draining {
            group = group.step(Input::Drained(id.clone())).unwrap().unwrap();
            group = group.step(Input::Gone(id)).unwrap().unwrap();
        }
    }
    assert_eq!(group.status, NodegroupStatus::Active);
    assert_eq!(group.instances.len(), 2);
    assert!(
        group.instances.iter().all(|known| known.release == "new"),
        "{:?}",
        group.instances
    );
    assert_eq!(group.take_finished_update(), Some(("u".to_owned(), Ok(()))));
}

#[test]
fn a_roll_ends_with_as_many_as_desired_however_slowly_old_instances_go() {
    for surge in [1, 2] {
        let mut group = grown(group(1, 3, 4));
        group.max_unavailable = Unavailable::Count(surge);
        let change = VersionChange {
            update_id: "u".into(),
            version: "1.34".into(),
            release: "new".into(),
            force: false,
            now: Timestamp::UNIX_EPOCH,
        };
        group = group.step(Input::ChangeVersion(change)).unwrap().unwrap();
        // All that is missing comes while what drains is still there.
        for _ in 0..8 {
            group = grown(group);
        }
        let going: Vec<InstanceId> = group
            .instances
            .iter()
            .filter(|known| known.phase == Phase::Draining)
            .map(|known| known.id.clone())
            .collect();
        assert_eq!(going.len(), 3, "{:?}", group.instances);
        for id in going {
            group = group.step(Input::Drained(id.clone())).unwrap().unwrap();
            group = group.step(Input::Gone(id)).unwrap().unwrap();
        }
        assert_eq!(
            (group.status, group.instances.len()),
            (NodegroupStatus::Active, 3),
            "{:?}",
            group.instances
        );
    }
}

#[test]
fn pods_that_stay_end_an_update_unless_it_is_forced() {
    for (force, ends) in [(false, true), (true, false)] {
        let mut group = grown(group(1, 1, 2));
        let change = VersionChange {
            update_id: "u".into(),
            version: "1.34".into(),
            release: "new".into(),
            force,
            now: Timestamp::UNIX_EPOCH,
        };
        group = grown(group.step(Input::ChangeVersion(change)).unwrap().unwrap());
        let old = group
            .instances
            .iter()
            .find(|known| known.phase == Phase::Draining)
            .unwrap()
            .id
            .clone();
        let input = Input::EvictionFailed {
            instance: old.clone(),
            message: "pods are left: a/b".into(),
        };
        group = group.step(input).unwrap().unwrap();
        let phase = group.instances.iter().find(|known| known.id == old).unwrap().phase;
        assert_eq!(phase == Phase::InService, ends);
        assert_eq!(group.version, if ends { "1.33" } else { "1.34" });
    }
}
