"""Accounts and regions of one process: each sees its own clusters and networks, identities are an account's in every region, and roles
are assumed across accounts by trust."""
import json
import os

import boto3

from refusals import refused_as

second = json.loads(os.environ["TEST_INPUT"])
FIRST, SECOND = "000000000000", "222222222222"
assert second["accountId"] == SECOND


def session(region, keys=None):
    keys = keys or {}
    return boto3.Session(region_name=region, **keys)


def temporary(credentials):
    return dict(aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"], aws_session_token=credentials["SessionToken"])


THEIRS = dict(aws_access_key_id=second["accessKeyId"], aws_secret_access_key=second["secretAccessKey"])
seoul, oregon, other = session("ap-northeast-2"), session("us-west-2"), session("us-west-2", THEIRS)


def subnets(where, block="10.0.0.0/16"):
    ec2 = where.client("ec2")
    vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]
    assert vpc["OwnerId"] == where.client("sts").get_caller_identity()["Account"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    assert all(zone.startswith(where.region_name) for zone in zones), zones
    return [ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock=f"10.0.{index * 64}.0/18", AvailabilityZone=zone)["Subnet"]["SubnetId"] for index, zone in enumerate(zones[:2])]


def cluster(where):
    eks = where.client("eks")
    account = where.client("sts").get_caller_identity()["Account"]
    own = subnets(where)
    made = eks.create_cluster(name="same", roleArn=f"arn:aws:iam::{account}:role/cluster", resourcesVpcConfig={"subnetIds": own}, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})["cluster"]
    assert made["arn"] == f"arn:aws:eks:{where.region_name}:{account}:cluster/same", made
    eks.get_waiter("cluster_active").wait(name="same", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    eks.create_nodegroup(clusterName="same", nodegroupName="workers", nodeRole=f"arn:aws:iam::{account}:role/node", subnets=own, scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1})
    eks.get_waiter("nodegroup_active").wait(clusterName="same", nodegroupName="workers", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return own


# The same name in two regions of one account and in another account.
assert other.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{SECOND}:user/admin"
for where in (seoul, oregon, other):
    assert where.client("eks").list_clusters()["clusters"] == []
    cluster(where)
for where in (seoul, oregon, other):
    assert where.client("eks").list_clusters()["clusters"] == ["same"]
    (instance,) = [i for r in where.client("ec2").describe_instances()["Reservations"] for i in r["Instances"]]
    assert instance["Placement"]["AvailabilityZone"].startswith(where.region_name)
    assert instance["PrivateDnsName"].endswith(f".{where.region_name}.compute.internal"), instance["PrivateDnsName"]
    entries = where.client("eks").list_access_entries(clusterName="same")["accessEntries"]
    account = where.client("sts").get_caller_identity()["Account"]
    assert f"arn:aws:iam::{account}:user/admin" in entries, entries
    (group,) = where.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert group["AutoScalingGroupARN"].startswith(f"arn:aws:autoscaling:{where.region_name}:{account}:"), group
assert session("eu-west-1").client("eks").list_clusters()["clusters"] == []
refused_as("InvalidSignatureException", session("mars-north-1").client("eks").list_clusters)

# Stacks and the smaller services are a region's of an account.
template = json.dumps({"Resources": {"Place": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "place", "Type": "String", "Value": {"Fn::Sub": "${AWS::Region} ${AWS::AccountId}"}}}}})
for where in (oregon, other):
    cloudformation = where.client("cloudformation")
    cloudformation.create_stack(StackName="place", TemplateBody=template)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="place", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    account = where.client("sts").get_caller_identity()["Account"]
    assert where.client("ssm").get_parameter(Name="place")["Parameter"]["Value"] == f"us-west-2 {account}"
assert seoul.client("cloudformation").list_stacks()["StackSummaries"] == []

# Identities are an account's, in every region.
iam = seoul.client("iam")
iam.create_user(UserName="lea")
lea = iam.create_access_key(UserName="lea")["AccessKey"]
LEA = dict(aws_access_key_id=lea["AccessKeyId"], aws_secret_access_key=lea["SecretAccessKey"])
for region in ("ap-northeast-2", "us-west-2", "eu-west-1"):
    assert session(region, LEA).client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{FIRST}:user/lea"
    refused_as("AccessDeniedException", session(region, LEA).client("eks").list_clusters)
assert [u["UserName"] for u in oregon.client("iam").list_users()["Users"]] == ["lea"]
assert other.client("iam").list_users()["Users"] == []
here_only = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "eks:ListClusters", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": "us-west-2"}}}]}
iam.put_user_policy(UserName="lea", PolicyName="here-only", PolicyDocument=json.dumps(here_only))
assert session("us-west-2", LEA).client("eks").list_clusters()["clusters"] == ["same"]
refused_as("AccessDeniedException", session("ap-northeast-2", LEA).client("eks").list_clusters)

# Across accounts: by the role that every account has for the first one, and by trust.
role = f"arn:aws:iam::{SECOND}:role/OrganizationAccountAccessRole"
assumed = oregon.client("sts").assume_role(RoleArn=role, RoleSessionName="visit")
inside = session("us-west-2", temporary(assumed["Credentials"]))
assert inside.client("sts").get_caller_identity()["Arn"] == f"arn:aws:sts::{SECOND}:assumed-role/OrganizationAccountAccessRole/visit"
assert inside.client("eks").describe_cluster(name="same")["cluster"]["arn"].split(":")[4] == SECOND
refused_as("AccessDenied", session("us-west-2", LEA).client("sts").assume_role, RoleArn=role, RoleSessionName="visit")

trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{FIRST}:user/lea"}}]}
theirs = other.client("iam")
reader = theirs.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
theirs.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "eks:List*", "Resource": "*"}]}))
# In one account the trust that names a user is enough; across accounts the user's own account must let it, too.
refused_as("AccessDenied", session("us-west-2", LEA).client("sts").assume_role, RoleArn=reader, RoleSessionName="other")
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": reader}]}
iam.put_user_policy(UserName="lea", PolicyName="visit", PolicyDocument=json.dumps(allow))
credentials = session("us-west-2", LEA).client("sts").assume_role(RoleArn=reader, RoleSessionName="other")["Credentials"]
visitor = session("us-west-2", temporary(credentials))
assert visitor.client("eks").list_clusters()["clusters"] == ["same"]
refused_as("AccessDeniedException", visitor.client("eks").describe_cluster, name="same")
refused_as("AccessDenied", seoul.client("sts").assume_role, RoleArn=reader, RoleSessionName="other")
refused_as("AccessDenied", seoul.client("sts").assume_role, RoleArn="arn:aws:iam::333333333333:role/OrganizationAccountAccessRole", RoleSessionName="other")
with open("keys.json", "w") as file:
    json.dump({"lea": LEA, "visitor": temporary(credentials)}, file)
print("accounts: as AWS")
