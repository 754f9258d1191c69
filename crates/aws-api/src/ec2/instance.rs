//! Describing instances, those of managed node groups and all others, and their network interfaces.

mod filters;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::time::Time;
use aws_types::{instance_type, region};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Instance, Nodegroup, Phase};
use serde_json::{Value, json};

use super::document::{self, Kind};
use crate::allocation;
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, named_groups};
use crate::ledger::State;
use crate::members::{Members, tag_list};
use crate::operations::Context;
use crate::security;

pub fn status(phase: Phase) -> Value {
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

fn view(context: &Context, state: &State, (cluster, group, instance): (&Cluster, &Nodegroup, &Instance)) -> Value {
    let owner = &context.caller.account;
    let architecture = instance_type::find(&instance.instance_type).map_or("x86_64", |known| known.architecture);
    let groups = named_groups(state, &security::groups_of(cluster, Some(group), instance));
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
        "InstanceId": instance.id, "ImageId": allocation::image_id(group), "State": status(instance.phase),
        "PrivateDnsName": instance.node_name, "PrivateIpAddress": address, "PublicDnsName": "", "InstanceType": instance.instance_type,
        "LaunchTime": Time(instance.launched_at), "Architecture": architecture, "SubnetId": instance.subnet,
        "VpcId": cluster.network.vpc_id, "SecurityGroups": groups, "Tags": tag_list(&tags(cluster, group)),
        "Placement": {
            "AvailabilityZone": instance.zone, "AvailabilityZoneId": region::zone_id(&instance.zone), "Tenancy": "default",
        }, "Monitoring": {"State": "disabled"},
        "RootDeviceName": "/dev/xvda", "RootDeviceType": "ebs", "VirtualizationType": "hvm", "Hypervisor": "xen",
        "AmiLaunchIndex": 0, "SourceDestCheck": true, "EbsOptimized": false,
        "NetworkInterfaces": [{
            "NetworkInterfaceId": instance.eni, "SubnetId": instance.subnet, "VpcId": cluster.network.vpc_id, "OwnerId": owner,
            "PrivateIpAddress": address, "PrivateDnsName": instance.node_name, "Status": "in-use", "Groups": groups,
            "PrivateIpAddresses": addresses, "InterfaceType": "interface", "SourceDestCheck": true,
            "Attachment": {"DeviceIndex": 0, "Status": "attached", "AttachTime": Time(instance.launched_at), "DeleteOnTermination": true},
        }],
    });
    if let Some(access) = &group.remote_access {
        view["KeyName"] = access.key.as_str().into();
    }
    if group.capacity_type == "SPOT" {
        view["InstanceLifecycle"] = "spot".into();
        view["SpotInstanceRequestId"] = format!("sir-{}", &instance.id.as_str()[2..10]).into();
    }
    view
}

/// EC2's answer for an instance that is not there.
pub fn not_found(id: &str) -> ApiError {
    if !id.starts_with("i-") || !id[2..].chars().all(|digit| digit.is_ascii_hexdigit()) {
        return ApiError::bad_request(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"i-...\")"),
        );
    }
    ApiError::bad_request(
        "InvalidInstanceID.NotFound",
        format!("The instance ID '{id}' does not exist"),
    )
}

/// Refuses ids that nobody has, all of them in one sentence.
///
/// # Errors
/// EC2's own.
pub fn require(state: &State, ids: &[&str]) -> Result<(), ApiError> {
    let is_known = |id: &&&str| {
        state.instances.keys().any(|known| known.as_str() == **id)
            || all(state).any(|(_, _, instance)| instance.id.as_str() == **id)
    };
    let unknown: Vec<&str> = ids.iter().filter(|id| !is_known(id)).copied().collect();
    match unknown[..] {
        [] => Ok(()),
        [one] => Err(not_found(one)),
        _ => {
            let message = format!("The instance IDs '{}' do not exist", unknown.join(", "));
            Err(ApiError::bad_request("InvalidInstanceID.NotFound", message))
        }
    }
}

