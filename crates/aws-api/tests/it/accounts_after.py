"""What accounts.py has made is there after a restart, each in its place."""
import json
import os

import boto3

second = json.loads(os.environ["TEST_INPUT"])
keys = json.load(open("keys.json"))
theirs = dict(aws_access_key_id=second["accessKeyId"], aws_secret_access_key=second["secretAccessKey"])
for region, own, account in (("ap-northeast-2", {}, "000000000000"), ("us-west-2", {}, "000000000000"), ("us-west-2", theirs, "222222222222")):
    where = boto3.Session(region_name=region, **own)
    found = where.client("eks").describe_cluster(name="same")["cluster"]
    assert found["arn"] == f"arn:aws:eks:{region}:{account}:cluster/same" and found["status"] == "ACTIVE", found
lea = boto3.Session(region_name="us-west-2", **keys["lea"])
assert lea.client("eks").list_clusters()["clusters"] == ["same"]
visitor = boto3.Session(region_name="us-west-2", **keys["visitor"])
assert visitor.client("sts").get_caller_identity()["Account"] == "222222222222"
assert boto3.Session(region_name="ap-northeast-2", **theirs).client("eks").list_clusters()["clusters"] == []
for region, own in (("ap-northeast-2", {}), ("us-west-2", {}), ("us-west-2", theirs)):
    eks = boto3.Session(region_name=region, **own).client("eks")
    eks.delete_nodegroup(clusterName="same", nodegroupName="workers")
    eks.get_waiter("nodegroup_deleted").wait(clusterName="same", nodegroupName="workers", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    eks.delete_cluster(name="same")
    eks.get_waiter("cluster_deleted").wait(name="same", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
print("accounts: as before")
