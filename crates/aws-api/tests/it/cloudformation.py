"""Stacks as eksctl makes them, from nothing to nodes and back to nothing; and what goes wrong on the way."""
import json
import os
import time

import boto3

from refusals import refused

cfn, ec2, eks, iam = (boto3.client(name) for name in ("cloudformation", "ec2", "eks", "iam"))
FAST = {"Delay": 1, "MaxAttempts": 120}
HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    with open(os.path.join(HERE, name)) as file:
        return file.read()


def outputs(stack):
    return {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]}


# The cluster stack.
cluster_stack, nodes_stack = "eksctl-demo-cluster", "eksctl-demo-nodegroup-workers"
assert "does not exist" in refused("ValidationError", 400, cfn.describe_stacks, StackName=cluster_stack)
tags = [{"Key": "alpha.eksctl.io/cluster-name", "Value": "demo"}, {"Key": "alpha.eksctl.io/cluster-oidc-enabled", "Value": "false"}]
wanted = dict(StackName=cluster_stack, TemplateBody=read("eksctl_cluster.json"), Tags=tags, EnableTerminationProtection=True, DisableRollback=False)
assert "CAPABILITY_IAM" in refused("InsufficientCapabilitiesException", 400, cfn.create_stack, **wanted)
stack_id = cfn.create_stack(**wanted, Capabilities=["CAPABILITY_IAM"])["StackId"]
refused("AlreadyExistsException", 400, cfn.create_stack, **wanted, Capabilities=["CAPABILITY_IAM"])
cfn.get_waiter("stack_create_complete").wait(StackName=stack_id, WaiterConfig=FAST)
made = outputs(cluster_stack)
assert made["ARN"] == "arn:aws:eks:ap-northeast-2:000000000000:cluster/demo" and made["Endpoint"].startswith("https://"), made
assert len(made["SubnetsPublic"].split(",")) == 2 and made["VPC"].startswith("vpc-") and made["CertificateAuthorityData"]
cluster = eks.describe_cluster(name="demo")["cluster"]
assert cluster["tags"]["alpha.eksctl.io/cluster-oidc-enabled"] == "false" and cluster["tags"]["Name"] == "eksctl-demo-cluster/ControlPlane", cluster["tags"]
assert cluster["roleArn"] == made["ServiceRoleARN"] and cluster["accessConfig"]["authenticationMode"] == "API_AND_CONFIG_MAP"
assert ec2.describe_subnets(SubnetIds=made["SubnetsPublic"].split(","))["Subnets"][0]["MapPublicIpOnLaunch"]
events = cfn.describe_stack_events(StackName=cluster_stack)["StackEvents"]
assert events[0]["ResourceStatus"] == "CREATE_COMPLETE" and events[0]["ResourceType"] == "AWS::CloudFormation::Stack" and events[-1]["ResourceStatus"] == "CREATE_IN_PROGRESS"
resources = cfn.describe_stack_resources(StackName=cluster_stack)["StackResources"]
assert {r["ResourceStatus"] for r in resources} == {"CREATE_COMPLETE"} and len(resources) == len(json.loads(wanted["TemplateBody"])["Resources"])
assert cfn.get_template(StackName=cluster_stack)["TemplateBody"] == json.loads(wanted["TemplateBody"])
assert cluster_stack in [s["StackName"] for page in cfn.get_paginator("list_stacks").paginate(StackStatusFilter=["CREATE_COMPLETE"]) for s in page["StackSummaries"]]
assert f"{cluster_stack}::VPC" in [e["Name"] for e in cfn.list_exports()["Exports"]]

# The node group stack.
cfn.create_stack(StackName=nodes_stack, TemplateBody=read("eksctl_nodegroup.json"), Capabilities=["CAPABILITY_IAM"], EnableTerminationProtection=True)
cfn.get_waiter("stack_create_complete").wait(StackName=nodes_stack, WaiterConfig=FAST)
group = eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]
assert group["status"] == "ACTIVE" and group["labels"]["alpha.eksctl.io/nodegroup-name"] == "workers" and group["launchTemplate"]["name"] == nodes_stack, group
assert cfn.describe_stack_resource(StackName=nodes_stack, LogicalResourceId="ManagedNodeGroup")["StackResourceDetail"]["PhysicalResourceId"] == "demo/workers"
assert len([i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]) == 2
assert iam.list_role_policies(RoleName=group["nodeRole"].rsplit("/")[-1])["PolicyNames"] == [f"{nodes_stack}-PolicyAutoScaling"]
assert cfn.list_imports(ExportName=f"{cluster_stack}::SubnetsPublic")["Imports"] == [nodes_stack]

