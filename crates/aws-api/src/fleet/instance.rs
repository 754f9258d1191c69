//! An instance as EC2 remembers it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::time::Time;
use aws_types::{EniId, InstanceId, SubnetId, VpcId, ZoneName, instance_type, region};
use cluster_lifecycle::user_data::Bootstrap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::hold::Hold;
use crate::ec2::{interface, own_image};
use crate::ledger::State;
use crate::members::tag_list;

/// An instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ec2Instance {
    /// Its id.
    pub id: InstanceId,
    /// The reservation that it was launched with.
    pub reservation: String,
    /// Its place in the reservation.
    pub index: i64,
    /// The idempotency token and the request it came with.
    pub token: Option<(String, String)>,
    /// The id of its first network interface.
    pub eni: EniId,
    /// For example `t3.medium`.
    pub instance_type: String,
    /// The image.
    pub image: String,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its zone.
    pub zone: ZoneName,
    /// Its address.
    pub address: Ipv4Addr,
    /// Addresses for pods, when it is to join a cluster.
    pub pod_addresses: Vec<Ipv4Addr>,
    /// Its private name.
    pub node_name: String,
    /// When it was launched, or started last.
    pub launched_at: Timestamp,
    /// Where it is in its life.
    pub state: LifeState,
    /// When it came into that state.
    pub since: Timestamp,
    /// Why, as code and sentence.
    pub reason: Option<(String, String)>,
    /// Security groups by id.
    pub groups: Vec<String>,
    /// The name of its instance profile.
    pub profile: Option<String>,
    /// User data in base64.
    pub user_data: Option<String>,
    /// What its user data says of a cluster.
    pub bootstrap: Option<Bootstrap>,
    /// The cluster whose machine it is, once its machine runs.
    pub joined: Option<String>,
    /// Whether it is a Spot instance.
    pub spot: bool,
    /// The Auto Scaling group that has it.
    pub group: Option<String>,
    /// Whether the group leaves it alone when it shrinks.
    pub protected: bool,
    /// Whether it is in standby in its group.
    pub standby: bool,
    /// The launch template: id, name, version.
    pub template: Option<(String, String, String)>,
    /// The launch configuration that it came from.
    #[serde(default)]
    pub launch_configuration: Option<String>,
    /// Lifecycle actions that it waits for.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Its volumes: device and volume id.
    pub volumes: Vec<(String, String)>,
    /// Other members as answers show them.
    pub details: Value,
    /// Attributes that only `DescribeInstanceAttribute` shows.
    pub attributes: Value,
}

/// Where an instance is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LifeState {
    /// Asked for.
    Pending,
    /// It runs.
    Running,
    /// On its way to be stopped.
    Stopping,
    /// It does not run, and may again.
    Stopped,
    /// On its way out.
    ShuttingDown,
    /// Gone; it is shown for an hour.
    Terminated,
}

impl LifeState {
    /// EC2's name and number of it.
    pub fn view(self) -> Value {
        let (code, name) = match self {
            Self::Pending => (0, "pending"),
            Self::Running => (16, "running"),
            Self::ShuttingDown => (32, "shutting-down"),
            Self::Terminated => (48, "terminated"),
            Self::Stopping => (64, "stopping"),
            Self::Stopped => (80, "stopped"),
        };
        json!({"Code": code, "Name": name})
    }

    /// Whether it has, or will have, a machine.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

impl Ec2Instance {
    /// Changes its state for a reason.
    pub fn become_state(&mut self, state: LifeState, now: Timestamp, reason: Option<(&str, String)>) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
        if let Some((code, message)) = reason {
            self.reason = Some((code.to_owned(), message));
        }
        if state.is_live() {
            self.reason = None;
        }
    }

    /// Whether it still has its network interface and addresses.
    pub fn has_addresses(&self) -> bool {
        self.state != LifeState::Terminated
    }

    fn security_groups(&self, state: &State) -> Value {
        named_groups(state, &self.groups)
    }

    /// Its first network interface, as it shows it.
    pub fn interface(&self, state: &State, owner: &str) -> Value {
        let address = self.address.to_string();
        let first = json!({"Primary": true, "PrivateIpAddress": address, "PrivateDnsName": self.node_name});
        let others = self.pod_addresses.iter();
        let others = others.map(|address| json!({"Primary": false, "PrivateIpAddress": address}));
        json!({
            "NetworkInterfaceId": self.eni, "SubnetId": self.subnet, "VpcId": self.vpc, "OwnerId": owner, "Status": "in-use",
            "PrivateIpAddress": address, "PrivateDnsName": self.node_name, "Groups": self.security_groups(state),
            "PrivateIpAddresses": std::iter::once(first).chain(others).collect::<Vec<_>>(), "Ipv6Addresses": [],
            "InterfaceType": "interface", "SourceDestCheck": self.checks_source(), "MacAddress": mac(self.address),
            "Attachment": {
                "AttachmentId": format!("eni-attach-{}", &self.eni.as_str()[4..]), "DeviceIndex": 0, "NetworkCardIndex": 0,
                "Status": "attached", "AttachTime": Time(self.launched_at), "DeleteOnTermination": true,
            },
        })
    }

