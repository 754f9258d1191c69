"""Pod identity associations and the credentials that a pod's token is worth."""
import json
import os

import boto3

from refusals import refused

tokens = json.loads(os.environ["TEST_INPUT"])
eks, iam, auth = boto3.client("eks"), boto3.client("iam"), boto3.client("eks-auth")

trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"]}]}
role = iam.create_role(RoleName="pods", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
iam.put_role_policy(RoleName="pods", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/kubernetes-namespace": "default"}}}]}))
wanted = dict(clusterName="demo", namespace="default", serviceAccount="app", roleArn=role)
made = eks.create_pod_identity_association(**wanted, tags={"k": "v"})["association"]
assert made["associationId"].startswith("a-") and made["associationArn"].endswith(f"podidentityassociation/demo/{made['associationId']}"), made
refused("ResourceInUseException", 409, eks.create_pod_identity_association, **wanted)
listed = eks.list_pod_identity_associations(clusterName="demo", namespace="default")["associations"]
assert [a["associationId"] for a in listed] == [made["associationId"]] and "roleArn" not in listed[0]
assert eks.list_pod_identity_associations(clusterName="demo", namespace="other")["associations"] == []

got = auth.assume_role_for_pod_identity(clusterName="demo", token=tokens["good"])
assert got["subject"] == {"namespace": "default", "serviceAccount": "app"} and got["podIdentityAssociation"]["associationId"] == made["associationId"]
keys = dict(aws_access_key_id=got["credentials"]["accessKeyId"], aws_secret_access_key=got["credentials"]["secretAccessKey"], aws_session_token=got["credentials"]["sessionToken"])
assert len(boto3.client("ec2", **keys).describe_vpcs()["Vpcs"]) == 1
refused("UnauthorizedOperation", 403, boto3.client("ec2", **keys).describe_subnets)
refused("ResourceNotFoundException", 404, auth.assume_role_for_pod_identity, clusterName="demo", token=tokens["other"])
refused("InvalidTokenException", 400, auth.assume_role_for_pod_identity, clusterName="demo", token=tokens["audience"])
refused("InvalidTokenException", 400, auth.assume_role_for_pod_identity, clusterName="demo", token="nonsense")
refused("ResourceNotFoundException", 404, auth.assume_role_for_pod_identity, clusterName="other", token=tokens["good"])
eks.update_pod_identity_association(clusterName="demo", associationId=made["associationId"], disableSessionTags=True)
got = auth.assume_role_for_pod_identity(clusterName="demo", token=tokens["good"])["credentials"]
keys = dict(aws_access_key_id=got["accessKeyId"], aws_secret_access_key=got["secretAccessKey"], aws_session_token=got["sessionToken"])
refused("UnauthorizedOperation", 403, boto3.client("ec2", **keys).describe_vpcs)
eks.delete_pod_identity_association(clusterName="demo", associationId=made["associationId"])
refused("ResourceNotFoundException", 404, eks.describe_pod_identity_association, clusterName="demo", associationId=made["associationId"])
print("pod identity: as AWS")
