"""Add-ons, versions, configuration, Fargate profiles, insights, Auto Scaling groups of a cluster."""
import json
import time

import boto3

from refusals import refused

ec2, eks, asg = (boto3.client(name) for name in ("ec2", "eks", "autoscaling"))
FAST = {"Delay": 1, "MaxAttempts": 60}


def finished(update, **named):
    for _ in range(120):
        found = eks.describe_update(name="demo", updateId=update["id"], **named)["update"]
        if found["status"] != "InProgress":
            return found
        time.sleep(0.5)
    raise AssertionError(found)


vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n * 32}.0/19", AvailabilityZone=f"ap-northeast-2{z}")["Subnet"]["SubnetId"] for n, z in enumerate("ab")]
role = "arn:aws:iam::000000000000:role/cluster"
eks.create_cluster(name="demo", roleArn=role, version="1.32", resourcesVpcConfig={"subnetIds": subnets})
refused("InvalidRequestException", 400, eks.create_access_entry, clusterName="demo", principalArn=role)
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
own = eks.describe_cluster(name="demo")["cluster"]["resourcesVpcConfig"]["clusterSecurityGroupId"]
group = ec2.describe_security_groups(GroupIds=[own])["SecurityGroups"][0]
assert group["GroupName"].startswith("eks-cluster-sg-demo-") and {"Key": "kubernetes.io/cluster/demo", "Value": "owned"} in group["Tags"], group

# Add-ons.
offered = {a["addonName"]: a for a in eks.describe_addon_versions(kubernetesVersion="1.32")["addons"]}
assert {"vpc-cni", "coredns", "kube-proxy", "metrics-server"} <= set(offered), offered.keys()
default = [v["addonVersion"] for v in offered["coredns"]["addonVersions"] if v["compatibilities"][0]["defaultVersion"]]
assert len(default) == 1, offered["coredns"]
schema = eks.describe_addon_configuration(addonName="coredns", addonVersion=default[0])["configurationSchema"]
assert "replicaCount" in json.loads(schema)["properties"]
refused("InvalidParameterException", 400, eks.create_addon, clusterName="demo", addonName="nothing")
refused("InvalidParameterException", 400, eks.create_addon, clusterName="demo", addonName="coredns", addonVersion="v0")
refused("InvalidParameterException", 400, eks.create_addon, clusterName="demo", addonName="coredns", configurationValues='{"x": 1}')
made = eks.create_addon(clusterName="demo", addonName="coredns", configurationValues='{"replicaCount": 3}')["addon"]
assert made["status"] == "CREATING" and made["addonVersion"] == default[0] and made["addonArn"].startswith("arn:aws:eks:ap-northeast-2:000000000000:addon/demo/coredns/"), made
eks.get_waiter("addon_active").wait(clusterName="demo", addonName="coredns", WaiterConfig=FAST)
refused("ResourceInUseException", 409, eks.create_addon, clusterName="demo", addonName="coredns")
assert eks.list_addons(clusterName="demo")["addons"] == ["coredns"]
update = eks.update_addon(clusterName="demo", addonName="coredns", configurationValues='{"replicaCount": 2}', resolveConflicts="OVERWRITE")["update"]
assert update["type"] == "AddonUpdate", update
assert finished(update, addonName="coredns")["status"] == "Successful"
assert eks.list_updates(name="demo", addonName="coredns")["updateIds"] == [update["id"]]
assert eks.delete_addon(clusterName="demo", addonName="coredns")["addon"]["status"] == "DELETING"
eks.get_waiter("addon_deleted").wait(clusterName="demo", addonName="coredns", WaiterConfig=FAST)
refused("ResourceNotFoundException", 404, eks.describe_addon, clusterName="demo", addonName="coredns")

# Configuration.
refused("InvalidParameterException", 400, eks.update_cluster_config, name="demo")
refused("InvalidParameterException", 400, eks.update_cluster_config, name="demo", deletionProtection=True, upgradePolicy={"supportType": "STANDARD"})
refused("InvalidParameterException", 400, eks.update_cluster_config, name="demo", resourcesVpcConfig={"endpointPublicAccess": False})
refused("InvalidParameterException", 400, eks.update_cluster_config, name="demo", accessConfig={"authenticationMode": "API"})
update = eks.update_cluster_config(name="demo", resourcesVpcConfig={"endpointPrivateAccess": True, "publicAccessCidrs": ["10.0.0.0/8"]})["update"]
assert update["type"] == "EndpointAccessUpdate" and finished(update)["status"] == "Successful", update
finished(eks.update_cluster_config(name="demo", logging={"clusterLogging": [{"types": ["api"], "enabled": True}]})["update"])
finished(eks.update_cluster_config(name="demo", accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})["update"])
finished(eks.update_cluster_config(name="demo", deletionProtection=True)["update"])
refused("InvalidRequestException", 400, eks.delete_cluster, name="demo")
finished(eks.update_cluster_config(name="demo", deletionProtection=False)["update"])
cluster = eks.describe_cluster(name="demo")["cluster"]
assert cluster["resourcesVpcConfig"]["publicAccessCidrs"] == ["10.0.0.0/8"] and cluster["logging"]["clusterLogging"][0] == {"types": ["api"], "enabled": True}, cluster
assert cluster["accessConfig"]["authenticationMode"] == "API_AND_CONFIG_MAP"