# A change set: nothing, then something.
same = dict(StackName=nodes_stack, TemplateBody=read("eksctl_nodegroup.json"), Capabilities=["CAPABILITY_IAM"], ChangeSetType="UPDATE")
cfn.create_change_set(**same, ChangeSetName="nothing")
empty = cfn.describe_change_set(StackName=nodes_stack, ChangeSetName="nothing")
assert empty["Status"] == "FAILED" and "The submitted information didn't contain changes" in empty["StatusReason"], empty
cfn.delete_change_set(StackName=nodes_stack, ChangeSetName="nothing")
grown = json.loads(same["TemplateBody"])
grown["Resources"]["ManagedNodeGroup"]["Properties"]["ScalingConfig"]["DesiredSize"] = 3
cfn.create_change_set(**{**same, "TemplateBody": json.dumps(grown)}, ChangeSetName="grow")
cfn.get_waiter("change_set_create_complete").wait(StackName=nodes_stack, ChangeSetName="grow", WaiterConfig=FAST)
changes = cfn.describe_change_set(StackName=nodes_stack, ChangeSetName="grow")["Changes"]
assert [(c["ResourceChange"]["LogicalResourceId"], c["ResourceChange"]["Action"]) for c in changes] == [("ManagedNodeGroup", "Modify")], changes
cfn.execute_change_set(StackName=nodes_stack, ChangeSetName="grow")
cfn.get_waiter("stack_update_complete").wait(StackName=nodes_stack, WaiterConfig=FAST)
assert eks.describe_nodegroup(clusterName="demo", nodegroupName="workers")["nodegroup"]["scalingConfig"]["desiredSize"] == 3

