"""Volumes, snapshots and network interfaces by the errors that the EBS CSI driver and the VPC CNI know."""
import boto3

from refusals import refused

ec2 = boto3.client("ec2")
FAST = {"Delay": 1, "MaxAttempts": 60}
ZONE = "ap-northeast-2a"

ec2.create_default_vpc()
subnet = next(s for s in ec2.describe_subnets()["Subnets"] if s["AvailabilityZone"] == ZONE)
image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["al2023-ami-*-x86_64"]}])["Images"][0]["ImageId"]
machine = ec2.run_instances(ImageId=image, InstanceType="t3.small", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": ZONE})["Instances"][0]["InstanceId"]
ec2.get_waiter("instance_running").wait(InstanceIds=[machine], WaiterConfig=FAST)

wanted = dict(AvailabilityZone=ZONE, Size=4, VolumeType="gp3", ClientToken="pv-1", TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "CSIVolumeName", "Value": "pv-1"}]}])
refused("DryRunOperation", 412, ec2.create_volume, **wanted, DryRun=True)
refused("InvalidZone.NotFound", 400, ec2.create_volume, AvailabilityZone="nowhere", Size=1)
refused("InvalidParameterValue", 400, ec2.create_volume, AvailabilityZone=ZONE, Size=1, VolumeType="st1")
refused("InvalidParameterCombination", 400, ec2.create_volume, AvailabilityZone=ZONE, Size=1, VolumeType="gp2", Throughput=200)
volume = ec2.create_volume(**wanted)
assert volume["State"] == "creating" and volume["Iops"] == 3000 and volume["Throughput"] == 125, volume
assert ec2.create_volume(**wanted)["VolumeId"] == volume["VolumeId"]
refused("IdempotentParameterMismatch", 400, ec2.create_volume, **{**wanted, "Size": 5})
id = volume["VolumeId"]
ec2.get_waiter("volume_available").wait(VolumeIds=[id], WaiterConfig=FAST)
assert [v["VolumeId"] for v in ec2.describe_volumes(Filters=[{"Name": "tag:CSIVolumeName", "Values": ["pv-1"]}])["Volumes"]] == [id]
refused("InvalidVolume.NotFound", 400, ec2.describe_volumes, VolumeIds=["vol-00000000"])

refused("InvalidInstanceID.NotFound", 400, ec2.attach_volume, VolumeId=id, InstanceId="i-00000000000000000", Device="/dev/xvdaa")
assert ec2.attach_volume(VolumeId=id, InstanceId=machine, Device="/dev/xvdaa")["State"] == "attaching"
ec2.get_waiter("volume_in_use").wait(VolumeIds=[id], WaiterConfig=FAST)
attachment = ec2.describe_volumes(VolumeIds=[id])["Volumes"][0]["Attachments"][0]
assert attachment["State"] == "attached" and attachment["Device"] == "/dev/xvdaa", attachment
mapped = ec2.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]["BlockDeviceMappings"]
assert [m["DeviceName"] for m in mapped] == ["/dev/xvda", "/dev/xvdaa"], mapped
refused("VolumeInUse", 400, ec2.attach_volume, VolumeId=id, InstanceId=machine, Device="/dev/xvdab")
refused("VolumeInUse", 400, ec2.delete_volume, VolumeId=id)
other = ec2.create_volume(AvailabilityZone=ZONE, Size=1, VolumeType="gp3")["VolumeId"]
assert "already in use" in refused("InvalidParameterValue", 400, ec2.attach_volume, VolumeId=other, InstanceId=machine, Device="/dev/xvdaa")
far = ec2.create_volume(AvailabilityZone="ap-northeast-2b", Size=1)["VolumeId"]
refused("InvalidVolume.ZoneMismatch", 400, ec2.attach_volume, VolumeId=far, InstanceId=machine, Device="/dev/xvdac")

refused("InvalidVolumeModification.NotFound", 400, ec2.describe_volumes_modifications, VolumeIds=[id])
change = ec2.modify_volume(VolumeId=id, Size=8, Iops=4000)["VolumeModification"]
assert change["ModificationState"] == "modifying" and change["TargetSize"] == 8 and change["OriginalSize"] == 4, change
assert ec2.describe_volumes_modifications(VolumeIds=[id])["VolumesModifications"][0]["ModificationState"] == "completed"
refused("InvalidParameterValue", 400, ec2.modify_volume, VolumeId=id, Size=1)
assert ec2.describe_volume_status(VolumeIds=[id])["VolumeStatuses"][0]["VolumeStatus"]["Status"] == "ok"

