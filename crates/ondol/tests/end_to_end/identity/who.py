"""Prints who a program of the pod is, how it knows, what it may and what it may not: a name and a value on each line."""
import boto3
from botocore.exceptions import ClientError, NoCredentialsError


def tried(call):
    try:
        call()
        return "allowed"
    except ClientError as error:
        return error.response["Error"]["Code"]


session = boto3.Session()
try:
    sts = session.client("sts")
    print("arn", sts.get_caller_identity()["Arn"])
    print("method", session.get_credentials().method)
    print("url", sts.meta.endpoint_url)
    print("vpcs", tried(session.client("ec2").describe_vpcs))
    print("clusters", tried(session.client("eks").list_clusters))
except NoCredentialsError:
    print("arn none")