/// An instance's view, made when it is shown.
type View<'a> = Box<dyn FnOnce() -> Value + 'a>;

/// A view with what its reservation says, for filters.
fn reserved(mut view: Value, reservation: &str, owner: &str) -> Value {
    view["_ReservationId"] = reservation.into();
    view["_OwnerId"] = owner.into();
    view
}

/// `DescribeInstances`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    if !ids.is_empty() && input.number("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::bad_request("InvalidParameterCombination", message));
    }
    let owner = context.caller.account.as_str();
    let mut answer = context.region.ledger.read(|state| {
        require(state, &ids)?;
        let chosen = |id: &str| ids.is_empty() || ids.contains(&id);
        let own = state.instances.values().filter(|instance| chosen(instance.id.as_str()));
        let mut own: Vec<&Ec2Instance> = own.collect();
        own.sort_by_key(|instance| (instance.launched_at, &instance.reservation, instance.index));
        let own = own.into_iter().map(|instance| {
            let made = move || reserved(instance.view(state, owner), &instance.reservation, owner);
            let view: View<'_> = Box::new(made);
            (view, instance.tags.clone())
        });
        let groups = all(state).filter(|(_, _, instance)| chosen(instance.id.as_str()));
        let context = &context;
        let groups = groups.map(|one| {
            let reservation = one.2.id.as_str().replacen("i-", "r-", 1);
            let made: View<'_> = Box::new(move || reserved(view(context, state, one), &reservation, owner));
            (made, tags(one.0, one.1))
        });
        document::answer_of(&input, "Instances", filters::INSTANCES, groups.chain(own))
    })?;
    let mut found: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let Value::Array(instances) = answer["Instances"].take() else {
        return Err(ApiError::internal("no instances in an answer"));
    };
    for mut instance in instances {
        let reservation = instance.required("_ReservationId").to_owned();
        if let Some(members) = instance.as_object_mut() {
            members.retain(|name, _| !name.starts_with('_'));
        }
        let place = *places.entry(reservation.clone()).or_insert(found.len());
        match found.get_mut(place) {
            Some((_, together)) => together.push(instance),
            None => found.push((reservation, vec![instance])),
        }
    }
    let found: Vec<Value> = found
        .into_iter()
        .map(|(id, instances)| json!({"ReservationId": id, "OwnerId": owner, "Groups": [], "Instances": instances}))
        .collect();
    let next = answer["NextToken"].take();
    Ok(json!({"Reservations": found, "NextToken": next}))
}

