//! What is read from ClusterConfig files, and what is said about wrong ones.

use super::*;

/// The guide's file: every part that a first cluster names.
const GUIDE: &str = r#"apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
metadata:
  name: demo
  region: ap-northeast-2
  version: "1.33"
  tags: { environment: test }
iam:
  withOIDC: true
vpc:
  cidr: 192.168.0.0/16
  nat: { gateway: Single }
  clusterEndpoints: { publicAccess: true, privateAccess: true }
addons:
  - name: vpc-cni
    version: latest
  - name: coredns
  - name: aws-ebs-csi-driver
managedNodeGroups:
  - name: workers
    instanceType: t3.medium
    desiredCapacity: 2
    minSize: 1
    maxSize: 4
    volumeSize: 30
    privateNetworking: true
    labels: { role: worker }
    tags: { team: "a" }
    taints:
      - { key: dedicated, value: batch, effect: NoSchedule }
    iam:
      withAddonPolicies: { autoScaler: true, ebs: true }
  - name: spots
    instanceTypes: [t3.medium, t3.large]
    spot: true
fargateProfiles:
  - name: fp
    selectors: [{ namespace: serverless }]
"#;

fn problems(text: &str) -> String {
    match parse(text) {
        Err(error) => error.to_string(),
        Ok((_, warnings)) => format!("accepted with {warnings:?}"),
    }
}

fn with(field: &str) -> String {
    format!(
        "apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {{name: demo, region: ap-northeast-2}}\n{field}\n"
    )
}

#[test]
fn the_guide_file_is_read_and_its_fields_without_effect_are_named() {
    let (config, warnings) = parse(GUIDE).unwrap();
    let groups = config.managed_node_groups.unwrap();
    assert_eq!(groups[0].sizes(), (1, 2, 4));
    assert_eq!(groups[1].sizes(), (2, 2, 2));
    assert_eq!(groups[1].types(), ["t3.medium", "t3.large"]);
    assert_eq!(config.vpc.unwrap().nat.unwrap().gateway.as_deref(), Some("Single"));
    let named: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    let not_offered = crate::addon::offered("aws-ebs-csi-driver").is_none();
    assert_eq!(named, if not_offered { vec!["addons[2]"] } else { vec![] });
    assert_eq!(config.fargate_profiles.unwrap()[0].selectors.as_ref().unwrap().len(), 1);
}

#[test]
fn the_table_names_only_types_that_it_has() {
    assert_eq!(schema::undefined_types(), Vec::<&str>::new());
}

