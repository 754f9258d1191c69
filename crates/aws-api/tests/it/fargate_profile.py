"""A Fargate profile of the cluster named demo, once that is ACTIVE: private subnets only."""
import boto3
from botocore.exceptions import ClientError

eks, ec2 = boto3.client("eks"), boto3.client("ec2")
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
subnets = eks.describe_cluster(name="demo")["cluster"]["resourcesVpcConfig"]["subnetIds"]
public, private = subnets[0], subnets[1:]
ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
# SDKs for Go send empty tags, which count as none.
profile = dict(clusterName="demo", tags={}, fargateProfileName="fp", podExecutionRoleArn="arn:aws:iam::000000000000:role/r",
               selectors=[{"namespace": "serverless"}])
try:
    eks.create_fargate_profile(subnets=[public], **profile)
    raise AssertionError("a public subnet is taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "InvalidParameterException", error
    assert error.response["Error"]["Message"] == f"Subnet {public} provided in Fargate Profile is not a private subnet"
made = eks.create_fargate_profile(**profile)["fargateProfile"]
assert sorted(made["subnets"]) == sorted(private), made
