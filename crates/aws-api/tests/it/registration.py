"""Registered clusters, subscriptions, and what a cluster here cannot have: certificate authorities of its own and capabilities."""
import base64
import datetime
import re

import boto3
from botocore.exceptions import ClientError

ec2, eks = boto3.client("ec2"), boto3.client("eks")
ROLE = "arn:aws:iam::000000000000:role/connector"


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert found == (code, status), (found, error)
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call} succeeded with {arguments}")


def has(name):
    """Older clients do not know every operation."""
    return name in eks.meta.service_model.operation_names


# A registered cluster waits for an agent.
connector = {"roleArn": ROLE, "provider": "OTHER"}
made = eks.register_cluster(name="elsewhere", connectorConfig=connector, tags={"team": "a"}, clientRequestToken="one")["cluster"]
assert (made["status"], made["tags"], made["connectorConfig"]["provider"]) == ("PENDING", {"team": "a"}, "OTHER"), made
assert re.fullmatch("[0-9a-f-]{36}", made["connectorConfig"]["activationId"]) and len(made["connectorConfig"]["activationCode"]) == 20
assert made["connectorConfig"]["activationExpiry"] - made["createdAt"] == datetime.timedelta(days=3)
again = eks.register_cluster(name="elsewhere", connectorConfig=connector, clientRequestToken="one")["cluster"]
assert again["connectorConfig"] == made["connectorConfig"]
assert "already exists" in refused("ResourceInUseException", 409, eks.register_cluster, name="elsewhere", connectorConfig=connector)
refused("InvalidParameterException", 400, eks.register_cluster, name="b", connectorConfig={**connector, "roleArn": "role"})
assert eks.describe_cluster(name="elsewhere")["cluster"]["arn"] == made["arn"]
assert eks.list_clusters()["clusters"] == [] and eks.list_clusters(include=["all"])["clusters"] == ["elsewhere"]
refused("InvalidParameterException", 400, eks.list_clusters, include=["some"])
refused("ResourceNotFoundException", 404, eks.list_nodegroups, clusterName="elsewhere")
assert "deregistered" in refused("InvalidRequestException", 400, eks.delete_cluster, name="elsewhere")
eks.tag_resource(resourceArn=made["arn"], tags={"more": "b"})
assert eks.list_tags_for_resource(resourceArn=made["arn"])["tags"] == {"team": "a", "more": "b"}

# A cluster of our own beside it.
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i * 64}.0/18", AvailabilityZone=f"ap-northeast-2{zone}")["Subnet"]["SubnetId"] for i, zone in enumerate("ab")]
wanted = dict(roleArn=ROLE, resourcesVpcConfig={"subnetIds": subnets})
assert "already exists" in refused("ResourceInUseException", 409, eks.create_cluster, name="elsewhere", **wanted)
eks.create_cluster(name="demo", **wanted)
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
refused("ResourceInUseException", 409, eks.register_cluster, name="demo", connectorConfig=connector)
assert eks.list_clusters()["clusters"] == ["demo"] and eks.list_clusters(include=["all"])["clusters"] == ["demo", "elsewhere"]
refused("ResourceNotFoundException", 404, eks.deregister_cluster, name="demo")

# Its certificate authority is the one that EKS made.
if has("ListCertificateAuthorities"):
    (one,) = eks.list_certificate_authorities(clusterName="demo")["certificateAuthorities"]
    assert (one["signingStatus"], one["createdBy"]) == ("IN_USE", "EKS"), one
    cluster = eks.describe_cluster(name="demo")["cluster"]
    shown = eks.describe_certificate_authority(clusterName="demo", certificateAuthorityId=one["id"])["certificateAuthority"]
    assert shown["data"] == cluster["certificateAuthority"]["data"] and cluster["certificateAuthority"]["active"]["id"] == one["id"]
    assert shown["validity"]["notBefore"] < shown["validity"]["notAfter"] and base64.b64decode(shown["data"]).startswith(b"-----BEGIN")
    named = dict(clusterName="demo", certificateAuthorityId=one["id"])
    refused("ResourceLimitExceededException", 400, eks.create_certificate_authority, clusterName="demo")
    refused("InvalidParameterException", 400, eks.activate_certificate_authority, **named)
    refused("ResourceInUseException", 409, eks.delete_certificate_authority, **named)
    refused("ResourceNotFoundException", 404, eks.delete_certificate_authority, **{**named, "certificateAuthorityId": "other"})

# Nobody runs capabilities.
if has("CreateCapability"):
    wanted = dict(clusterName="demo", capabilityName="ack", type="ACK", roleArn=ROLE, deletePropagationPolicy="RETAIN")
    assert "not available" in refused("InvalidRequestException", 400, eks.create_capability, **wanted)
    refused("InvalidParameterException", 400, eks.create_capability, **{**wanted, "type": "ARGOCD"})
    refused("ResourceNotFoundException", 404, eks.create_capability, **{**wanted, "clusterName": "none"})
    assert eks.list_capabilities(clusterName="demo")["capabilities"] == []
    for call in (eks.describe_capability, eks.update_capability, eks.delete_capability):
        refused("ResourceNotFoundException", 404, call, clusterName="demo", capabilityName="ack")

assert eks.deregister_cluster(name="elsewhere")["cluster"]["status"] == "DELETING"
refused("ResourceNotFoundException", 404, eks.describe_cluster, name="elsewhere")

# Subscriptions of EKS Anywhere.
refused("InvalidParameterException", 400, eks.create_eks_anywhere_subscription, name="s", term={"duration": 6, "unit": "MONTHS"})
term = {"duration": 12, "unit": "MONTHS"}
made = eks.create_eks_anywhere_subscription(name="s", term=term, licenseQuantity=2, autoRenew=False, tags={"a": "b"})["subscription"]
assert (made["status"], made["licenseQuantity"], made["licenseType"], made["licenseArns"]) == ("ACTIVE", 2, "Cluster", []), made
assert 364 < (made["expirationDate"] - made["effectiveDate"]).days < 367
refused("InvalidParameterException", 400, eks.create_eks_anywhere_subscription, name="s", term=term)
assert eks.update_eks_anywhere_subscription(id=made["id"], autoRenew=True)["subscription"]["autoRenew"]
assert eks.describe_eks_anywhere_subscription(id=made["id"])["subscription"]["autoRenew"]
assert [s["id"] for s in eks.list_eks_anywhere_subscriptions()["subscriptions"]] == [made["id"]]
assert eks.list_eks_anywhere_subscriptions(includeStatus=["EXPIRED"])["subscriptions"] == []
refused("InvalidRequestException", 400, eks.delete_eks_anywhere_subscription, id=made["id"])
refused("ResourceNotFoundException", 404, eks.describe_eks_anywhere_subscription, id="none")
print("registration: as AWS")