# Upgrades: the control plane, then the nodes, with new ones first.
template = ec2.create_launch_template(LaunchTemplateName="demo/nodes", LaunchTemplateData={"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 80}}]})["LaunchTemplate"]
wanted = dict(clusterName="demo", nodegroupName="workers", subnets=subnets, nodeRole="arn:aws:iam::000000000000:role/nodes", scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 2},
              launchTemplate={"id": template["LaunchTemplateId"], "version": "1"})
refused("InvalidParameterException", 400, eks.create_nodegroup, **wanted, diskSize=30)
made = eks.create_nodegroup(**wanted)["nodegroup"]
assert made["launchTemplate"] == {"name": "demo/nodes", "version": "1", "id": template["LaunchTemplateId"]}, made
eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
assert "arn:aws:iam::000000000000:role/nodes" in eks.list_access_entries(clusterName="demo")["accessEntries"]
# eksctl asks for versions of an empty type.
assert eks.describe_cluster_versions(clusterType="")["clusterVersions"] == eks.describe_cluster_versions()["clusterVersions"] != []
refused("InvalidParameterException", 400, eks.update_cluster_version, name="demo", version="1.34")
refused("InvalidParameterException", 400, eks.update_cluster_version, name="demo", version="1.32")
refused("InvalidParameterException", 400, eks.update_nodegroup_version, clusterName="demo", nodegroupName="workers", version="1.33")
update = eks.update_cluster_version(name="demo", version="1.33")["update"]
assert update["type"] == "VersionUpdate" and {"type": "Version", "value": "1.33"} in update["params"], update
assert finished(update)["status"] == "Successful"
cluster = eks.describe_cluster(name="demo")["cluster"]
assert (cluster["version"], cluster["status"]) == ("1.33", "ACTIVE"), cluster
assert eks.list_insights(clusterName="demo")["insights"][0]["insightStatus"]["status"] == "PASSING"
before = {i["InstanceId"] for r in ec2.describe_instances(Filters=[{"Name": "tag:eks:nodegroup-name", "Values": ["workers"]}])["Reservations"] for i in r["Instances"]}
assert len(before) == 2
update = eks.update_nodegroup_version(clusterName="demo", nodegroupName="workers")["update"]
assert finished(update, nodegroupName="workers")["status"] == "Successful"
# A release says its version; eksctl's upgrades name nothing else.
refused("InvalidParameterException", 400, eks.update_nodegroup_version, clusterName="demo", nodegroupName="workers", version="1.32", releaseVersion="1.33.5-20261101")
update = eks.update_nodegroup_version(clusterName="demo", nodegroupName="workers", releaseVersion="1.33.5-20261101")["update"]
assert finished(update, nodegroupName="workers")["status"] == "Successful"
eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
after = {i["InstanceId"] for r in ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])["Reservations"] for i in r["Instances"]}
assert len(after) == 2 and not before & after, (before, after)
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["version"] == "1.33"

# The Auto Scaling group behind the node group, as the cluster autoscaler uses it.
name = eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["resources"]["autoScalingGroups"][0]["name"]
filters = [{"Name": "tag-key", "Values": ["k8s.io/cluster-autoscaler/enabled"]}, {"Name": "tag:eks:cluster-name", "Values": ["demo"]}]
seen = asg.describe_auto_scaling_groups(Filters=filters)["AutoScalingGroups"]
assert [g["AutoScalingGroupName"] for g in seen] == [name] and seen[0]["DesiredCapacity"] == 2 and len(seen[0]["Instances"]) == 2, seen
assert asg.describe_auto_scaling_groups(Filters=[{"Name": "tag:eks:cluster-name", "Values": ["other"]}])["AutoScalingGroups"] == []
asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=3)
for _ in range(60):
    if sum(i["LifecycleState"] == "InService" for i in asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]) == 3:
        break
    time.sleep(0.5)
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["scalingConfig"]["desiredSize"] == 3
victim = asg.describe_auto_scaling_instances()["AutoScalingInstances"][0]["InstanceId"]
asg.terminate_instance_in_auto_scaling_group(InstanceId=victim, ShouldDecrementDesiredCapacity=True)
refused("ValidationError", 400, asg.set_desired_capacity, AutoScalingGroupName=name, DesiredCapacity=9)
ec2.terminate_instances(InstanceIds=[i["InstanceId"] for i in asg.describe_auto_scaling_instances()["AutoScalingInstances"] if i["InstanceId"] != victim][:1])
refused("InvalidInstanceID.NotFound", 400, ec2.terminate_instances, InstanceIds=["i-00000000"])

# Fargate profiles.
profile = dict(clusterName="demo", fargateProfileName="fp", podExecutionRoleArn=role, subnets=subnets, selectors=[{"namespace": "serverless", "labels": {"a": "b"}}])
refused("InvalidParameterException", 400, eks.create_fargate_profile, **{**profile, "selectors": []})
assert eks.create_fargate_profile(**profile)["fargateProfile"]["status"] == "CREATING"
eks.get_waiter("fargate_profile_active").wait(clusterName="demo", fargateProfileName="fp", WaiterConfig=FAST)
# The published shape of this exception names no Fargate profile.
refused("ResourceInUseException", 409, eks.create_fargate_profile, **profile)
assert eks.list_fargate_profiles(clusterName="demo")["fargateProfileNames"] == ["fp"]
eks.delete_nodegroup(clusterName="demo", nodegroupName="workers")
eks.get_waiter("nodegroup_deleted").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
refused("ResourceInUseException", 409, eks.delete_cluster, name="demo")
assert eks.delete_fargate_profile(clusterName="demo", fargateProfileName="fp")["fargateProfile"]["status"] == "DELETING"
eks.get_waiter("fargate_profile_deleted").wait(clusterName="demo", fargateProfileName="fp", WaiterConfig=FAST)
assert eks.list_identity_provider_configs(clusterName="demo")["identityProviderConfigs"] == []
eks.delete_cluster(name="demo")
eks.get_waiter("cluster_deleted").wait(name="demo", WaiterConfig=FAST)
refused("InvalidGroup.NotFound", 400, ec2.describe_security_groups, GroupIds=[own])
print("eks: as AWS")
