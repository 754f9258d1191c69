"""A cluster and its node groups from nothing to nothing, by boto3 and its waiters; every answer parsed by botocore's models."""
import json
import os
import urllib.request

import boto3

from refusals import refused, refused_with

FAST = {"Delay": 1, "MaxAttempts": 30}

sts, ec2, eks = boto3.client("sts"), boto3.client("ec2"), boto3.client("eks")

me = sts.get_caller_identity()
assert me["Account"] == "000000000000" and me["Arn"] == "arn:aws:iam::000000000000:user/admin", me

zones = ec2.describe_availability_zones(Filters=[{"Name": "state", "Values": ["available"]}])["AvailabilityZones"]
assert [zone["ZoneName"] for zone in zones] == [f"ap-northeast-2{letter}" for letter in "abcd"], zones
assert zones[0]["ZoneId"] == "apne2-az1"
assert "us-east-1" in [region["RegionName"] for region in ec2.describe_regions()["Regions"]]
medium = ec2.describe_instance_types(InstanceTypes=["t3.medium"])["InstanceTypes"][0]
assert medium["VCpuInfo"]["DefaultVCpus"] == 2 and medium["MemoryInfo"]["SizeInMiB"] == 4096, medium
assert medium["NetworkInfo"]["Ipv4AddressesPerInterface"] == 6
pages = ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 50})
assert sum(len(page["InstanceTypes"]) for page in pages) > 200
refused("InvalidInstanceType", 400, ec2.describe_instance_types, InstanceTypes=["t3.huge"])

refused("InvalidParameterValue", 400, ec2.create_vpc, CidrBlock="ten")
refused("DryRunOperation", 412, ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "a<b&c"}]}])["Vpc"]
assert vpc["CidrBlock"] == "10.0.0.0/16" and vpc["Tags"] == [{"Key": "Name", "Value": "a<b&c"}], vpc
subnets = [
    ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.0.{index * 32}.0/19", AvailabilityZone=f"ap-northeast-2{letter}")["Subnet"]["SubnetId"]
    for index, letter in enumerate("abc")
]
refused("InvalidSubnet.Conflict", 400, ec2.create_subnet, VpcId=vpc["VpcId"], CidrBlock="10.0.1.0/24")
refused("InvalidSubnet.Range", 400, ec2.create_subnet, VpcId=vpc["VpcId"], CidrBlock="10.1.0.0/24")
refused("InvalidVpcID.NotFound", 400, ec2.describe_vpcs, VpcIds=["vpc-00000000"])
refused("DependencyViolation", 400, ec2.delete_vpc, VpcId=vpc["VpcId"])
found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}, {"Name": "availability-zone", "Values": ["*b"]}])["Subnets"]
assert [subnet["AvailableIpAddressCount"] for subnet in found] == [8187], found

versions = eks.describe_cluster_versions()["clusterVersions"]
assert [version["clusterVersion"] for version in versions][:1] == ["1.36"] and len(versions) == 9, versions
assert sum(version["defaultVersion"] for version in versions) == 1

role = "arn:aws:iam::000000000000:role/cluster"
good = dict(name="demo", roleArn=role, version="1.33", resourcesVpcConfig={"subnetIds": subnets}, tags={"team": "a"}, clientRequestToken="once")
refused("ResourceNotFoundException", 404, eks.describe_cluster, name="demo")
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "version": "1.27"})
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "resourcesVpcConfig": {"subnetIds": subnets[:1]}})
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "resourcesVpcConfig": {"subnetIds": ["subnet-00000000"]}})
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "roleArn": "role"})
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.0.8.0/24"}})
refused("InvalidParameterException", 400, eks.create_cluster, **{**good, "name": "x" * 101})
cluster = eks.create_cluster(**good)["cluster"]
assert cluster["status"] == "CREATING" and cluster["arn"] == "arn:aws:eks:ap-northeast-2:000000000000:cluster/demo", cluster
assert cluster["resourcesVpcConfig"]["vpcId"] == vpc["VpcId"] and cluster["resourcesVpcConfig"]["endpointPublicAccess"]
assert cluster["kubernetesNetworkConfig"] == {"serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4"}, cluster
assert eks.create_cluster(**good)["cluster"]["createdAt"] == cluster["createdAt"]
taken = refused_with("ResourceInUseException", 409, eks.create_cluster, **{**good, "clientRequestToken": "twice"})
assert taken["clusterName"] == "demo" and taken["Error"]["Message"] == "Cluster already exists with name: demo", taken
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
cluster = eks.describe_cluster(name="demo")["cluster"]
assert cluster["endpoint"] == "https://127.0.0.1:6443" and cluster["certificateAuthority"]["data"].startswith("LS0tLS1CRUdJTi"), cluster
issuer = cluster["identity"]["oidc"]["issuer"]
assert issuer.startswith("https://localhost:4566/id/"), cluster
published = os.environ["AWS_ENDPOINT_URL"] + issuer.removeprefix("https://localhost:4566")
document = json.load(urllib.request.urlopen(published + "/.well-known/openid-configuration"))
assert document["issuer"] == issuer and document["jwks_uri"] == issuer + "/keys", document
assert json.load(urllib.request.urlopen(published + "/keys"))["keys"], published
assert cluster["logging"]["clusterLogging"] == [{"types": ["api", "audit", "authenticator", "controllerManager", "scheduler"], "enabled": False}]

eks.tag_resource(resourceArn=cluster["arn"], tags={"cost": "none"})
eks.untag_resource(resourceArn=cluster["arn"], tagKeys=["team"])
assert eks.list_tags_for_resource(resourceArn=cluster["arn"])["tags"] == {"cost": "none"}
refused("NotFoundException", 404, eks.list_tags_for_resource, resourceArn=cluster["arn"] + "x")

