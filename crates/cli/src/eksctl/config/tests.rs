//! Flags and file say the same.

use clap::CommandFactory;

use super::*;
use crate::arguments::Arguments;

fn config(line: &str) -> Result<ClusterConfig, String> {
    let command = crate::eksctl::table::augment(Arguments::command());
    let parsed = command.try_get_matches_from(line.split(' '));
    let given = Given::find(&parsed.map_err(|error| error.to_string())?).ok_or("is no command of eksctl")?;
    match given.words() {
        ("create", "cluster") => cluster(&given),
        ("create", "nodegroup") => nodegroups(&given),
        _ => existing(&given, &[]),
    }
    .map(|(config, _)| config)
    .map_err(|error| error.to_string())
}

#[test]
fn flags_become_the_config_they_stand_for() {
    let made = config("ondol create cluster --name demo --version 1.33 --nodegroup-name workers --node-type t3.medium --nodes 2 --nodes-max 3 --zones ap-northeast-2a,ap-northeast-2c --tags a=b --node-labels role=worker --spot -P").unwrap();
    assert_eq!(made.metadata.version.as_deref(), Some("1.33"));
    assert_eq!(made.availability_zones.unwrap().len(), 2);
    let group = &made.managed_node_groups.unwrap()[0];
    assert_eq!(
        (group.sizes(), group.spot, group.private_networking),
        ((2, 2, 3), Some(true), Some(true))
    );
    assert_eq!(
        config("ondol create cluster --without-nodegroup")
            .unwrap()
            .managed_node_groups,
        Some(vec![])
    );
}

#[test]
fn a_key_for_ssh_lets_ssh_in() {
    let ssh = |line: &str| {
        let made = config(line).unwrap().managed_node_groups.unwrap();
        made[0].ssh.clone()
    };
    assert_eq!(ssh("ondol create cluster demo"), None);
    let named = ssh("ondol create cluster demo --ssh-access --ssh-public-key my-key").unwrap();
    assert_eq!(
        (named.allow, named.public_key_path.as_deref()),
        (Some(true), Some("my-key"))
    );
    let by_key = ssh("ondol create nodegroup --cluster demo --ssh-public-key my-key").unwrap();
    assert_eq!(by_key.allow, None);
}

#[test]
fn wrong_flags_are_named() {
    let wrong = [
        (
            "ondol create cluster --version 1.27",
            "metadata.version: \"1.27\" is not one of",
        ),
        (
            "ondol create cluster --vpc-cidr 10.0.0.0/30",
            "vpc.cidr: \"10.0.0.0/30\" must be between /16 and /24",
        ),
        (
            "ondol create cluster --node-type t3.huge",
            "instance type \"t3.huge\" is not known",
        ),
        (
            "ondol create cluster --nodes 5 --nodes-max 3",
            "Minimum capacity 5 can't be greater than max size 3",
        ),
        (
            "ondol create cluster --nodes -1",
            "desiredCapacity: -1 is not a number of nodes",
        ),
        ("ondol create cluster --name -x", "-x"),
        ("ondol create cluster --tags a", "--tags: \"a\" is not key=value"),
        ("ondol create cluster --managed=false", "self-managed node groups"),
        (
            "ondol create cluster -f x.yaml --nodes 3",
            "cannot use --nodes when --config-file/-f is set",
        ),
        (
            "ondol create cluster -f /nonexistent/x.yaml",
            "/nonexistent/x.yaml: No such file",
        ),
        ("ondol create nodegroup --name x", "--cluster must be set"),
    ];
    for (line, message) in wrong {
        let said = config(line).unwrap_err();
        assert!(said.contains(message), "{line}: {said}");
    }
}
