"""Stacks whose work somebody breaks off while their clusters cannot be made: one is deleted, the update of one is cancelled."""
import json
import time

import boto3

from refusals import refused_as as refused

cfn, iam = (boto3.client(n) for n in ("cloudformation", "iam"))
FAST = {"Delay": 1, "MaxAttempts": 120}

TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}
NETWORK = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.4.0.0/16"}},
    **{name: {"Type": "AWS::EC2::Subnet", "Properties": {
        "VpcId": {"Ref": "Vpc"}, "CidrBlock": f"10.4.{number}.0/24", "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]}}}
       for number, name in enumerate("AB")},
    "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
}


def with_cluster(name, **properties):
    """The network and a cluster on it; what comes after the cluster shows whether the stack went on."""
    cluster = {"Name": name, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "ResourcesVpcConfig": {"SubnetIds": [{"Ref": "A"}, {"Ref": "B"}]}, **properties}
    return json.dumps({"Resources": {
        **NETWORK,
        "Cluster": {"Type": "AWS::EKS::Cluster", "Properties": cluster},
        "Later": {"Type": "AWS::SSM::Parameter", "DependsOn": "Cluster", "Properties": {"Name": f"/later/{name}", "Type": "String", "Value": "made"}},
    }})


def status(name):
    return cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def until(what, look):
    for _ in range(600):
        if look():
            return
        time.sleep(0.2)
    raise AssertionError(f"never: {what}")


def is_making(stack, resource):
    found = cfn.describe_stack_resources(StackName=stack)["StackResources"]
    return any(r["LogicalResourceId"] == resource and r["ResourceStatus"] == "CREATE_IN_PROGRESS" for r in found)


def begin():
    deleted = cfn.create_stack(StackName="deleted", TemplateBody=with_cluster("deleted"), Capabilities=["CAPABILITY_IAM"])["StackId"]
    until("the cluster is being made", lambda: is_making("deleted", "Cluster"))
    cfn.delete_stack(StackName="deleted")
    assert status(deleted) == "DELETE_IN_PROGRESS"
    cfn.delete_stack(StackName="deleted")

    plain = json.dumps({"Resources": NETWORK})
    cfn.create_stack(StackName="cancelled", TemplateBody=plain, Capabilities=["CAPABILITY_IAM"])
    cfn.get_waiter("stack_create_complete").wait(StackName="cancelled", WaiterConfig=FAST)
    cannot = "CancelUpdateStack cannot be called from current stack status"
    assert cannot == refused("ValidationError", cfn.cancel_update_stack, StackName="cancelled")
    cfn.update_stack(StackName="cancelled", TemplateBody=with_cluster("cancelled"), Capabilities=["CAPABILITY_IAM"])
    until("the cluster is being made", lambda: is_making("cancelled", "Cluster"))
    said = refused("ValidationError", cfn.delete_stack, StackName="cancelled")
    assert said.endswith("] cannot be deleted while in status UPDATE_IN_PROGRESS"), said
    cfn.cancel_update_stack(StackName="cancelled")
    assert status("cancelled") == "UPDATE_ROLLBACK_IN_PROGRESS"

    # One that cannot go back: what its role had before is gone.
    policy = iam.create_policy(PolicyName="passing", PolicyDocument=json.dumps(ALLOWED))["Policy"]["Arn"]
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST, "ManagedPolicyArns": [policy]}}
    cfn.create_stack(StackName="stuck", TemplateBody=json.dumps({"Resources": {**NETWORK, "Role": role}}), Capabilities=["CAPABILITY_IAM"])
    cfn.get_waiter("stack_create_complete").wait(StackName="stuck", WaiterConfig=FAST)
    cfn.update_stack(StackName="stuck", TemplateBody=with_cluster("stuck"), Capabilities=["CAPABILITY_IAM"])
    until("the cluster is being made", lambda: is_making("stuck", "Cluster"))
    cfn.cancel_update_stack(StackName="stuck")
    iam.delete_policy(PolicyArn=policy)


if __name__ == "__main__":
    begin()
