"""Instances, fleets and Auto Scaling groups of a user's own: launched, joined to a cluster, rested, replaced, ended."""
import base64
import datetime
import json
import time

import boto3

from refusals import refused

ec2, asg, eks, iam, ssm = (boto3.client(name) for name in ("ec2", "autoscaling", "eks", "iam", "ssm"))
FAST = {"Delay": 1, "MaxAttempts": 60}
ACCOUNT = boto3.client("sts").get_caller_identity()["Account"]


def until(what, look):
    for _ in range(300):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: {look()}")


def instances(*ids, **filters):
    wanted = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    found = ec2.describe_instances(InstanceIds=list(ids), Filters=wanted)["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


# Images: EKS's by parameter and by name.
image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["amazon-eks-node-al2023-x86_64-standard-1.33-*"]}])["Images"][0]["ImageId"]
found = ec2.describe_images(ImageIds=[image])["Images"][0]
assert found["Name"] == "amazon-eks-node-al2023-x86_64-standard-1.33-v20261101" and found["Architecture"] == "x86_64" and found["ImageOwnerAlias"] == "amazon", found
assert [i["ImageId"] for i in ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "name", "Values": ["amazon-eks-node-al2023-x86_64-standard-1.33-*"]}])["Images"]] == [image]
refused("InvalidAMIID.NotFound", 400, ec2.describe_images, ImageIds=["ami-00000000"])
refused("InvalidAMIID.Malformed", 400, ec2.describe_images, ImageIds=["image"])

# Without a default VPC a launch must name a subnet.
refused("VPCIdNotSpecified", 400, ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.medium")
vpc = ec2.create_default_vpc()["Vpc"]
assert vpc["IsDefault"] and vpc["CidrBlock"] == "172.31.0.0/16", vpc
refused("DefaultVpcAlreadyExists", 400, ec2.create_default_vpc)
subnets = sorted(ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"], key=lambda s: s["AvailabilityZone"])
assert len(subnets) == 4 and all(s["MapPublicIpOnLaunch"] for s in subnets), subnets
ids = [s["SubnetId"] for s in subnets]

# Launching: errors first, then one, then as many as there is room for.
plain = dict(ImageId=image, InstanceType="t3.medium", MinCount=1, MaxCount=1, SubnetId=ids[0])
refused("DryRunOperation", 412, ec2.run_instances, **plain, DryRun=True)
refused("InvalidAMIID.NotFound", 400, ec2.run_instances, **{**plain, "ImageId": "ami-00000000"}, DryRun=True)
refused("InvalidParameterValue", 400, ec2.run_instances, **{**plain, "InstanceType": "t3.huge"})
refused("InvalidParameterValue", 400, ec2.run_instances, **{**plain, "InstanceType": "t4g.medium"})
refused("InvalidSubnetID.NotFound", 400, ec2.run_instances, **{**plain, "SubnetId": "subnet-00000000"})
refused("InvalidGroup.NotFound", 400, ec2.run_instances, **plain, SecurityGroupIds=["sg-00000000"])
refused("InvalidKeyPair.NotFound", 400, ec2.run_instances, **plain, KeyName="none")
refused("InvalidParameterValue", 400, ec2.run_instances, **plain, IamInstanceProfile={"Name": "none"})
refused("InvalidParameterValue", 400, ec2.run_instances, **{**plain, "MaxCount": 0})
tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]}, {"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "one"}]}]
made = ec2.run_instances(**plain, TagSpecifications=tags, ClientToken="once", BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}])
one = made["Instances"][0]
assert made["OwnerId"] == ACCOUNT and one["State"] == {"Code": 0, "Name": "pending"} and one["SubnetId"] == ids[0] and one["Placement"]["AvailabilityZone"] == "ap-northeast-2a", one
assert one["PrivateDnsName"].startswith("ip-172-31-0-") and one["SecurityGroups"][0]["GroupName"] == "default" and one["Tags"] == [{"Key": "Name", "Value": "one"}], one
again = ec2.run_instances(**plain, TagSpecifications=tags, ClientToken="once", BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30}}])
assert [i["InstanceId"] for i in again["Instances"]] == [one["InstanceId"]]
refused("IdempotentParameterMismatch", 400, ec2.run_instances, **plain, ClientToken="once")
first = one["InstanceId"]
ec2.get_waiter("instance_running").wait(InstanceIds=[first], WaiterConfig=FAST)
ec2.get_waiter("instance_status_ok").wait(InstanceIds=[first], WaiterConfig=FAST)
root = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [first]}])["Volumes"][0]
assert root["Size"] == 30 and root["State"] == "in-use" and root["Tags"] == [{"Key": "of", "Value": "one"}], root
assert instances(first)[0]["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] == root["VolumeId"]
eni = ec2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [first]}])["NetworkInterfaces"][0]
assert eni["PrivateIpAddress"] == one["PrivateIpAddress"] and eni["Attachment"]["DeviceIndex"] == 0, eni
three = ec2.run_instances(**{**plain, "MinCount": 2, "MaxCount": 3})
assert len(three["Instances"]) == 3 and [i["AmiLaunchIndex"] for i in three["Instances"]] == [0, 1, 2]
assert len(ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])["Reservations"]) == 2
ec2.create_tags(Resources=[first], Tags=[{"Key": "team", "Value": "a"}])
assert [i["InstanceId"] for i in instances(**{"tag:team": ["a"]})] == [first]

