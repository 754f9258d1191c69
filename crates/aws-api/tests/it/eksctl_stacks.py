"""The smaller stacks that eksctl makes beside those of clusters and node groups: roles and access entries, made, changed and removed."""
import json
import os

import boto3

cfn, ec2, eks, iam = (boto3.client(name) for name in ("cloudformation", "ec2", "eks", "iam"))
FAST = {"Delay": 1, "MaxAttempts": 120}
POLICY = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "eksctl_stacks.json")) as file:
    TEMPLATES = json.load(file)


def make(stack, kind, capability):
    """As eksctl submits a stack, and what it tells."""
    body = json.dumps(TEMPLATES[kind]).replace("ISSUER", issuer)
    capabilities = {"Capabilities": [capability]} if capability else {}
    cfn.create_stack(StackName=stack, TemplateBody=body, EnableTerminationProtection=True, DisableRollback=False, **capabilities)
    cfn.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig=FAST)
    assert cfn.get_template(StackName=stack)["TemplateBody"] == json.loads(body)
    return {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])}


def change(stack, template, capability="CAPABILITY_IAM"):
    """A change set as eksctl's updates make it."""
    capabilities = {"Capabilities": [capability]} if capability else {}
    cfn.create_change_set(StackName=stack, ChangeSetName="eksctl", ChangeSetType="UPDATE", TemplateBody=json.dumps(template), **capabilities)
    cfn.get_waiter("change_set_create_complete").wait(StackName=stack, ChangeSetName="eksctl", WaiterConfig=FAST)
    cfn.execute_change_set(StackName=stack, ChangeSetName="eksctl")
    cfn.get_waiter("stack_update_complete").wait(StackName=stack, WaiterConfig=FAST)


def remove(stack):
    cfn.update_termination_protection(StackName=stack, EnableTerminationProtection=False)
    cfn.delete_stack(StackName=stack)
    cfn.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig=FAST)


def role(arn):
    return iam.get_role(RoleName=arn.rsplit("/")[-1])["Role"]


def attached(arn):
    return [p["PolicyArn"] for p in iam.list_attached_role_policies(RoleName=arn.rsplit("/")[-1])["AttachedPolicies"]]


def inline(arn):
    return iam.list_role_policies(RoleName=arn.rsplit("/")[-1])["PolicyNames"]


vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i * 64}.0/18", AvailabilityZone=f"ap-northeast-2{zone}")["Subnet"]["SubnetId"] for i, zone in enumerate("ab")]
eks.create_cluster(name="demo", roleArn="arn:aws:iam::000000000000:role/c", resourcesVpcConfig={"subnetIds": subnets}, accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
issuer = eks.describe_cluster(name="demo")["cluster"]["identity"]["oidc"]["issuer"].removeprefix("https://")

# A role for a service account, and one more permission for it.
accounts = "eksctl-demo-addon-iamserviceaccount-backend-s3-reader"
arn = make(accounts, "iamserviceaccount", "CAPABILITY_IAM")["Role1"]
(statement,) = role(arn)["AssumeRolePolicyDocument"]["Statement"]
assert statement["Condition"]["StringEquals"] == {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": "system:serviceaccount:backend:s3-reader"}, statement
assert attached(arn) == [POLICY] and inline(arn) == [f"{accounts}-Policy1"], (attached(arn), inline(arn))
template = json.loads(json.dumps(TEMPLATES["iamserviceaccount"]).replace("ISSUER", issuer))
template["Resources"]["Role1"]["Properties"]["ManagedPolicyArns"] = [POLICY, "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"]
del template["Resources"]["Policy1"]
change(accounts, template)
assert set(attached(arn)) == {POLICY, "arn:aws:iam::aws:policy/AmazonDynamoDBReadOnlyAccess"} and inline(arn) == []

# A role for EKS Pod Identity, with a name of its own; the association that eksctl then makes.
pods = "eksctl-demo-podidentityrole-dev-app"
arn = make(pods, "podidentity", "CAPABILITY_NAMED_IAM")["Role1"]
assert arn.endswith(":role/app-role") and role(arn)["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "pods.eks.amazonaws.com"}
association = eks.create_pod_identity_association(clusterName="demo", namespace="dev", serviceAccount="app", roleArn=arn)["association"]
assert eks.list_pod_identity_associations(clusterName="demo", namespace="dev")["associations"][0]["associationId"] == association["associationId"]

# The role of an add-on, with permissions that eksctl knows by a word.
addon = "eksctl-demo-addon-vpc-cni"
arn = make(addon, "addon", "CAPABILITY_IAM")["Role1"]
assert attached(arn) == ["arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"] and inline(arn) == [f"{addon}-PolicyAWSLoadBalancerController"], inline(arn)

# The role under which Fargate's pods run, exported.
fargate = "eksctl-demo-fargate"
arn = make(fargate, "fargate", "CAPABILITY_NAMED_IAM")["FargatePodExecutionRoleARN"]
(statement,) = role(arn)["AssumeRolePolicyDocument"]["Statement"]
assert statement["Principal"]["Service"] == ["eks-fargate-pods.amazonaws.com"] and "fargateprofile/demo/*" in statement["Condition"]["ArnLike"]["aws:SourceArn"], statement
assert f"{fargate}::FargatePodExecutionRoleARN" in [e["Name"] for e in cfn.list_exports()["Exports"]]

# An access entry, and other rights for it.
entry = "eksctl-demo-accessentry-vvc6msz2q3cgdlxrxlpovcmycamymgg7"
principal = TEMPLATES["accessentry"]["Resources"]["AccessEntry"]["Properties"]["PrincipalArn"]
make(entry, "accessentry", None)
known = eks.describe_access_entry(clusterName="demo", principalArn=principal)["accessEntry"]
assert (known["kubernetesGroups"], known["username"], known["type"]) == (["devs"], "dev", "STANDARD"), known
policies = eks.list_associated_access_policies(clusterName="demo", principalArn=principal)["associatedAccessPolicies"]
assert [(p["policyArn"].rsplit("/")[-1], p["accessScope"]["namespaces"]) for p in policies] == [("AmazonEKSViewPolicy", ["default"])], policies
template = json.loads(json.dumps(TEMPLATES["accessentry"]))
template["Resources"]["AccessEntry"]["Properties"]["AccessPolicies"] = [{"PolicyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy", "AccessScope": {"Type": "cluster"}}]
template["Resources"]["AccessEntry"]["Properties"]["KubernetesGroups"] = ["devs", "ops"]
change(entry, template, None)
assert eks.describe_access_entry(clusterName="demo", principalArn=principal)["accessEntry"]["kubernetesGroups"] == ["devs", "ops"]
policies = eks.list_associated_access_policies(clusterName="demo", principalArn=principal)["associatedAccessPolicies"]
assert [(p["policyArn"].rsplit("/")[-1], p["accessScope"]["type"]) for p in policies] == [("AmazonEKSEditPolicy", "cluster")], policies

# And back to nothing.
for stack in (accounts, pods, addon, fargate, entry):
    remove(stack)
assert iam.list_roles()["Roles"] == [] and principal not in eks.list_access_entries(clusterName="demo")["accessEntries"]
print("eksctl's smaller stacks: as AWS")
