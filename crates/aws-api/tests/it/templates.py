"""Stacks beside EKS's own: what Karpenter needs of an account, and self-managed nodes."""
import json
import os

import boto3
from botocore.exceptions import ClientError

cfn, sqs, events, ec2, asg, kms, ssm, logs, iam = (boto3.client(n) for n in ("cloudformation", "sqs", "events", "ec2", "autoscaling", "kms", "ssm", "logs", "iam"))
FAST = {"Delay": 1, "MaxAttempts": 120}
HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    with open(os.path.join(HERE, name)) as file:
        return file.read()


def made(name, **given):
    cfn.create_stack(StackName=name, Capabilities=["CAPABILITY_NAMED_IAM"], **given)
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=FAST)
    return {o["OutputKey"]: o["OutputValue"] for o in cfn.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]}


def gone(name):
    cfn.delete_stack(StackName=name)
    cfn.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=FAST)


outputs = made("karpenter", TemplateBody=read("karpenter.yaml"), Parameters=[{"ParameterKey": "ClusterName", "ParameterValue": "demo"}])
assert outputs["Queue"] == sqs.get_queue_url(QueueName="demo")["QueueUrl"], outputs
attributes = sqs.get_queue_attributes(QueueUrl=outputs["Queue"], AttributeNames=["All"])["Attributes"]
assert attributes["MessageRetentionPeriod"] == "300" and json.loads(attributes["Policy"])["Id"] == "EC2InterruptionPolicy", attributes
rules = events.list_rules(NamePrefix="karpenter-")["Rules"]
assert len(rules) == 2 and outputs["Rule"] in [r["Arn"] for r in rules], rules
events.put_events(Entries=[{"Source": "aws.ec2", "DetailType": "EC2 Spot Instance Interruption Warning", "Detail": "{}"}])
assert "Messages" in sqs.receive_message(QueueUrl=outputs["Queue"], WaitTimeSeconds=5)
assert kms.describe_key(KeyId="alias/demo")["KeyMetadata"]["Arn"] == outputs["KeyArn"]
assert logs.describe_log_groups(logGroupNamePrefix=outputs["LogGroup"])["logGroups"][0]["retentionInDays"] == 7
assert [p["Value"] for p in [ssm.get_parameter(Name=p["Name"])["Parameter"] for p in ssm.describe_parameters()["Parameters"]]] == ["demo"]
policy = next(p for p in iam.list_policies(Scope="Local")["Policies"] if p["PolicyName"] == "KarpenterControllerPolicy-demo")
document = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]["Document"]
assert document["Statement"][0]["Resource"] == attributes["QueueArn"], document
gone("karpenter")
assert "QueueUrls" not in sqs.list_queues() or sqs.list_queues()["QueueUrls"] == []
assert events.list_rules()["Rules"] == [] and kms.describe_key(KeyId=outputs["KeyArn"])["KeyMetadata"]["KeyState"] == "PendingDeletion"

ec2.create_default_vpc()
subnets = ",".join(sorted(s["SubnetId"] for s in ec2.describe_subnets()["Subnets"])[:2])
image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["al2023-ami-*-x86_64"]}])["Images"][0]["ImageId"]
given = [{"ParameterKey": "Image", "ParameterValue": image}, {"ParameterKey": "Subnets", "ParameterValue": subnets}]
outputs = made("nodes", TemplateBody=read("nodes.json"), Parameters=given)
group = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[outputs["Group"]])["AutoScalingGroups"][0]
assert [i["LifecycleState"] for i in group["Instances"]] == ["InService"] * 2, group
tags = {t["Key"]: t["Value"] for t in ec2.describe_instances(InstanceIds=[group["Instances"][0]["InstanceId"]])["Reservations"][0]["Instances"][0]["Tags"]}
assert tags["kubernetes.io/cluster/demo"] == "owned" and tags["aws:cloudformation:stack-name"] == "nodes", tags
assert outputs["Address"].startswith("172.31."), outputs
cfn.update_stack(StackName="nodes", UsePreviousTemplate=True, Parameters=[{"ParameterKey": p["ParameterKey"], "UsePreviousValue": True} for p in given] + [{"ParameterKey": "Size", "ParameterValue": "3"}])
cfn.get_waiter("stack_update_complete").wait(StackName="nodes", WaiterConfig=FAST)
assert asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"] == 3
assert cfn.describe_stacks(StackName="nodes")["Stacks"][0]["DriftInformation"]["StackDriftStatus"] == "NOT_CHECKED"
# An update policy has every instance replaced when what they are made from changes.
cfn.update_stack(StackName="nodes", TemplateBody=read("nodes.json").replace("t3.small", "t3.medium"), Parameters=[{"ParameterKey": p, "UsePreviousValue": True} for p in ("Image", "Subnets", "Size")])
cfn.get_waiter("stack_update_complete").wait(StackName="nodes", WaiterConfig=FAST)
rolled = [i for i in asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"] if i["LifecycleState"] == "InService"]
assert [i["InstanceType"] for i in rolled] == ["t3.medium"] * 3, rolled


def drift():
    found = cfn.detect_stack_drift(StackName="nodes")["StackDriftDetectionId"]
    return cfn.describe_stack_drift_detection_status(StackDriftDetectionId=found)


assert drift()["StackDriftStatus"] == "IN_SYNC", cfn.describe_stack_resource_drifts(StackName="nodes")
asg.set_desired_capacity(AutoScalingGroupName=outputs["Group"], DesiredCapacity=2)
assert (drift()["StackDriftStatus"], drift()["DriftedStackResourceCount"]) == ("DRIFTED", 1)
told = cfn.describe_stack_resource_drifts(StackName="nodes", StackResourceDriftStatusFilters=["MODIFIED"])["StackResourceDrifts"][0]
assert told["PropertyDifferences"] == [{"PropertyPath": "/DesiredCapacity", "ExpectedValue": "3", "ActualValue": "2", "DifferenceType": "NOT_EQUAL"}], told
gone("nodes")
assert asg.describe_auto_scaling_groups()["AutoScalingGroups"] == []
assert {i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]} == {"terminated"}
try:
    cfn.create_stack(StackName="sam", TemplateBody=json.dumps({"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}))
    raise AssertionError("a transform was taken")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationError", error
print("templates: as AWS")

# Stack policies: what an update may not touch.
def stack(delay, policy=None):
    body = {"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "kept", "DelaySeconds": delay}}}}
    return dict(StackName="guarded", TemplateBody=json.dumps(body), **({"StackPolicyBody": json.dumps(policy)} if policy else {}))


cfn.create_stack(**stack(1, {"Statement": [{"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Q"}]}))
cfn.get_waiter("stack_create_complete").wait(StackName="guarded", WaiterConfig=FAST)
cfn.update_stack(**stack(2))
try:
    cfn.get_waiter("stack_update_complete").wait(StackName="guarded", WaiterConfig=FAST)
    raise AssertionError("the update was let through")
except Exception as error:
    assert "ROLLBACK" in str(error), error
reasons = [e.get("ResourceStatusReason", "") for e in cfn.describe_stack_events(StackName="guarded")["StackEvents"]]
assert any("denied by stack policy" in reason for reason in reasons), reasons
print("policies: as AWS")
