"""What control planes write is in the cluster's group, in a stream for each kind that is switched on, until it is switched off."""
import os
import time

import boto3

ec2, eks, logs = (boto3.client(name) for name in ("ec2", "eks", "logs"))
GROUP = "/aws/eks/demo/cluster"
step = os.environ["TEST_INPUT"]


def streams():
    return [stream["logStreamName"] for stream in logs.describe_log_streams(logGroupName=GROUP)["logStreams"]]


def messages(pattern, **more):
    return [event["message"] for event in logs.filter_log_events(logGroupName=GROUP, filterPattern=pattern, **more)["events"]]


def wait(pattern):
    for _ in range(100):
        found = messages(pattern)
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {pattern} in {messages('')}")


if step == "make":
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i * 64}.0/18", AvailabilityZone=f"ap-northeast-2{zone}")["Subnet"]["SubnetId"] for i, zone in enumerate("ab")]
    on = {"clusterLogging": [{"types": ["api", "authenticator", "controllerManager"], "enabled": True}]}
    eks.create_cluster(name="demo", roleArn="arn:aws:iam::000000000000:role/c", resourcesVpcConfig={"subnetIds": subnets}, logging=on)
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    machines = {name[-32:] for name in streams()}
    assert len(machines) == 1, streams()
    kinds = ["authenticator", "cloud-controller-manager", "kube-apiserver", "kube-controller-manager"]
    assert [name[:-33] for name in streams()] == kinds, streams()
elif step == "written":
    assert wait("first") == ["the first line"]
    denied = wait('"access denied"')
    assert "level=warning" in denied[0], denied
    assert messages("unheard") == []
    (stream,) = [name for name in streams() if name.startswith("kube-apiserver-")]
    assert messages("first", logStreamNames=[stream]) == ["the first line"]
    update = eks.update_cluster_config(name="demo", logging={"clusterLogging": [{"types": ["api"], "enabled": False}, {"types": ["scheduler", "audit"], "enabled": True}]})["update"]
    assert update["type"] == "LoggingUpdate"
    names = [name[:-33] for name in streams()]
    assert "kube-scheduler" in names and "kube-apiserver-audit" in names and "kube-apiserver" in names, names
    # A group that somebody removed is there again with the next line.
    logs.delete_log_group(logGroupName=GROUP)
else:
    for _ in range(100):
        if logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
            break
        time.sleep(0.1)
    assert wait("scheduled") == ["scheduled a pod"]
    assert messages("unheard") == []
    # Much is written: the newest of it is kept.
    for _ in range(300):
        bytes_held = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"][0]["storedBytes"]
        if messages("the-last-line"):
            break
        time.sleep(0.1)
    assert messages("the-last-line") and bytes_held <= 3 << 20, bytes_held
print("control plane logs:", step)
