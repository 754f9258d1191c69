"""Quotas: what they allow is made, one more is refused, and who is given more makes more; long lists come in pages."""
import boto3

from refusals import refused_as

ec2, eks, quotas = boto3.client("ec2"), boto3.client("eks"), boto3.client("service-quotas")
CLUSTERS, GROUPS = {"ServiceCode": "eks", "QuotaCode": "L-1194D53C"}, {"ServiceCode": "eks", "QuotaCode": "L-6D54EA21"}

vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [
    ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{index * 64}.0/18", AvailabilityZone=f"ap-northeast-2{letter}")["Subnet"]["SubnetId"]
    for index, letter in enumerate("ab")
]


def cluster(number):
    return dict(name=f"c{number:03}", roleArn="arn:aws:iam::000000000000:role/cluster", resourcesVpcConfig={"subnetIds": subnets})


for number in range(100):
    eks.create_cluster(**cluster(number))
assert "100 clusters" in refused_as("ResourceLimitExceededException", eks.create_cluster, **cluster(100))

refused_as("IllegalArgumentException", quotas.request_service_quota_increase, **CLUSTERS, DesiredValue=100)
wish = quotas.request_service_quota_increase(**CLUSTERS, DesiredValue=1000)["RequestedQuota"]
assert wish["Status"] == "APPROVED" and wish["DesiredValue"] == 1000, wish
assert quotas.get_service_quota(**CLUSTERS)["Quota"]["Value"] == 1000
assert quotas.get_aws_default_service_quota(**CLUSTERS)["Quota"]["Value"] == 100
for number in range(100, 105):
    eks.create_cluster(**cluster(number))

first = eks.list_clusters()
assert len(first["clusters"]) == 100 and len(eks.list_clusters(nextToken=first["nextToken"])["clusters"]) == 5
pages = list(eks.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 10}))
assert len(pages) == 11 and sum(len(page["clusters"]) for page in pages) == 105

eks.get_waiter("cluster_active").wait(name="c000", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
group = dict(clusterName="c000", nodeRole="arn:aws:iam::000000000000:role/node", subnets=subnets, scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 0})
for number in range(30):
    eks.create_nodegroup(nodegroupName=f"g{number:02}", **group)
refused_as("ResourceLimitExceededException", eks.create_nodegroup, nodegroupName="g30", **group)
quotas.request_service_quota_increase(**GROUPS, DesiredValue=31)
eks.create_nodegroup(nodegroupName="g30", **group)
print("limits: as AWS")