/// `DescribeInstanceStatus`: running ones, unless all are asked for.
pub async fn describe_status(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let ids = input.texts("InstanceIds");
    let every = input.flag("IncludeAllInstances").unwrap_or(false);
    let views = context.region.ledger.read(|state| {
        require(state, &ids)?;
        let groups = all(state).map(|(_, _, instance)| (&instance.id, &instance.zone, status(instance.phase)));
        let own = state
            .instances
            .values()
            .map(|instance| (&instance.id, &instance.zone, instance.state.view()));
        let chosen = groups
            .chain(own)
            .filter(|(id, ..)| ids.is_empty() || ids.contains(&id.as_str()));
        let fine = json!({"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]});
        let none = json!({"Status": "not-applicable"});
        Ok::<_, ApiError>(
            chosen
                .map(|(id, zone, state)| {
                    let checks = if state.number("Code") == Some(16) { &fine } else { &none };
                    json!({
                        "InstanceId": id, "AvailabilityZone": zone, "InstanceState": state, "InstanceStatus": checks,
                        "SystemStatus": checks, "Events": [], "AvailabilityZoneId": region::zone_id(zone),
                    })
                })
                .filter(|view| every || view["InstanceState"].number("Code") == Some(16))
                .map(|view| (view, BTreeMap::new()))
                .collect(),
        )
    })?;
    let filters = [
        ("instance-state-code", "InstanceState.Code"),
        ("instance-state-name", "InstanceState.Name"),
        ("availability-zone", "AvailabilityZone"),
        ("availability-zone-id", "AvailabilityZoneId"),
        ("instance-status.status", "InstanceStatus.Status"),
        ("instance-status.reachability", "InstanceStatus.Details[].Status"),
        ("system-status.status", "SystemStatus.Status"),
        ("system-status.reachability", "SystemStatus.Details[].Status"),
        ("event.code", "Events[].Code"),
        ("event.description", "Events[].Description"),
        ("event.instance-event-id", "Events[].InstanceEventId"),
        ("event.not-after", "Events[].NotAfter"),
        ("event.not-before", "Events[].NotBefore"),
    ];
    document::answer(&input, "InstanceStatuses", &filters, views)
}

/// An interface of a cluster's control plane.
fn cluster_interface(state: &State, cluster: &Cluster, address: Ipv4Addr, owner: &str) -> Value {
    let network = &cluster.network;
    let number = u32::from(address);
    let groups: Vec<String> = network
        .security_group_ids
        .iter()
        .chain([&network.cluster_security_group_id])
        .cloned()
        .collect();
    json!({
        "NetworkInterfaceId": format!("eni-{number:08x}"), "Description": format!("Amazon EKS {}", cluster.name),
        "VpcId": network.vpc_id, "OwnerId": owner, "PrivateIpAddress": address,
        "Status": "in-use", "InterfaceType": "interface", "RequesterManaged": true, "Groups": named_groups(state, &groups),
        "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": address}],
    })
}

/// `DescribeNetworkInterfaces`: those of instances and of clusters' control planes.
pub async fn interfaces(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let views = context.region.ledger.read(|state| {
        let of_instances = all(state).flat_map(|one| {
            let mut views = view(&context, state, one)["NetworkInterfaces"].take();
            if let Some(own) = views.as_array_mut().and_then(|views| views.first_mut()) {
                own["AvailabilityZone"] = one.2.zone.to_string().into();
                own["Attachment"]["InstanceId"] = one.2.id.to_string().into();
                own["Description"] = format!("aws-K8S-{}", one.2.id).into();
            }
            views.as_array().cloned().unwrap_or_default()
        });
        let owner = context.caller.account.as_str();
        let of_clusters = state.clusters.values().flat_map(|cluster| {
            let addresses = cluster.network.addresses.iter();
            addresses.map(|address| cluster_interface(state, cluster, *address, owner))
        });
        let own = state
            .instances
            .values()
            .filter(|instance| instance.has_addresses())
            .map(|instance| {
                let mut view = instance.interface(state, owner);
                view["AvailabilityZone"] = instance.zone.to_string().into();
                view["Attachment"]["InstanceId"] = instance.id.to_string().into();
                view["Attachment"]["InstanceOwnerId"] = owner.into();
                view["Description"] = "".into();
                view["TagSet"] = json!([]);
                view
            });
        let made = document::of_kind(state, Kind::NetworkInterface).map(super::interface::shown);
        let untagged = of_instances
            .chain(of_clusters)
            .chain(own)
            .map(|view| (view, BTreeMap::new()));
        untagged.chain(made).collect::<Vec<_>>()
    });
    let ids = input.texts("NetworkInterfaceIds");
    let unknown = ids.iter().find(|id| {
        !views
            .iter()
            .any(|(view, _)| view.text("NetworkInterfaceId") == Some(**id))
    });
    if let Some(id) = unknown {
        return Err(Kind::NetworkInterface.not_found(id));
    }
    let views = views
        .into_iter()
        .filter(|(view, _)| ids.is_empty() || ids.contains(&view.required("NetworkInterfaceId")))
        .collect();
    document::answer(&input, "NetworkInterfaces", filters::INTERFACES, views)
}