snapshot = ec2.create_snapshot(VolumeId=id, Description="d", TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "CSIVolumeSnapshotName", "Value": "s"}]}])
assert snapshot["VolumeSize"] == 8 and snapshot["State"] == "pending", snapshot
ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot["SnapshotId"]], WaiterConfig=FAST)
refused("InvalidSnapshot.NotFound", 400, ec2.create_volume, AvailabilityZone=ZONE, SnapshotId="snap-00000000")
assert ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot["SnapshotId"])["Size"] == 8
refused("InvalidParameterValue", 400, ec2.create_volume, AvailabilityZone=ZONE, SnapshotId=snapshot["SnapshotId"], Size=2)
ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
refused("InvalidSnapshot.NotFound", 400, ec2.delete_snapshot, SnapshotId=snapshot["SnapshotId"])

assert ec2.detach_volume(VolumeId=id)["State"] == "detaching"
ec2.get_waiter("volume_available").wait(VolumeIds=[id], WaiterConfig=FAST)
refused("IncorrectState", 400, ec2.detach_volume, VolumeId=id)
ec2.delete_volume(VolumeId=id)
refused("InvalidVolume.NotFound", 400, ec2.delete_volume, VolumeId=id)

free = ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"]
eni = ec2.create_network_interface(SubnetId=subnet["SubnetId"], Description="aws-K8S-x", SecondaryPrivateIpAddressCount=2)["NetworkInterface"]
assert len(eni["PrivateIpAddresses"]) == 3 and eni["Status"] == "available", eni
name = eni["NetworkInterfaceId"]
assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=name, SecondaryPrivateIpAddressCount=2)["AssignedPrivateIpAddresses"]
assert len(assigned) == 2 and ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0]["AvailableIpAddressCount"] == free - 5
ec2.unassign_private_ip_addresses(NetworkInterfaceId=name, PrivateIpAddresses=[assigned[0]["PrivateIpAddress"]])
attached = ec2.attach_network_interface(NetworkInterfaceId=name, InstanceId=machine, DeviceIndex=1)["AttachmentId"]
seen = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [machine]}])["NetworkInterfaces"]
assert sorted(i["Attachment"]["DeviceIndex"] for i in seen) == [0, 1], seen
ec2.modify_network_interface_attribute(NetworkInterfaceId=name, Attachment={"AttachmentId": attached, "DeleteOnTermination": True})
refused("InvalidNetworkInterface.InUse", 400, ec2.delete_network_interface, NetworkInterfaceId=name)
ec2.create_tags(Resources=[name], Tags=[{"Key": "node.k8s.amazonaws.com/instance_id", "Value": machine}])
assert ec2.describe_network_interfaces(Filters=[{"Name": "tag-key", "Values": ["node.k8s.amazonaws.com/instance_id"]}])["NetworkInterfaces"][0]["TagSet"][0]["Value"] == machine
ec2.detach_network_interface(AttachmentId=attached)
ec2.delete_network_interface(NetworkInterfaceId=name)
refused("InvalidNetworkInterfaceID.NotFound", 400, ec2.describe_network_interfaces, NetworkInterfaceIds=[name])
assert "com.amazonaws.ap-northeast-2.s3" in ec2.describe_vpc_endpoint_services()["ServiceNames"]
print("volumes: as AWS")

# Rules of security groups by their ids.
vpc = subnet["VpcId"]
group = ec2.create_security_group(GroupName="rules", Description="d", VpcId=vpc)["GroupId"]
made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])["SecurityGroupRules"][0]["SecurityGroupRuleId"]
ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[{"SecurityGroupRuleId": made, "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 81, "ToPort": 81, "CidrIpv4": "10.0.0.0/8", "Description": "x"}}])
changed = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made])["SecurityGroupRules"][0]
assert changed["FromPort"] == 81 and changed["Description"] == "x", changed
ec2.update_security_group_rule_descriptions_ingress(GroupId=group, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": made, "Description": "y"}])
assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"][0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8", "Description": "y"}]
ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[made])
refused("InvalidSecurityGroupRuleId.NotFound", 400, ec2.describe_security_group_rules, SecurityGroupRuleIds=[made])
ec2.delete_security_group(GroupId=group)
print("rules: as AWS")
