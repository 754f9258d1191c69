//! The command lines of the guide are understood.

use clap::CommandFactory;

use super::*;

fn command() -> clap::Command {
    crate::eksctl::table::augment(Arguments::command())
}

#[test]
fn the_definitions_do_not_contradict_each_other() {
    Arguments::command().debug_assert();
}

#[test]
fn the_guide_s_commands_are_understood() {
    let lines = [
        "ondol up --port 0",
        "ondol create cluster -f cluster.yaml",
        "ondol create cluster --name demo --region ap-northeast-2 --version 1.33 --nodegroup-name workers --node-type t3.medium --nodes 2 --nodes-min 1 --nodes-max 3 --zones ap-northeast-2a,ap-northeast-2c --with-oidc --managed --vpc-cidr 10.0.0.0/16 --timeout 40m",
        "ondol create cluster demo --write-kubeconfig=false --set-kubeconfig-context=false",
        "ondol create nodegroup --cluster demo --name spot --spot --instance-types t3.medium,t3.large --nodes 1",
        "ondol get cluster -o json",
        "ondol get nodegroup --cluster demo -o yaml",
        "ondol scale nodegroup --cluster=demo --nodes=3 --name=workers --nodes-max 5 --wait",
        "ondol delete nodegroup --cluster demo --name workers --wait",
        "ondol delete cluster --name demo --region ap-northeast-2 --wait --home /tmp/x",
    ];
    for line in lines {
        let parsed = command().try_get_matches_from(line.split(' '));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
    assert!(
        command()
            .try_get_matches_from("ondol create cluster --nodes two".split(' '))
            .is_err()
    );
}
