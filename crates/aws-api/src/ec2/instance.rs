//! Instances: those of node groups. None can be started by `RunInstances` here.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{instance_type, region};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Input, Instance, Nodegroup, Phase};
use serde_json::{Value, json};

use super::document;
use crate::allocation;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, tag_list};
use crate::operations::Context;

fn status(phase: Phase) -> Value {
    match phase {
        Phase::Launching => json!({"Code": 0, "Name": "pending"}),
        Phase::Joining | Phase::InService | Phase::Draining => json!({"Code": 16, "Name": "running"}),
        Phase::Terminating => json!({"Code": 32, "Name": "shutting-down"}),
    }
}

/// Every instance with its group and cluster.
pub fn all(state: &State) -> impl Iterator<Item = (&Cluster, &Nodegroup, &Instance)> {
    state.nodegroups.values().flat_map(|group| {
        let cluster = state.clusters.get(&group.cluster);
        cluster
            .into_iter()
            .flat_map(move |cluster| group.instances.iter().map(move |instance| (cluster, group, instance)))
    })
}

/// Tags that an instance has from its group.
pub fn tags(cluster: &Cluster, group: &Nodegroup) -> BTreeMap<String, String> {
    let mut tags = allocation::instance_tags(cluster, group);
    tags.insert("aws:autoscaling:groupName".to_owned(), group.auto_scaling_group.clone());
    tags
}

fn view(context: &Context, (cluster, group, instance): (&Cluster, &Nodegroup, &Instance)) -> Value {
    let owner = &context.caller.account;
    let architecture = instance_type::find(&instance.instance_type).map_or("x86_64", |known| known.architecture);
    let groups = json!([{"GroupId": cluster.network.cluster_security_group_id, "GroupName": format!("eks-cluster-sg-{}", cluster.name)}]);
    let address = instance.address.to_string();
    let pods = instance
        .pod_addresses
        .iter()
        .map(|address| json!({"Primary": false, "PrivateIpAddress": address}));
    let addresses: Vec<Value> =
        std::iter::once(json!({"Primary": true, "PrivateIpAddress": address, "PrivateDnsName": instance.node_name}))
            .chain(pods)
            .collect();
    let mut view = json!({
        "InstanceId": instance.id, "ImageId": allocation::image_id(&group.release_version), "State": status(instance.phase),
        "PrivateDnsName": instance.node_name, "PrivateIpAddress": address, "PublicDnsName": "", "InstanceType": instance.instance_type,
        "LaunchTime": Time(instance.launched_at), "Architecture": architecture, "SubnetId": instance.subnet,
        "VpcId": cluster.network.vpc_id, "SecurityGroups": groups, "Tags": tag_list(&tags(cluster, group)),
        "Placement": {"AvailabilityZone": instance.zone, "Tenancy": "default"}, "Monitoring": {"State": "disabled"},
        "RootDeviceName": "/dev/xvda", "RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen",
        "AmiLaunchIndex": 0, "SourceDestCheck": true, "EbsOptimized": false,
        "NetworkInterfaces": [{
            "NetworkInterfaceId": instance.eni, "SubnetId": instance.subnet, "VpcId": cluster.network.vpc_id, "OwnerId": owner,
            "PrivateIpAddress": address, "PrivateDnsName": instance.node_name, "Status": "in-use", "Groups": groups,
            "PrivateIpAddresses": addresses, "InterfaceType": "interface", "SourceDestCheck": true,
            "Attachment": {"DeviceIndex": 0, "Status": "attached", "AttachTime": Time(instance.launched_at), "DeleteOnTermination": true},
        }],
    });
    if group.capacity_type == "SPOT" {
        view["InstanceLifecycle"] = "spot".into();
    }
    view
}

const FILTERS: &[(&str, &str)] = &[
    ("instance-id", "InstanceId"),
    ("instance-state-name", "State.Name"),
    ("instance-state-code", "State.Code"),
    ("instance-type", "InstanceType"),
    ("private-dns-name", "PrivateDnsName"),
    ("private-ip-address", "PrivateIpAddress"),
    ("subnet-id", "SubnetId"),
    ("vpc-id", "VpcId"),
    ("availability-zone", "Placement.AvailabilityZone"),
    ("image-id", "ImageId"),
    ("instance.group-id", "SecurityGroups[].GroupId"),
    ("instance-lifecycle", "InstanceLifecycle"),
    (
        "network-interface.network-interface-id",
        "NetworkInterfaces[].NetworkInterfaceId",
    ),
];

fn not_found(id: &str) -> ApiError {
    ApiError::bad_request(
        "InvalidInstanceID.NotFound",
        format!("The instance ID '{id}' does not exist"),
    )
}

fn require(state: &State, ids: &[&str]) -> Result<(), ApiError> {
    let unknown = ids
        .iter()
        .find(|id| !all(state).any(|(_, _, instance)| instance.id.as_str() == **id));
    unknown.map_or(Ok(()), |id| Err(not_found(id)))
}

/// `DescribeInstances`: a reservation for each.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    let views = context.region.ledger.read(|state| {
        require(state, &ids)?;
        let chosen = all(state).filter(|(_, _, instance)| ids.is_empty() || ids.contains(&instance.id.as_str()));
        Ok::<_, ApiError>(chosen.map(|one| (view(&context, one), tags(one.0, one.1))).collect())
    })?;
    let mut answer = document::answer(&input, "Instances", FILTERS, views)?;
    let owner = &context.caller.account;
    let reservations: Vec<Value> = answer
        .list("Instances")
        .iter()
        .map(|instance| {
            let id = instance.required("InstanceId").replacen("i-", "r-", 1);
            json!({"ReservationId": id, "OwnerId": owner, "Groups": [], "Instances": [instance]})
        })
        .collect();
    let next = answer["NextToken"].take();
    Ok(json!({"Reservations": reservations, "NextToken": next}))
}