# Other stacks: YAML with parameters and conditions; failures and their rollback; updates that replace.
yaml = """
Parameters:
  Cidr: {Type: String, Default: 10.0.0.0/16}
  Many: {Type: String, AllowedValues: ['yes', 'no'], Default: 'yes'}
Conditions:
  Second: !Equals [!Ref Many, 'yes']
Resources:
  Vpc:
    Type: AWS::EC2::VPC
    Properties: {CidrBlock: !Ref Cidr}
  A:
    Type: AWS::EC2::Subnet
    Properties: {VpcId: !Ref Vpc, CidrBlock: !Select [0, !Cidr [!GetAtt Vpc.CidrBlock, 2, 13]], AvailabilityZone: !Select [0, !GetAZs '']}
  B:
    Type: AWS::EC2::Subnet
    Condition: Second
    Properties: {VpcId: !Ref Vpc, CidrBlock: !Select [1, !Cidr [!GetAtt Vpc.CidrBlock, 2, 13]], AvailabilityZone: !Select [1, !GetAZs '']}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: web
      VpcId: !Ref Vpc
      SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}]
Outputs:
  Zone: {Value: !GetAtt A.AvailabilityZone}
  Second: {Condition: Second, Value: !Ref B}
"""
assert [p["ParameterKey"] for p in cfn.validate_template(TemplateBody=yaml)["Parameters"]] == ["Cidr", "Many"]
assert "Unresolved resource dependencies" in refused("ValidationError", 400, cfn.validate_template, TemplateBody="Resources: {A: {Type: 'AWS::EC2::VPC', Properties: {CidrBlock: !Ref B}}}")
assert "Unrecognized resource types" in refused("ValidationError", 400, cfn.create_stack, StackName="none", TemplateBody="Resources: {A: {Type: 'AWS::Nothing::Here'}}")
refused("ValidationError", 400, cfn.create_stack, StackName="net", TemplateBody=yaml, Parameters=[{"ParameterKey": "Many", "ParameterValue": "maybe"}])
cfn.create_stack(StackName="net", TemplateBody=yaml, Parameters=[{"ParameterKey": "Many", "ParameterValue": "no"}])
cfn.get_waiter("stack_create_complete").wait(StackName="net", WaiterConfig=FAST)
assert outputs("net") == {"Zone": "ap-northeast-2a"}
assert "No updates are to be performed" in refused("ValidationError", 400, cfn.update_stack, StackName="net", UsePreviousTemplate=True, Parameters=[{"ParameterKey": "Many", "UsePreviousValue": True}])
cfn.update_stack(StackName="net", UsePreviousTemplate=True, Parameters=[{"ParameterKey": "Many", "ParameterValue": "yes"}])
cfn.get_waiter("stack_update_complete").wait(StackName="net", WaiterConfig=FAST)
assert outputs("net")["Second"].startswith("subnet-")
cfn.update_stack(StackName="net", UsePreviousTemplate=True, Parameters=[{"ParameterKey": "Many", "ParameterValue": "no"}])
cfn.get_waiter("stack_update_complete").wait(StackName="net", WaiterConfig=FAST)
assert [r["LogicalResourceId"] for r in cfn.describe_stack_resources(StackName="net")["StackResources"]] == ["A", "Group", "Vpc"]
# A changed launch template gets a version; which one is the default is not CloudFormation's business.
launch = """
Resources:
  T: {Type: 'AWS::EC2::LaunchTemplate', Properties: {LaunchTemplateData: {InstanceType: SIZE}}}
Outputs: {Latest: {Value: !GetAtt T.LatestVersionNumber}, Default: {Value: !GetAtt T.DefaultVersionNumber}}
"""
cfn.create_stack(StackName="launch", TemplateBody=launch.replace("SIZE", "t3.small"))
cfn.get_waiter("stack_create_complete").wait(StackName="launch", WaiterConfig=FAST)
assert outputs("launch") == {"Latest": "1", "Default": "1"}
cfn.update_stack(StackName="launch", TemplateBody=launch.replace("SIZE", "t3.large"))
cfn.get_waiter("stack_update_complete").wait(StackName="launch", WaiterConfig=FAST)
assert outputs("launch") == {"Latest": "2", "Default": "1"}, outputs("launch")
cfn.delete_stack(StackName="launch")
cfn.get_waiter("stack_delete_complete").wait(StackName="launch", WaiterConfig=FAST)

broken = "Resources: {V: {Type: 'AWS::EC2::VPC', Properties: {CidrBlock: 10.9.0.0/16}}, S: {Type: 'AWS::EC2::Subnet', Properties: {VpcId: !Ref V, CidrBlock: 10.8.0.0/24}}}"
cfn.create_stack(StackName="broken", TemplateBody=broken)
for _ in range(120):
    if cfn.describe_stacks(StackName="broken")["Stacks"][0]["StackStatus"] == "ROLLBACK_COMPLETE":
        break
    time.sleep(1)
failed = [e for e in cfn.describe_stack_events(StackName="broken")["StackEvents"] if e["ResourceStatus"] == "CREATE_FAILED"]
assert failed[0]["LogicalResourceId"] == "S" and "InvalidSubnet.Range" in failed[0]["ResourceStatusReason"], failed
assert not [v for v in ec2.describe_vpcs()["Vpcs"] if v["CidrBlock"] == "10.9.0.0/16"]
for name in ("broken", "net"):
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=FAST)

# And back to nothing.
assert "TerminationProtection" in refused("ValidationError", 400, cfn.delete_stack, StackName=cluster_stack)
cfn.update_termination_protection(StackName=cluster_stack, EnableTerminationProtection=False)
assert "in use by" in refused("ValidationError", 400, cfn.delete_stack, StackName=cluster_stack)
for name in (nodes_stack, cluster_stack):
    cfn.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=FAST)
assert eks.list_clusters()["clusters"] == [] and ec2.describe_vpcs()["Vpcs"] == [] and iam.list_roles()["Roles"] == []
assert ec2.describe_addresses()["Addresses"] == [] and ec2.describe_launch_templates()["LaunchTemplates"] == []
assert cfn.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
assert cfn.describe_stacks()["Stacks"] == []
print("cloudformation: as AWS")