# Rest and end.
assert ec2.stop_instances(InstanceIds=[first])["StoppingInstances"][0]["CurrentState"]["Name"] == "stopping"
ec2.get_waiter("instance_stopped").wait(InstanceIds=[first], WaiterConfig=FAST)
ec2.modify_instance_attribute(InstanceId=first, InstanceType={"Value": "t3.large"})
assert ec2.start_instances(InstanceIds=[first])["StartingInstances"][0]["PreviousState"]["Name"] == "stopped"
ec2.get_waiter("instance_running").wait(InstanceIds=[first], WaiterConfig=FAST)
refused("IncorrectInstanceState", 400, ec2.modify_instance_attribute, InstanceId=first, InstanceType={"Value": "t3.medium"})
ec2.reboot_instances(InstanceIds=[first])
ec2.modify_instance_attribute(InstanceId=first, DisableApiTermination={"Value": True})
assert ec2.describe_instance_attribute(InstanceId=first, Attribute="disableApiTermination")["DisableApiTermination"]["Value"]
refused("OperationNotPermitted", 400, ec2.terminate_instances, InstanceIds=[first])
ec2.modify_instance_attribute(InstanceId=first, DisableApiTermination={"Value": False})
refused("InvalidInstanceID.NotFound", 400, ec2.terminate_instances, InstanceIds=["i-00000000000000000"])
refused("InvalidInstanceID.Malformed", 400, ec2.describe_instances, InstanceIds=["x"])
everything = [i["InstanceId"] for i in three["Instances"]] + [first]
assert {i["CurrentState"]["Name"] for i in ec2.terminate_instances(InstanceIds=everything)["TerminatingInstances"]} == {"shutting-down"}
ec2.get_waiter("instance_terminated").wait(InstanceIds=everything, WaiterConfig=FAST)
assert ec2.describe_volumes()["Volumes"] == [], "root volumes go with their instances"
gone = instances(first)[0]
assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown" and "PrivateIpAddress" not in gone, gone

# A cluster, and a role that may be a node.
trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
role = iam.create_role(RoleName="node", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
iam.create_instance_profile(InstanceProfileName="node")
iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
eks.create_cluster(name="demo", roleArn=f"arn:aws:iam::{ACCOUNT}:role/cluster", version="1.33", resourcesVpcConfig={"subnetIds": ids[:2]}, accessConfig={"authenticationMode": "API"})
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
config = """MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="//"

--//
Content-Type: application/node.eks.aws

apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  cluster: {name: demo, apiServerEndpoint: "https://127.0.0.1:6443", certificateAuthority: eA==, cidr: 172.20.0.0/16}
  kubelet:
    config: {maxPods: 11}
    flags: ["--node-labels=team=a,karpenter.sh/nodepool=default", "--register-with-taints=karpenter.sh/unregistered:NoExecute"]
--//--
"""
data = base64.b64encode(config.encode()).decode()
template = ec2.create_launch_template(LaunchTemplateName="karpenter.k8s.aws/7", LaunchTemplateData={
    "ImageId": image, "UserData": data, "IamInstanceProfile": {"Name": "node"}, "MetadataOptions": {"HttpTokens": "required"},
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}],
})["LaunchTemplate"]

# A fleet: the cheapest choice first, errors for choices that cannot be had, and the whole count.
choices = [{"InstanceType": "m5.large", "SubnetId": ids[0]}, {"InstanceType": "t3.medium", "SubnetId": ids[1]}, {"InstanceType": "t3.small", "SubnetId": "subnet-00000000"}]
wanted = dict(Type="instant", LaunchTemplateConfigs=[{"LaunchTemplateSpecification": {"LaunchTemplateName": "karpenter.k8s.aws/7", "Version": "$Latest"}, "Overrides": choices}],
              TargetCapacitySpecification={"TotalTargetCapacity": 2, "DefaultTargetCapacityType": "spot"}, SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
              TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "karpenter.sh/nodepool", "Value": "default"}]}, {"ResourceType": "fleet", "Tags": [{"Key": "f", "Value": "g"}]}])
