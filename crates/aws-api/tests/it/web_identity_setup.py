"""A cluster, its issuer as an identity provider, and a role that one service account may assume."""
import json

import boto3

ec2, eks, iam = (boto3.client(name) for name in ("ec2", "eks", "iam"))
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n * 32}.0/19", AvailabilityZone=f"ap-northeast-2{z}")["Subnet"]["SubnetId"] for n, z in enumerate("ab")]
eks.create_cluster(name="demo", roleArn="arn:aws:iam::000000000000:role/cluster", resourcesVpcConfig={"subnetIds": subnets})
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
issuer = eks.describe_cluster(name="demo")["cluster"]["identity"]["oidc"]["issuer"]
made = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["0" * 40])
# IAM knows the issuer without its port; guides write trust policies with all of the URL behind the scheme, and both are meant.
written = issuer.removeprefix("https://")
name = written.replace(":4566", "")
assert ":" in written and ":" not in name, issuer
assert made["OpenIDConnectProviderArn"] == f"arn:aws:iam::000000000000:oidc-provider/{name}", made
trust = {"Version": "2012-10-17", "Statement": [{
    "Effect": "Allow", "Principal": {"Federated": made["OpenIDConnectProviderArn"]}, "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {"StringEquals": {f"{name}:sub": "system:serviceaccount:default:app", f"{written}:aud": "sts.amazonaws.com"}}}]}
iam.create_role(RoleName="app", AssumeRolePolicyDocument=json.dumps(trust))
iam.put_role_policy(RoleName="app", PolicyName="look", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"}]}))