/// `DescribeInstanceStatus`: running ones, unless all are asked for.
pub async fn describe_status(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    let every = input.flag("IncludeAllInstances").unwrap_or(false);
    let views = context.region.ledger.read(|state| {
        require(state, &ids)?;
        let chosen = all(state).filter(|(_, _, instance)| ids.is_empty() || ids.contains(&instance.id.as_str()));
        let fine = json!({"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]});
        Ok::<_, ApiError>(
            chosen
                .map(|(_, _, instance)| {
                    json!({
                        "InstanceId": instance.id, "AvailabilityZone": instance.zone, "InstanceState": status(instance.phase),
                        "InstanceStatus": fine, "SystemStatus": fine,
                    })
                })
                .filter(|view| every || view["InstanceState"].number("Code") == Some(16))
                .map(|view| (view, BTreeMap::new()))
                .collect(),
        )
    })?;
    let filters = [
        ("instance-state-name", "InstanceState.Name"),
        ("availability-zone", "AvailabilityZone"),
        ("instance-status.status", "InstanceStatus.Status"),
    ];
    document::answer(&input, "InstanceStatuses", &filters, views)
}

/// `TerminateInstances`: the machine ends, and the group that wants it makes another.
pub async fn terminate(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    let change = context.region.ledger.change(|state| {
        require(state, &ids)?;
        let mut groups: BTreeMap<_, Nodegroup> = BTreeMap::new();
        let mut answers = Vec::new();
        for (_, group, instance) in all(state).filter(|(_, _, instance)| ids.contains(&instance.id.as_str())) {
            answers.push(json!({
                "InstanceId": instance.id, "PreviousState": status(instance.phase), "CurrentState": status(Phase::Terminating),
            }));
            let key = (group.cluster.clone(), group.name.clone());
            let before = groups.remove(&key).unwrap_or_else(|| group.clone());
            if let Some(after) = before.step(Input::Terminate(instance.id.clone()))? {
                groups.insert(key, after);
            }
        }
        let clusters: Vec<_> = groups.keys().map(|(cluster, _)| cluster.clone()).collect();
        Ok::<_, ApiError>(((answers, clusters), groups.into_values().map(Change::put).collect()))
    });
    let (answers, clusters) = change.await?;
    clusters.iter().for_each(|cluster| context.region.drive(cluster));
    Ok(json!({ "TerminatingInstances": answers }))
}

/// `DescribeNetworkInterfaces`: those of instances and of clusters' control planes.
pub async fn interfaces(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let views = context.region.ledger.read(|state| {
        let of_instances = all(state).flat_map(|one| {
            let mut views = view(&context, one)["NetworkInterfaces"].take();
            if let Some(own) = views.as_array_mut().and_then(|views| views.first_mut()) {
                own["AvailabilityZone"] = one.2.zone.to_string().into();
                own["Attachment"]["InstanceId"] = one.2.id.to_string().into();
                own["Description"] = format!("aws-K8S-{}", one.2.id).into();
            }
            views.as_array().cloned().unwrap_or_default()
        });
        let of_clusters = state.clusters.values().flat_map(|cluster| {
            let addresses = cluster.network.addresses.iter();
            addresses.map(|address| {
                let number = u32::from(*address);
                json!({
                    "NetworkInterfaceId": format!("eni-{number:08x}"), "Description": format!("Amazon EKS {}", cluster.name),
                    "VpcId": cluster.network.vpc_id, "OwnerId": context.caller.account, "PrivateIpAddress": address,
                    "Status": "in-use", "InterfaceType": "interface", "RequesterManaged": true,
                    "Groups": [{"GroupId": cluster.network.cluster_security_group_id}],
                    "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": address}],
                })
            })
        });
        of_instances.chain(of_clusters).map(|view| (view, BTreeMap::new())).collect::<Vec<_>>()
    });
    let filters = [
        ("network-interface-id", "NetworkInterfaceId"),
        ("vpc-id", "VpcId"),
        ("subnet-id", "SubnetId"),
        ("status", "Status"),
        ("description", "Description"),
        ("attachment.instance-id", "Attachment.InstanceId"),
        ("addresses.private-ip-address", "PrivateIpAddresses[].PrivateIpAddress"),
        ("private-ip-address", "PrivateIpAddress"),
        ("group-id", "Groups[].GroupId"),
        ("availability-zone", "AvailabilityZone"),
        ("interface-type", "InterfaceType"),
    ];
    let ids = input.texts("NetworkInterfaceIds");
    let views = views
        .into_iter()
        .filter(|(view, _)| ids.is_empty() || ids.contains(&view.required("NetworkInterfaceId")))
        .collect();
    document::answer(&input, "NetworkInterfaces", &filters, views)
}

/// `DescribeInstanceTypeOfferings`: every type that is known, everywhere.
pub async fn offerings(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let kind = input.text("LocationType").unwrap_or("region");
    let zones = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let locations: Vec<String> = match kind {
        "availability-zone" => zones.iter().map(|(zone, _)| zone.to_string()).collect(),
        "availability-zone-id" => zones.iter().map(|(_, id)| id.clone()).collect(),
        _ => vec![context.region.name.to_string()],
    };
    let all = instance_type::all().iter().flat_map(|known| {
        locations.iter().map(move |location| {
            (
                json!({"InstanceType": known.name, "LocationType": kind, "Location": location}),
                BTreeMap::new(),
            )
        })
    });
    let filters = [("instance-type", "InstanceType"), ("location", "Location")];
    document::answer(&input, "InstanceTypeOfferings", &filters, all.collect())
}
