"""A cluster whose access entries name a user with keys of her own, left in kim.json."""
import json
import os

import boto3

from refusals import refused

ec2, eks, iam = (boto3.client(name) for name in ("ec2", "eks", "iam"))

vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n * 32}.0/19", AvailabilityZone=f"ap-northeast-2{z}")["Subnet"]["SubnetId"] for n, z in enumerate("ab")]
eks.create_cluster(name="demo", roleArn="arn:aws:iam::000000000000:role/cluster", resourcesVpcConfig={"subnetIds": subnets}, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
admin = "arn:aws:iam::000000000000:user/admin"
assert eks.list_access_entries(clusterName="demo")["accessEntries"] == [admin]
policies = eks.list_associated_access_policies(clusterName="demo", principalArn=admin)["associatedAccessPolicies"]
assert [p["policyArn"].rsplit("/")[-1] for p in policies] == ["AmazonEKSClusterAdminPolicy"] and policies[0]["accessScope"]["type"] == "cluster"

kim = iam.create_user(UserName="kim")["User"]["Arn"]
keys = iam.create_access_key(UserName="kim")["AccessKey"]
with open(os.path.join(os.environ["HOME"], "kim.json"), "w") as file:
    json.dump({"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}, file)
refused("InvalidParameterException", 400, eks.create_access_entry, clusterName="demo", principalArn=kim, kubernetesGroups=["system:masters"])
refused("InvalidParameterException", 400, eks.create_access_entry, clusterName="demo", principalArn=kim, username="system:kim")
refused("InvalidParameterException", 400, eks.create_access_entry, clusterName="demo", principalArn="kim")
entry = eks.create_access_entry(clusterName="demo", principalArn=kim, username="kim", kubernetesGroups=["developers"], tags={"a": "b"})["accessEntry"]
assert entry["type"] == "STANDARD" and entry["accessEntryArn"].startswith("arn:aws:eks:ap-northeast-2:000000000000:access-entry/demo/user/000000000000/kim/"), entry
refused("ResourceInUseException", 409, eks.create_access_entry, clusterName="demo", principalArn=kim)
view = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
refused("ResourceNotFoundException", 404, eks.associate_access_policy, clusterName="demo", principalArn=kim, policyArn=view + "x", accessScope={"type": "cluster"})
refused("InvalidParameterException", 400, eks.associate_access_policy, clusterName="demo", principalArn=kim, policyArn=view, accessScope={"type": "namespace"})
eks.associate_access_policy(clusterName="demo", principalArn=kim, policyArn=view, accessScope={"type": "cluster"})
eks.associate_access_policy(clusterName="demo", principalArn=kim, policyArn=view, accessScope={"type": "namespace", "namespaces": ["dev-*"]})
assert eks.list_access_entries(clusterName="demo", associatedPolicyArn=view)["accessEntries"] == [kim]
assert len(eks.list_access_policies()["accessPolicies"]) > 10
node = "arn:aws:iam::000000000000:role/team/nodes"
entry = eks.create_access_entry(clusterName="demo", principalArn=node, type="EC2_LINUX")["accessEntry"]
assert entry["username"] == "system:node:{{EC2PrivateDNSName}}", entry
refused("InvalidRequestException", 400, eks.associate_access_policy, clusterName="demo", principalArn=node, policyArn=view, accessScope={"type": "cluster"})
eks.delete_access_entry(clusterName="demo", principalArn=node)
refused("ResourceNotFoundException", 404, eks.describe_access_entry, clusterName="demo", principalArn=node)
eks.tag_resource(resourceArn=eks.describe_access_entry(clusterName="demo", principalArn=kim)["accessEntry"]["accessEntryArn"], tags={"c": "d"})
assert eks.describe_access_entry(clusterName="demo", principalArn=kim)["accessEntry"]["tags"] == {"a": "b", "c": "d"}
