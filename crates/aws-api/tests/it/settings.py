"""The KMS key of a cluster's Secrets, and its identity provider; the cluster is named demo and ACTIVE, what follows is in TEST_INPUT."""
import json
import os
import time

import boto3

from refusals import refused

ec2, eks, kms = (boto3.client(name) for name in ("ec2", "eks", "kms"))
FAST = {"Delay": 1, "MaxAttempts": 60}


def finished(update):
    for _ in range(120):
        found = eks.describe_update(name="demo", updateId=update["id"])["update"]
        if found["status"] != "InProgress":
            return found
        time.sleep(0.2)
    raise AssertionError(found)


PROVIDER = {"type": "oidc", "name": "people"}


def encryption():
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    config = lambda arn, resources=("secrets",): [{"resources": list(resources), "provider": {"keyArn": arn}}]
    associate = lambda **named: refused("InvalidParameterException", 400, eks.associate_encryption_config, clusterName="demo", **named)
    associate(encryptionConfig=config(key[:-1] + "x"))
    associate(encryptionConfig=config(key, ["pods"]))
    assert "encryptionConfig" not in eks.describe_cluster(name="demo")["cluster"]
    update = eks.associate_encryption_config(clusterName="demo", encryptionConfig=config(key), clientRequestToken="t-1")["update"]
    assert update["type"] == "AssociateEncryptionConfig" and update["status"] == "InProgress", update
    params = {p["type"]: p["value"] for p in update["params"]}
    assert json.loads(params["EncryptionConfig"]) == config(key), params
    assert eks.associate_encryption_config(clusterName="demo", encryptionConfig=config(key), clientRequestToken="t-1")["update"]["id"] == update["id"]
    assert finished(update)["status"] == "Successful"
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
    assert eks.describe_cluster(name="demo")["cluster"]["encryptionConfig"] == config(key)
    refused("InvalidRequestException", 400, eks.associate_encryption_config, clusterName="demo", encryptionConfig=config(key))
    kms.disable_key(KeyId=key)
    issues = eks.describe_cluster(name="demo")["cluster"]["health"]["issues"]
    assert [i["code"] for i in issues] == ["KmsKeyDisabled"] and issues[0]["resourceIds"] == [key], issues
    kms.enable_key(KeyId=key)
    assert eks.describe_cluster(name="demo")["cluster"]["health"]["issues"] == []
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert eks.describe_cluster(name="demo")["cluster"]["health"]["issues"][0]["code"] == "KmsKeyMarkedForDeletion"
    kms.cancel_key_deletion(KeyId=key)
    kms.enable_key(KeyId=key)
    # A cluster may have its key from the beginning.
    subnets = eks.describe_cluster(name="demo")["cluster"]["resourcesVpcConfig"]["subnetIds"]
    made = eks.create_cluster(name="second", roleArn="arn:aws:iam::000000000000:role/r", resourcesVpcConfig={"subnetIds": subnets}, encryptionConfig=config(key))
    assert made["cluster"]["encryptionConfig"] == config(key)


def associate():
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=FAST)
    oidc = {"identityProviderConfigName": "people", "issuerUrl": "https://issuer.example.com/a", "clientId": "kubernetes", "usernameClaim": "email",
            "groupsClaim": "groups", "groupsPrefix": "oidc:", "requiredClaims": {"team": "blue"}}
    refused("InvalidParameterException", 400, eks.associate_identity_provider_config, clusterName="demo", oidc={**oidc, "issuerUrl": "http://a"})
    refused("InvalidParameterException", 400, eks.associate_identity_provider_config, clusterName="demo", oidc={**oidc, "usernamePrefix": "system:"})
    refused("ResourceNotFoundException", 404, eks.describe_identity_provider_config, clusterName="demo", identityProviderConfig=PROVIDER)
    made = eks.associate_identity_provider_config(clusterName="demo", oidc=oidc, tags={"a": "b"})
    assert made["tags"] == {"a": "b"} and made["update"]["type"] == "AssociateIdentityProviderConfig", made
    assert json.loads(made["update"]["params"][0]["value"]) == [PROVIDER], made
    assert finished(made["update"])["status"] == "Successful"
    assert eks.list_identity_provider_configs(clusterName="demo")["identityProviderConfigs"] == [PROVIDER]
    shown = eks.describe_identity_provider_config(clusterName="demo", identityProviderConfig=PROVIDER)["identityProviderConfig"]["oidc"]
    arn = shown.pop("identityProviderConfigArn")
    assert arn.startswith("arn:aws:eks:ap-northeast-2:000000000000:identityproviderconfig/demo/oidc/people/"), arn
    assert shown == {**oidc, "clusterName": "demo", "tags": {"a": "b"}, "status": "ACTIVE"}, shown
    eks.tag_resource(resourceArn=arn, tags={"c": "d"})
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b", "c": "d"}
    refused("ResourceInUseException", 409, eks.associate_identity_provider_config, clusterName="demo", oidc={**oidc, "identityProviderConfigName": "two"})


def disassociate():
    refused("ResourceNotFoundException", 404, eks.disassociate_identity_provider_config, clusterName="demo", identityProviderConfig={**PROVIDER, "name": "x"})
    update = eks.disassociate_identity_provider_config(clusterName="demo", identityProviderConfig=PROVIDER)["update"]
    assert update["type"] == "DisassociateIdentityProviderConfig", update
    assert finished(update)["status"] == "Successful"
    assert eks.list_identity_provider_configs(clusterName="demo")["identityProviderConfigs"] == []
    refused("ResourceNotFoundException", 404, eks.describe_identity_provider_config, clusterName="demo", identityProviderConfig=PROVIDER)


globals()[os.environ["TEST_INPUT"]]()
