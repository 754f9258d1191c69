"""Requests that prove no identity, or are no requests, are refused as each service does."""
import datetime
import os
import urllib.error
import urllib.request

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from refusals import refused

KEY, SECRET, URL = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ["AWS_ENDPOINT_URL"]

wrong = dict(aws_access_key_id=KEY, aws_secret_access_key="wrong")
unknown = dict(aws_access_key_id="AKIAUNKNOWNUNKNOWN00", aws_secret_access_key=SECRET)
temporary = dict(aws_access_key_id=KEY, aws_secret_access_key=SECRET, aws_session_token="token")
refused("SignatureDoesNotMatch", 403, boto3.client("sts", **wrong).get_caller_identity)
refused("InvalidSignatureException", 403, boto3.client("eks", **wrong).list_clusters)
refused("AuthFailure", 401, boto3.client("ec2", **wrong).describe_vpcs)
for credentials in (unknown, temporary):
    refused("InvalidClientTokenId", 403, boto3.client("sts", **credentials).get_caller_identity)
    refused("UnrecognizedClientException", 403, boto3.client("eks", **credentials).list_clusters)
    refused("AuthFailure", 401, boto3.client("ec2", **credentials).describe_vpcs)
assert "mars-north-1" in refused("InvalidSignatureException", 403, boto3.client("eks", region_name="mars-north-1").list_clusters)


def send(method, path, body=b"", service="eks", sign=True, shift=0, headers=(), content_type="application/json"):
    """Status, error code header and body of a request that may be signed in the past or the future."""
    request = AWSRequest(method=method, url=URL + path, data=body, headers={"Content-Type": content_type, **dict(headers)})
    if sign:
        real = datetime.datetime

        class Shifted(real):
            @classmethod
            def now(cls, tz=None):
                return real.now(tz) + datetime.timedelta(minutes=shift)

            @classmethod
            def utcnow(cls):
                return real.utcnow() + datetime.timedelta(minutes=shift)

        datetime.datetime = Shifted
        import botocore.auth
        import botocore.compat
        current = getattr(botocore.auth, "get_current_datetime", None)
        if current:
            botocore.auth.get_current_datetime = lambda *a, **k: current(*a, **k) + datetime.timedelta(minutes=shift)
        SigV4Auth(Credentials(KEY, SECRET), service, "ap-northeast-2").add_auth(request)
        if current:
            botocore.auth.get_current_datetime = current
        datetime.datetime = real
    prepared = request.prepare()
    plain = urllib.request.Request(prepared.url, data=body or None, headers=dict(prepared.headers), method=method)
    try:
        with urllib.request.urlopen(plain) as answer:
            return answer.status, None, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-amzn-errortype"), error.read().decode()


assert send("GET", "/clusters")[0] == 200
status, code, body = send("GET", "/clusters", shift=-20)
assert (status, code) == (403, "InvalidSignatureException") and "Signature expired" in body, (status, code, body)
status, code, body = send("GET", "/clusters", shift=20)
assert (status, code) == (403, "InvalidSignatureException") and "Signature not yet current" in body, (status, code, body)
assert send("GET", "/clusters", sign=False)[:2] == (403, "MissingAuthenticationTokenException")
assert send("GET", "/nothing/here")[:2] == (403, "MissingAuthenticationTokenException")
assert send("POST", "/clusters", body=b"{")[:2] == (400, "SerializationException")
assert send("POST", "/clusters", body=b"[]")[:2] == (400, "SerializationException")
status, code, body = send("POST", "/clusters", body=b'{"name": 7}')
assert (status, code) == (400, "SerializationException") and "name" in body, body
status, code, body = send("POST", "/clusters", body=b'{"name": "x"}')
assert (status, code) == (400, "InvalidParameterException") and "roleArn" in body, body
assert send("POST", "/clusters", body=b" " * (3 << 20))[:2] == (413, "RequestEntityTooLargeException")
form = "application/x-www-form-urlencoded; charset=utf-8"
status, _, body = send("POST", "/", body=b"Action=Nonsense&Version=2011-06-15", service="sts", content_type=form)
assert status == 400 and "<Code>InvalidAction</Code>" in body, body
status, _, body = send("POST", "/", body=b"Version=2011-06-15", service="sts", content_type=form)
assert status == 400 and "<Code>MissingAction</Code>" in body, body
status, _, body = send("POST", "/", body=b"Action=CreateVpc&Version=2016-11-15", service="ec2", content_type=form)
assert status == 400 and "<Code>MissingParameter</Code>" in body, body
status, code, _ = send("GET", "/", service="sagemaker")
assert (status, code) == (404, "UnknownServiceException"), (status, code)
import json
status, _, body = send("POST", "/", body=b"Action=GetCallerIdentity&Version=2011-06-15", service="sts", content_type=form, headers={"Accept": "application/json"})
assert json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"] == "000000000000", body
url = boto3.client("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET")
with urllib.request.urlopen(url) as answer:
    assert b"<Account>000000000000</Account>" in answer.read()
print("signatures: as AWS")