    /// Whether packets that are neither from nor to it are dropped, as it was told.
    pub fn checks_source(&self) -> bool {
        self.attributes["SourceDestCheck"].as_bool().unwrap_or(true)
    }

    /// The id of the Spot request that it came with.
    pub fn spot_request(&self) -> String {
        format!("sir-{}", &self.id.as_str()[2..10])
    }

    /// As `DescribeInstances` shows it.
    pub fn view(&self, state: &State, owner: &str) -> Value {
        let kind = instance_type::find(&self.instance_type);
        let architecture = kind.map_or("x86_64", |known| known.architecture);
        let device = own_image::root_device(state, &self.image);
        let mappings: Vec<Value> = self
            .volumes
            .iter()
            .map(|(device, volume)| self.mapping(state, device, volume))
            .collect();
        let mut view = json!({
            "InstanceId": self.id, "ImageId": self.image, "State": self.state.view(), "InstanceType": self.instance_type,
            "LaunchTime": Time(self.launched_at), "Architecture": architecture, "AmiLaunchIndex": self.index,
            "PublicDnsName": "", "RootDeviceName": device, "RootDeviceType": "ebs", "VirtualizationType": "hvm",
            "Hypervisor": "xen", "EnaSupport": true, "EbsOptimized": false, "Monitoring": {"State": "disabled"},
            "Placement": {
                "AvailabilityZone": self.zone, "AvailabilityZoneId": region::zone_id(&self.zone), "Tenancy": "default",
                "GroupName": "",
            },
            "BlockDeviceMappings": mappings, "Tags": tag_list(&self.tags), "ProductCodes": [],
            "ClientToken": self.token.as_ref().map_or("", |(token, _)| token.as_str()), "StateTransitionReason": "",
        });
        if let (Some(all), Some(own)) = (view.as_object_mut(), self.details.as_object()) {
            all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        if let Some((code, message)) = &self.reason {
            view["StateReason"] = json!({"Code": code, "Message": message});
            view["StateTransitionReason"] =
                format!("User initiated ({})", self.since.strftime("%Y-%m-%d %H:%M:%S GMT")).into();
        }
        if self.has_addresses() {
            view["PrivateDnsName"] = self.node_name.as_str().into();
            view["PrivateIpAddress"] = self.address.to_string().into();
            view["SubnetId"] = self.subnet.to_string().into();
            view["VpcId"] = self.vpc.to_string().into();
            view["SourceDestCheck"] = self.checks_source().into();
            view["SecurityGroups"] = self.security_groups(state);
            let further = interface::attached_to(state, self.id.as_str());
            let all = std::iter::once(self.interface(state, owner)).chain(further);
            view["NetworkInterfaces"] = all.collect();
        } else {
            view["PrivateDnsName"] = "".into();
            view["NetworkInterfaces"] = json!([]);
            view["SecurityGroups"] = json!([]);
        }
        if let Some(name) = self.profile.as_ref().and_then(|name| state.instance_profiles.get(name)) {
            view["IamInstanceProfile"] = json!({"Arn": name.arn, "Id": name.id});
        }
        if self.tags.is_empty()
            && let Some(members) = view.as_object_mut()
        {
            members.remove("Tags");
        }
        if self.spot {
            view["InstanceLifecycle"] = "spot".into();
            view["SpotInstanceRequestId"] = self.spot_request().into();
        }
        view
    }

    fn mapping(&self, state: &State, device: &str, volume: &str) -> Value {
        let attachment = state
            .documents
            .get(volume)
            .map(|volume| volume.body["Attachments"][0].clone());
        let attachment = attachment.unwrap_or_default();
        json!({"DeviceName": device, "Ebs": {
            "VolumeId": volume, "Status": attachment["State"].as_str().unwrap_or("attached"),
            "AttachTime": Time(self.launched_at), "DeleteOnTermination": attachment["DeleteOnTermination"].as_bool().unwrap_or(false),
        }})
    }

    /// The reservation around its view.
    pub fn reservation_view(&self, owner: &str, instances: &[Value]) -> Value {
        json!({"ReservationId": self.reservation, "OwnerId": owner, "Groups": [], "Instances": instances})
    }
}

/// Security groups with their names, as answers show them.
pub fn named_groups(state: &State, ids: &[String]) -> Value {
    let name = |id: &String| {
        state
            .documents
            .get(id)
            .and_then(|group| group.body["GroupName"].as_str())
    };
    ids.iter()
        .map(|id| json!({"GroupId": id, "GroupName": name(id).unwrap_or_default()}))
        .collect()
}

/// The hardware address of the interface that has this address, as `vpc-driver` gives it.
pub fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}
