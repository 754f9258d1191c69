"""AssumeRoleWithWebIdentity, unsigned, with tokens that the cluster could have signed."""
import json
import os

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from refusals import refused

tokens = json.loads(os.environ["TEST_INPUT"])
sts = boto3.client("sts", config=Config(signature_version=UNSIGNED))
role = "arn:aws:iam::000000000000:role/app"


def ask(token, arn=role):
    return dict(RoleArn=arn, RoleSessionName="pod", WebIdentityToken=token)


got = sts.assume_role_with_web_identity(**ask(tokens["good"]))
assert got["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/app/pod", got
assert got["SubjectFromWebIdentityToken"] == "system:serviceaccount:default:app" and got["Audience"] == "sts.amazonaws.com"
keys = dict(aws_access_key_id=got["Credentials"]["AccessKeyId"], aws_secret_access_key=got["Credentials"]["SecretAccessKey"],
            aws_session_token=got["Credentials"]["SessionToken"])
assert boto3.client("sts", **keys).get_caller_identity()["Arn"].endswith("assumed-role/app/pod")
assert len(boto3.client("ec2", **keys).describe_vpcs()["Vpcs"]) == 1
refused("AccessDeniedException", 403, boto3.client("eks", **keys).list_clusters)
refused("UnauthorizedOperation", 403, boto3.client("ec2", **keys).describe_subnets)
refused("AccessDenied", 403, sts.assume_role_with_web_identity, **ask(tokens["other"]))
refused("AccessDenied", 403, sts.assume_role_with_web_identity, **ask(tokens["good"], role + "x"))
refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **ask(tokens["audience"]))
refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **ask(tokens["forged"]))
refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **ask("nonsense"))
refused("ExpiredTokenException", 400, sts.assume_role_with_web_identity, **ask(tokens["expired"]))

# The way pods go: a token in a file, named by the environment.
with open("token", "w") as file:
    file.write(tokens["good"])
for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    del os.environ[name]
os.environ.update(AWS_ROLE_ARN=role, AWS_WEB_IDENTITY_TOKEN_FILE=os.path.abspath("token"))
assert len(boto3.Session().client("ec2").describe_vpcs()["Vpcs"]) == 1
print("web identity: as AWS")