refused("DryRunOperation", 412, ec2.create_fleet, **wanted, DryRun=True)
refused("InvalidLaunchTemplateName.NotFoundException", 400, ec2.create_fleet, **{**wanted, "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"LaunchTemplateName": "none", "Version": "1"}}]})
fleet = ec2.create_fleet(**wanted)
got = fleet["Instances"][0]
assert len(fleet["Instances"]) == 1 and len(got["InstanceIds"]) == 2 and got["InstanceType"] == "t3.medium" and got["Lifecycle"] == "spot", fleet
assert got["LaunchTemplateAndOverrides"]["Overrides"]["SubnetId"] == ids[1], got
assert fleet["Errors"][0]["ErrorCode"] == "InvalidSubnetID.NotFound", fleet
nodes = instances(*got["InstanceIds"])
assert all(i["InstanceLifecycle"] == "spot" and i["SpotInstanceRequestId"].startswith("sir-") for i in nodes)
expected = {"karpenter.sh/nodepool": "default", "from": "template", "aws:ec2:fleet-id": fleet["FleetId"]}
shown = {t["Key"]: t["Value"] for t in nodes[0]["Tags"]}
# The launch template is told by two tags.
assert shown.pop("aws:ec2launchtemplate:id").startswith("lt-") and shown.pop("aws:ec2launchtemplate:version") == "1", nodes[0]["Tags"]
assert shown == expected, nodes[0]["Tags"]
assert ec2.describe_fleets(FleetIds=[fleet["FleetId"]])["Fleets"][0]["Tags"] == [{"Key": "f", "Value": "g"}]

# The nodes join when an access entry lets their role in, and go with their instances.
print("JOIN", " ".join(got["InstanceIds"]), flush=True)
eks.create_access_entry(clusterName="demo", principalArn=role, type="EC2_LINUX")
with open("instances.txt", "w") as file:
    file.write(" ".join(got["InstanceIds"]))

# An Auto Scaling group keeps its size over its zones.
refused("ValidationError", 400, asg.create_auto_scaling_group, AutoScalingGroupName="g", MinSize=1, MaxSize=3, VPCZoneIdentifier=",".join(ids[:2]))
refused("ValidationError", 400, asg.create_launch_configuration, LaunchConfigurationName="l", ImageId=image)
asg.create_auto_scaling_group(AutoScalingGroupName="g", MinSize=1, MaxSize=4, DesiredCapacity=2, VPCZoneIdentifier=",".join(ids[:2]),
                              MixedInstancesPolicy={"LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": template["LaunchTemplateId"], "Version": "$Latest"},
                                                                       "Overrides": [{"InstanceType": "t3.small"}, {"InstanceType": "t3.medium"}]}},
                              Tags=[{"Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true", "PropagateAtLaunch": True}, {"Key": "own", "Value": "x", "PropagateAtLaunch": False}])
refused("AlreadyExists", 400, asg.create_auto_scaling_group, AutoScalingGroupName="g", MinSize=1, MaxSize=4, VPCZoneIdentifier=ids[0], LaunchTemplate={"LaunchTemplateName": "karpenter.k8s.aws/7"})


def group():
    return asg.describe_auto_scaling_groups(AutoScalingGroupNames=["g"])["AutoScalingGroups"][0]


def settled(size):
    def look():
        live = group()["Instances"]
        return live if len(live) == size and {i["LifecycleState"] for i in live} == {"InService"} else None
    return until(f"group of {size}", look)