node_role = "arn:aws:iam::000000000000:role/nodes"
group = dict(clusterName="demo", nodegroupName="workers", subnets=subnets, nodeRole=node_role, instanceTypes=["t3.medium"],
             scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 2}, labels={"role": "worker"},
             taints=[{"key": "dedicated", "value": "batch", "effect": "NO_SCHEDULE"}])
refused("ResourceNotFoundException", 404, eks.create_nodegroup, **{**group, "clusterName": "other"})
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "instanceTypes": ["t3.huge"]})
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "scalingConfig": {"minSize": 3, "maxSize": 2, "desiredSize": 2}})
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "amiType": "WINDOWS_95"})
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "version": "1.34"})
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "remoteAccess": {"ec2SshKey": "admin"}})
ec2.create_key_pair(KeyName="admin", KeyType="ed25519")
refused("InvalidParameterException", 400, eks.create_nodegroup, **{**group, "remoteAccess": {"ec2SshKey": "admin", "sourceSecurityGroups": ["sg-00000000"]}})
made = eks.create_nodegroup(**group, remoteAccess={"ec2SshKey": "admin"})["nodegroup"]
ssh = made["resources"]["remoteAccessSecurityGroup"]
allowed = ec2.describe_security_groups(GroupIds=[ssh])["SecurityGroups"][0]["IpPermissions"][0]
assert made["remoteAccess"] == {"ec2SshKey": "admin"} and (allowed["FromPort"], allowed["IpRanges"]) == (22, [{"CidrIp": "0.0.0.0/0"}]), (made, allowed)
assert made["status"] == "CREATING" and made["nodegroupArn"].startswith("arn:aws:eks:ap-northeast-2:000000000000:nodegroup/demo/workers/"), made
assert made["resources"]["autoScalingGroups"][0]["name"].startswith("eks-workers-") and made["amiType"] == "AL2023_x86_64_STANDARD"
refused("ResourceInUseException", 409, eks.create_nodegroup, **group)
eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
assert eks.list_nodegroups(clusterName="demo")["nodegroups"] == ["workers"]

update = eks.update_nodegroup_config(clusterName="demo", nodegroupName="workers", scalingConfig={"desiredSize": 3},
                                     labels={"addOrUpdateLabels": {"role": "new"}, "removeLabels": ["none"]})["update"]
assert update["type"] == "ConfigUpdate" and {"type": "DesiredSize", "value": "3"} in update["params"], update
eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
found = eks.describe_update(name="demo", nodegroupName="workers", updateId=update["id"])["update"]
assert found["status"] == "Successful" and found["errors"] == [], found
assert eks.list_updates(name="demo", nodegroupName="workers")["updateIds"] == [update["id"]]
assert eks.list_updates(name="demo")["updateIds"] == []
refused("ResourceNotFoundException", 404, eks.describe_update, name="demo", updateId=update["id"])
refused("InvalidParameterException", 400, eks.update_nodegroup_config, clusterName="demo", nodegroupName="workers", scalingConfig={"desiredSize": 9})
refused("InvalidParameterException", 400, eks.update_nodegroup_config, clusterName="demo", nodegroupName="workers")
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["labels"] == {"role": "new"}

refused("ResourceInUseException", 409, eks.delete_cluster, name="demo")
refused("DependencyViolation", 400, ec2.delete_subnet, SubnetId=subnets[0])
assert eks.delete_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["status"] == "DELETING"
eks.get_waiter("nodegroup_deleted").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=FAST)
refused("InvalidGroup.NotFound", 400, ec2.describe_security_groups, GroupIds=[ssh])
gone = refused_with("ResourceNotFoundException", 404, eks.describe_nodegroup, clusterName="demo", nodegroupName="workers")
assert gone["Error"]["Message"] == "No node group found for name: workers.", gone
assert eks.delete_cluster(name="demo")["cluster"]["status"] == "DELETING"
eks.get_waiter("cluster_deleted").wait(name="demo", WaiterConfig=FAST)
refused("ResourceNotFoundException", 404, eks.delete_cluster, name="demo")

for index in range(7):
    eks.create_cluster(**{**good, "name": f"c{index}", "clientRequestToken": f"t{index}"})
names = [name for page in eks.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 3}) for name in page["clusters"]]
assert names == [f"c{index}" for index in range(7)], names
refused("InvalidParameterException", 400, eks.list_clusters, nextToken="???")
for name in names:
    eks.get_waiter("cluster_active").wait(name=name, WaiterConfig=FAST)
    eks.delete_cluster(name=name)
for name in names:
    eks.get_waiter("cluster_deleted").wait(name=name, WaiterConfig=FAST)
for subnet in subnets:
    ec2.delete_subnet(SubnetId=subnet)
ec2.delete_vpc(VpcId=vpc["VpcId"])
assert ec2.describe_vpcs()["Vpcs"] == []
# EKS has every operation of its model; a path that is none's is answered by the gateway before it.
astray = boto3.client("eks")
astray.meta.events.register("before-call.eks.ListClusters", lambda params, **_: params.update(url=params["url"].replace("/clusters", "/nothing")))
refused("MissingAuthenticationTokenException", 403, astray.list_clusters)
refused("UnknownOperationException", 400, boto3.client("ssm").list_documents)
refused("InvalidAction", 400, ec2.describe_hosts)
refused("InvalidAction", 400, boto3.client("iam").list_organizations_features)
print("lifecycle: as AWS")