#[test]
fn wrong_fields_are_named_with_line_and_path() {
    insta::assert_snapshot!(problems(&with("vpc:\n  cidrs: 10.0.0.0/16\n  nat: {gateway: Two}\nnodes: 3")), @r#"
    line 5: vpc.cidrs: unknown field; did you mean "cidr"?
    line 6: vpc.nat.gateway: must be one of HighlyAvailable, Single, Disable, is "Two"
    line 7: nodes: unknown field
    "#);
    insta::assert_snapshot!(problems("kind: ClusterConfig\nmetadata:\n  name: 7\n  version: 1.30"), @r#"
    line 3: metadata.name: must be a string (put it in quotes), is number 7
    line 4: metadata.version: must be a string (put it in quotes), is number 1.3
    line 1: apiVersion: must be set
    "#);
    insta::assert_snapshot!(problems(&with("managedNodeGroups:\n  - instanceType: t3.medium\n    desiredCapacity: two\n    labels: [a]")), @r#"
    line 6: managedNodeGroups[0].desiredCapacity: must be a whole number, is "two"
    line 7: managedNodeGroups[0].labels: must be a mapping, is a list
    line 5: managedNodeGroups[0].name: must be set
    "#);
}

#[test]
fn wrong_values_are_named() {
    insta::assert_snapshot!(problems(&with("vpc: {cidr: 10.0.0.0}")), @r#"vpc.cidr: "10.0.0.0" lacks its prefix length, as in "10.0.0.0/16""#);
    insta::assert_snapshot!(problems(&with("vpc: {cidr: 10.0.0.0/28}")), @r#"vpc.cidr: "10.0.0.0/28" must be between /16 and /24"#);
    insta::assert_snapshot!(problems(&with("vpc: {cidr: 10.0.0.1/16}")), @r#"vpc.cidr: "10.0.0.1/16" has host bits set, the network is 10.0.0.0/16"#);
    insta::assert_snapshot!(problems(&with("vpc: {cidr: ten}")), @r#"vpc.cidr: "ten" is not a CIDR block: invalid IP address syntax"#);
    insta::assert_snapshot!(problems(&with("managedNodeGroups: [{name: a, instanceType: t3.huge}]")), @r#"managedNodeGroups[0].instanceType: instance type "t3.huge" is not known"#);
    insta::assert_snapshot!(problems(&with("managedNodeGroups: [{name: a, minSize: 3, maxSize: 2, desiredCapacity: 2}]")), @"managedNodeGroups[0]: Minimum capacity 3 can't be greater than max size 2");
    insta::assert_snapshot!(problems(&with("managedNodeGroups: [{name: a}, {name: a}]")), @r#"managedNodeGroups[1].name: "a" is used twice"#);
    insta::assert_snapshot!(problems(&with("availabilityZones: [us-east-1a, ap-northeast-2b]")), @r#"availabilityZones[0]: availability zone "us-east-1a" is not in region ap-northeast-2"#);
    insta::assert_snapshot!(problems("apiVersion: eksctl.io/v1alpha5\nkind: ClusterConfig\nmetadata: {name: '', version: '1.27'}"), @r#"
    metadata.name: must be set
    metadata.version: "1.27" is not one of 1.28, 1.29, 1.30, 1.31, 1.32, 1.33, 1.34, 1.35, 1.36
    "#);
}

#[test]
fn wrong_parts_are_named() {
    insta::assert_snapshot!(problems(&with("iam: {serviceAccounts: [{metadata: {namespace: a}}]}")), @r"
    iam.serviceAccounts[0].metadata.name: must be set
    iam.serviceAccounts[0]: needs iam.withOIDC: true
    ");
    insta::assert_snapshot!(problems(&with("fargateProfiles: [{name: eks-a}]")), @r#"
    fargateProfiles[0].name: must not begin with "eks-"
    fargateProfiles[0].selectors: must have at least one selector
    "#);
    insta::assert_snapshot!(problems(&with("accessConfig: {accessEntries: [{type: STANDARD}]}")), @"accessConfig.accessEntries[0].principalARN: must be set");
    insta::assert_snapshot!(problems(&with("managedNodeGroups: [{name: a, instanceSelector: {gpus: 1}}]")), @"managedNodeGroups[0].instanceSelector: no instance type that is known here has what it asks for");
}

#[test]
fn a_selector_stands_for_the_types_that_have_what_it_asks_for() {
    let selector = |vcpus, memory: &str, architecture: &str| InstanceSelector {
        vcpus: Some(vcpus),
        memory: Some(memory.to_owned()),
        cpu_architecture: Some(architecture.to_owned()),
        gpus: None,
    };
    assert!(selector(2, "4", "x86_64").types().contains(&"t3.medium".to_owned()));
    assert!(selector(2, "4GiB", "arm64").types().contains(&"t4g.medium".to_owned()));
    assert!(selector(2, "512MiB", "arm64").types().contains(&"t4g.nano".to_owned()));
}

#[test]
fn broken_yaml_is_an_error_with_its_place() {
    assert!(
        problems("metadata:\n  name: [a").starts_with("not valid YAML: "),
        "{}",
        problems("metadata:\n  name: [a")
    );
    assert!(problems("").contains("must be set"));
    assert!(problems("- a\n- b").contains("must be a mapping"));
}

#[test]
fn sizes_follow_from_each_other() {
    let sizes = default_nodegroup_sizes;
    assert_eq!(sizes(None, None, None), (2, 2, 2));
    assert_eq!(sizes(Some(3), None, None), (3, 3, 3));
    assert_eq!(sizes(None, Some(1), Some(4)), (1, 1, 4));
    assert_eq!(sizes(None, None, Some(1)), (1, 1, 1));
    assert_eq!(sizes(Some(0), None, None), (0, 0, 1));
    assert_eq!(sizes(Some(2), Some(1), Some(3)), (1, 2, 3));
}