live = settled(2)
assert {i["AvailabilityZone"] for i in live} == {"ap-northeast-2a", "ap-northeast-2b"} and {i["InstanceType"] for i in live} == {"t3.small"}, live
shown = {t["Key"]: t["Value"] for t in instances(live[0]["InstanceId"])[0]["Tags"]}
assert shown["aws:autoscaling:groupName"] == "g" and shown["k8s.io/cluster-autoscaler/enabled"] == "true" and "own" not in shown, shown
assert [g["AutoScalingGroupName"] for g in asg.describe_auto_scaling_groups(Filters=[{"Name": "tag-key", "Values": ["own"]}])["AutoScalingGroups"]] == ["g"]
refused("ValidationError", 400, asg.set_desired_capacity, AutoScalingGroupName="g", DesiredCapacity=9)
asg.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=4)
settled(4)
ended = asg.terminate_instance_in_auto_scaling_group(InstanceId=live[0]["InstanceId"], ShouldDecrementDesiredCapacity=True)["Activity"]
assert ended["Description"] == f"Terminating EC2 instance: {live[0]['InstanceId']}", ended
assert live[0]["InstanceId"] not in [i["InstanceId"] for i in settled(3)] and group()["DesiredCapacity"] == 3
ec2.terminate_instances(InstanceIds=[live[1]["InstanceId"]])
until("a lost instance is replaced", lambda: live[1]["InstanceId"] not in [i["InstanceId"] for i in settled(3)])
activities = asg.describe_scaling_activities(AutoScalingGroupName="g")["Activities"]
assert len(activities) >= 6 and {a["StatusCode"] for a in activities} == {"Successful"}, activities
asg.suspend_processes(AutoScalingGroupName="g", ScalingProcesses=["Launch"])
assert [p["ProcessName"] for p in group()["SuspendedProcesses"]] == ["Launch"]
asg.resume_processes(AutoScalingGroupName="g")
kept = settled(3)[0]["InstanceId"]
asg.set_instance_protection(AutoScalingGroupName="g", InstanceIds=[kept], ProtectedFromScaleIn=True)
asg.update_auto_scaling_group(AutoScalingGroupName="g", MinSize=1, DesiredCapacity=1)
assert [i["InstanceId"] for i in settled(1)] == [kept]
asg.put_lifecycle_hook(AutoScalingGroupName="g", LifecycleHookName="h", LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING", HeartbeatTimeout=60)
assert asg.describe_lifecycle_hooks(AutoScalingGroupName="g")["LifecycleHooks"][0]["DefaultResult"] == "ABANDON"
asg.enter_standby(AutoScalingGroupName="g", InstanceIds=[kept], ShouldDecrementDesiredCapacity=False)
until("a standby is stood in for", lambda: len(group()["Instances"]) == 2)
asg.detach_instances(AutoScalingGroupName="g", InstanceIds=[kept], ShouldDecrementDesiredCapacity=False)
assert kept in [i["InstanceId"] for i in instances(instance_state_name=["running"])]
refused("ResourceInUse", 400, asg.delete_auto_scaling_group, AutoScalingGroupName="g")
asg.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
until("the group goes", lambda: not asg.describe_auto_scaling_groups(AutoScalingGroupNames=["g"])["AutoScalingGroups"])
assert asg.describe_tags()["Tags"] == []

# A group of a launch configuration: policies size it, new instances take the place of old ones, and instances wait for hooks.
sqs = boto3.client("sqs")
queue = sqs.create_queue(QueueName="hooks")["QueueUrl"]
queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
asg.create_launch_configuration(LaunchConfigurationName="l", ImageId=image, InstanceType="t3.small", SecurityGroups=[])
refused("AlreadyExists", 400, asg.create_launch_configuration, LaunchConfigurationName="l", ImageId=image, InstanceType="t3.small")
asg.create_auto_scaling_group(AutoScalingGroupName="g", MinSize=1, MaxSize=4, DesiredCapacity=2, VPCZoneIdentifier=ids[0], LaunchConfigurationName="l")
first = [i["InstanceId"] for i in settled(2)]
assert group()["LaunchConfigurationName"] == "l" and settled(2)[0]["LaunchConfigurationName"] == "l", group()
refused("ResourceInUse", 400, asg.delete_launch_configuration, LaunchConfigurationName="l")
policy = asg.put_scaling_policy(AutoScalingGroupName="g", PolicyName="up", AdjustmentType="PercentChangeInCapacity", ScalingAdjustment=10)["PolicyARN"]
asg.execute_policy(PolicyName=policy)
settled(3)
refused("ScalingActivityInProgress", 400, asg.execute_policy, AutoScalingGroupName="g", PolicyName="up", HonorCooldown=True)
asg.put_scaling_policy(AutoScalingGroupName="g", PolicyName="steps", PolicyType="StepScaling", AdjustmentType="ChangeInCapacity",
                       StepAdjustments=[{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -1}, {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 5}])
asg.execute_policy(AutoScalingGroupName="g", PolicyName="steps", MetricValue=10, BreachThreshold=50)
settled(2)
assert {p["PolicyName"] for p in asg.describe_policies(AutoScalingGroupName="g")["ScalingPolicies"]} == {"up", "steps"}
first = {i["InstanceId"] for i in settled(2)}
asg.suspend_processes(AutoScalingGroupName="g", ScalingProcesses=["InstanceRefresh"])
refresh = asg.start_instance_refresh(AutoScalingGroupName="g", Preferences={"MinHealthyPercentage": 50})["InstanceRefreshId"]
refused("InstanceRefreshInProgress", 400, asg.start_instance_refresh, AutoScalingGroupName="g")
asg.resume_processes(AutoScalingGroupName="g", ScalingProcesses=["InstanceRefresh"])


def refreshed():
    return asg.describe_instance_refreshes(AutoScalingGroupName="g", InstanceRefreshIds=[refresh])["InstanceRefreshes"][0]


until("the refresh", lambda: refreshed()["Status"] == "Successful")
assert refreshed()["PercentageComplete"] == 100 and not first & {i["InstanceId"] for i in settled(2)}, refreshed()
for name, way in (("up", "LAUNCHING"), ("down", "TERMINATING")):
    asg.put_lifecycle_hook(AutoScalingGroupName="g", LifecycleHookName=name, LifecycleTransition=f"autoscaling:EC2_INSTANCE_{way}", HeartbeatTimeout=600, NotificationTargetARN=queue_arn)
asg.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=3)


