"""Templates in buckets, and stacks of stacks."""
import json
import os
import subprocess

import boto3
from botocore.exceptions import ClientError, WaiterError

from refusals import refused_as as refused

cfn, s3, iam, ec2, ssm = (boto3.client(n) for n in ("cloudformation", "s3", "iam", "ec2", "ssm"))
FAST = {"Delay": 1, "MaxAttempts": 120}
REGION = cfn.meta.region_name
HERE = {"LocationConstraint": REGION}


def aws(*words):
    done = subprocess.run(["aws", *words], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def wait(what, name):
    cfn.get_waiter(f"stack_{what}_complete").wait(StackName=name, WaiterConfig=FAST)


def stack(name):
    return cfn.describe_stacks(StackName=name)["Stacks"][0]


def outputs(name):
    return {o["OutputKey"]: o["OutputValue"] for o in stack(name)["Outputs"]}


# The shelf: what S3's clients put there comes back, and S3's own words for what is not there.
s3.create_bucket(Bucket="templates", CreateBucketConfiguration=HERE)
refused("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket="templates", CreateBucketConfiguration=HERE)
refused("IllegalLocationConstraintException", s3.create_bucket, Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
refused("InvalidBucketName", s3.create_bucket, Bucket="Up", CreateBucketConfiguration=HERE)
assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["templates"]
assert s3.get_bucket_location(Bucket="templates")["LocationConstraint"] == REGION
body = "Grüße & <Klammern>\r\n".encode()
tag = s3.put_object(Bucket="templates", Key="a dir/b+c.txt", Body=body, ContentType="text/plain")["ETag"]
read = s3.get_object(Bucket="templates", Key="a dir/b+c.txt")
assert (read["Body"].read(), read["ContentType"], read["ETag"]) == (body, "text/plain", tag), read
head = s3.head_object(Bucket="templates", Key="a dir/b+c.txt")
assert head["ContentLength"] == len(body) and head["LastModified"].year >= 2026, head
for number in range(3):
    s3.put_object(Bucket="templates", Key=f"many/{number}", Body=b"")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="templates", Prefix="many/", PaginationConfig={"PageSize": 2})
assert [o["Key"] for page in pages for o in page["Contents"]] == ["many/0", "many/1", "many/2"]
shown = aws("s3", "ls", "s3://templates").split()
assert shown == ["PRE", "a", "dir/", "PRE", "many/"], shown
refused("NoSuchKey", s3.get_object, Bucket="templates", Key="none")
refused("404", s3.head_object, Bucket="templates", Key="none")
refused("NoSuchBucket", s3.put_object, Bucket="nobody", Key="none", Body=b"")
refused("BucketNotEmpty", s3.delete_bucket, Bucket="templates")
refused("NotImplemented", s3.put_bucket_versioning, Bucket="templates", VersioningConfiguration={"Status": "Enabled"})
own = os.environ["AWS_ACCESS_KEY_ID"]
for code, key in (("SignatureDoesNotMatch", own), ("InvalidAccessKeyId", "AKIAIOSFODNN7EXAMPLE")):
    refused(code, boto3.client("s3", aws_access_key_id=key, aws_secret_access_key="wrong").list_buckets)

# The guide's VPC, by the URL that the guide gives.
GUIDE = "https://s3.us-west-2.amazonaws.com/amazon-eks/cloudformation/2020-10-29/amazon-eks-vpc-private-subnets.yaml"
assert len(cfn.validate_template(TemplateURL=GUIDE)["Parameters"]) == 5
aws("cloudformation", "create-stack", "--stack-name", "my-eks-vpc-stack", "--template-url", GUIDE)
wait("create", "my-eks-vpc-stack")
made = outputs("my-eks-vpc-stack")
subnets = ec2.describe_subnets(SubnetIds=made["SubnetIds"].split(","))["Subnets"]
assert {s["VpcId"] for s in subnets} == {made["VpcId"]} and len({s["AvailabilityZone"] for s in subnets}) == 2, subnets
cfn.delete_stack(StackName="my-eks-vpc-stack")
wait("delete", "my-eks-vpc-stack")

# A stack in a stack in a stack.
INNER = """
Parameters: {Value: {Type: String}, Words: {Type: CommaDelimitedList}}
Resources:
  One: {Type: AWS::SSM::Parameter, Properties: {Name: !Sub "/inner/${AWS::StackName}", Type: String, Value: !Ref Value}}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sts:AssumeRole", Principal: {Service: ec2.amazonaws.com}}]}}
Outputs: {Name: {Value: !Ref One}, Second: {Value: !Select [1, !Ref Words]}}
"""
MIDDLE = """
Parameters: {Url: {Type: String}, Value: {Type: String}}
Resources:
  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: !Ref Url, Parameters: {Value: !Ref Value, Words: [a, b]}}}
Outputs: {Name: {Value: !GetAtt Inner.Outputs.Name}, Second: {Value: !GetAtt [Inner, Outputs.Second]}}
"""
OUTER = """
Parameters: {Url: {Type: String}, MiddleUrl: {Type: String}, Value: {Type: String, Default: one}}
Resources:
  Middle: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: !Ref MiddleUrl, Parameters: {Url: !Ref Url, Value: !Ref Value}, Tags: [{Key: team, Value: blue}]}}
  After: {Type: AWS::SSM::Parameter, Properties: {Name: /outer/after, Type: String, Value: !GetAtt Middle.Outputs.Name}}
Outputs: {Name: {Value: !GetAtt Middle.Outputs.Name}, Second: {Value: !GetAtt Middle.Outputs.Second}, Id: {Value: !Ref Middle}}
"""
for name, text in (("inner", INNER), ("middle", MIDDLE)):
    s3.put_object(Bucket="templates", Key=f"{name}.yaml", Body=text.encode())
BASE = f"https://templates.s3.{REGION}.amazonaws.com"


def given(**more):
    values = dict(Url=f"{BASE}/inner.yaml", MiddleUrl=f"{BASE}/middle.yaml", **more)
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]


cfn.create_stack(StackName="plain", TemplateBody=OUTER, Parameters=given())
try:
    wait("create", "plain")
    raise AssertionError("identities were made without a capability")
except WaiterError:
    pass
said = [e["ResourceStatusReason"] for e in cfn.describe_stack_events(StackName="plain")["StackEvents"] if e["ResourceStatus"] == "CREATE_FAILED"]
assert any("Embedded stack arn:" in one for one in said), said
cfn.delete_stack(StackName="plain")
wait("delete", "plain")

cfn.create_stack(StackName="outer", TemplateBody=OUTER, Parameters=given(), Capabilities=["CAPABILITY_IAM"])
wait("create", "outer")
made = outputs("outer")
assert made["Second"] == "b" and ssm.get_parameter(Name=made["Name"])["Parameter"]["Value"] == "one", made
assert ssm.get_parameter(Name="/outer/after")["Parameter"]["Value"] == made["Name"]
middle = stack(made["Id"])
assert middle["StackName"].startswith("outer-Middle-") and {"Key": "team", "Value": "blue"} in middle["Tags"], middle
assert middle["ParentId"] == middle["RootId"] == stack("outer")["StackId"], middle
inner = stack(cfn.describe_stack_resource(StackName=made["Id"], LogicalResourceId="Inner")["StackResourceDetail"]["PhysicalResourceId"])
assert (inner["ParentId"], inner["RootId"]) == (middle["StackId"], stack("outer")["StackId"]), inner

cfn.update_stack(StackName="outer", UsePreviousTemplate=True, Parameters=given(Value="two"), Capabilities=["CAPABILITY_IAM"])
wait("update", "outer")
assert ssm.get_parameter(Name=made["Name"])["Parameter"]["Value"] == "two"
assert stack(made["Id"])["StackStatus"] == "UPDATE_COMPLETE", stack(made["Id"])

# What fails after a nested stack was updated takes it back.
broken = OUTER.replace("Name: /outer/after,", "Name: '/outer/after ',")
cfn.update_stack(StackName="outer", TemplateBody=broken, Parameters=given(Value="three"), Capabilities=["CAPABILITY_IAM"])
try:
    wait("update", "outer")
    raise AssertionError("a parameter has a space in its name")
except WaiterError:
    pass
cfn.get_waiter("stack_rollback_complete").wait(StackName="outer", WaiterConfig=FAST)
assert ssm.get_parameter(Name=made["Name"])["Parameter"]["Value"] == "two"

cfn.delete_stack(StackName="outer")
wait("delete", "outer")
assert stack(made["Id"])["StackStatus"] == "DELETE_COMPLETE" and stack(inner["StackId"])["StackStatus"] == "DELETE_COMPLETE"
refused("ParameterNotFound", ssm.get_parameter, Name=made["Name"])

# What the AWS CLI packages and deploys.
with open("inner.yaml", "w") as file:
    file.write(INNER)
with open("local.yaml", "w") as file:
    file.write("""
Resources:
  Inner: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: inner.yaml, Parameters: {Value: packaged, Words: "a,b"}}}
Outputs: {Name: {Value: !GetAtt Inner.Outputs.Name}}
""")
aws("cloudformation", "package", "--template-file", "local.yaml", "--s3-bucket", "templates", "--output-template-file", "packaged.yaml")
aws("cloudformation", "deploy", "--template-file", "packaged.yaml", "--stack-name", "packaged", "--capabilities", "CAPABILITY_IAM")
assert ssm.get_parameter(Name=outputs("packaged")["Name"])["Parameter"]["Value"] == "packaged"
cfn.delete_stack(StackName="packaged")
wait("delete", "packaged")

# URLs that name nothing, and a caller who may not read.
for url, sentence in (("https://example.com/a.yaml", "TemplateURL must be a supported URL."), ("nothing", "TemplateURL must be a supported URL."),
                      (f"{BASE}/none.yaml", "The specified key does not exist."), ("https://s3.amazonaws.com/nobody/a", "The specified bucket does not exist")):
    try:
        cfn.validate_template(TemplateURL=url)
        raise AssertionError(url)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationError" and sentence in error.response["Error"]["Message"], error
iam.create_user(UserName="reader")
allowed = [{"Effect": "Allow", "Action": ["cloudformation:*", "s3:ListBucket"], "Resource": "*"}]
iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allowed}))
keys = iam.create_access_key(UserName="reader")["AccessKey"]
theirs = dict(aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"])
refused("AccessDenied", boto3.client("s3", **theirs).get_object, Bucket="templates", Key="inner.yaml")
assert boto3.client("s3", **theirs).list_objects_v2(Bucket="templates", Prefix="inner")["KeyCount"] == 1
refused("ValidationError", boto3.client("cloudformation", **theirs).validate_template, TemplateURL=f"{BASE}/inner.yaml")
aws("s3", "rm", "s3://templates", "--recursive")
s3.delete_bucket(Bucket="templates")
assert s3.list_buckets()["Buckets"] == []