def waiting(state):
    return until(state, lambda: [i["InstanceId"] for i in group()["Instances"] if i["LifecycleState"] == state])[0]


new = waiting("Pending:Wait")
told = json.loads(until("a message", lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]["Body"])
assert told["EC2InstanceId"] == new and told["LifecycleHookName"] == "up", told
refused("ValidationError", 400, asg.complete_lifecycle_action, AutoScalingGroupName="g", LifecycleHookName="down", InstanceId=new, LifecycleActionResult="CONTINUE")
asg.record_lifecycle_action_heartbeat(AutoScalingGroupName="g", LifecycleHookName="up", InstanceId=new)
asg.complete_lifecycle_action(AutoScalingGroupName="g", LifecycleHookName="up", LifecycleActionToken=told["LifecycleActionToken"], LifecycleActionResult="CONTINUE")
settled(3)
asg.terminate_instance_in_auto_scaling_group(InstanceId=new, ShouldDecrementDesiredCapacity=True)
assert waiting("Terminating:Wait") == new and instances(new)[0]["State"]["Name"] == "running"
asg.complete_lifecycle_action(AutoScalingGroupName="g", LifecycleHookName="down", InstanceId=new, LifecycleActionResult="CONTINUE")
settled(2)
for name in ("up", "down"):
    asg.delete_lifecycle_hook(AutoScalingGroupName="g", LifecycleHookName=name)
soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
asg.put_scheduled_update_group_action(AutoScalingGroupName="g", ScheduledActionName="soon", StartTime=soon, DesiredCapacity=1)
assert asg.describe_scheduled_actions(AutoScalingGroupName="g")["ScheduledUpdateGroupActions"][0]["DesiredCapacity"] == 1
settled(1)
assert asg.describe_scheduled_actions()["ScheduledUpdateGroupActions"] == []
asg.put_warm_pool(AutoScalingGroupName="g", MinSize=1)
assert asg.describe_warm_pool(AutoScalingGroupName="g")["WarmPoolConfiguration"] == {"MinSize": 1, "PoolState": "Stopped"}
asg.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
until("the group goes", lambda: not asg.describe_auto_scaling_groups(AutoScalingGroupNames=["g"])["AutoScalingGroups"])
asg.delete_launch_configuration(LaunchConfigurationName="l")

# What is offered.
assert len(ec2.describe_spot_price_history(InstanceTypes=["t3.medium"], ProductDescriptions=["Linux/UNIX"])["SpotPriceHistory"]) == 4
kinds = ec2.describe_instance_types(Filters=[{"Name": "processor-info.supported-architecture", "Values": ["arm64"]}, {"Name": "supported-virtualization-type", "Values": ["hvm"]}], MaxResults=100)["InstanceTypes"]
assert kinds and all(k["NetworkInfo"]["NetworkCards"] and k["Hypervisor"] == "nitro" for k in kinds), kinds[0]
refused("DryRunOperation", 412, ec2.describe_instance_types, DryRun=True)
medium = ec2.get_instance_types_from_instance_requirements(ArchitectureTypes=["x86_64"], VirtualizationTypes=["hvm"], InstanceRequirements={"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192, "Max": 8192}})["InstanceTypes"]
assert "m5.large" in [k["InstanceType"] for k in medium] and not [k for k in medium if k["InstanceType"].startswith("t")], medium
assert ec2.describe_capacity_reservations()["CapacityReservations"] == [] and ec2.describe_placement_groups()["PlacementGroups"] == []
print("instances: as AWS")
