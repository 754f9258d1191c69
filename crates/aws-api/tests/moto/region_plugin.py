"""A pytest plugin that lets moto's tests speak to a region of ours.

moto answers at once and believes what it is told; AWS does neither. So the inputs that moto's tests make up (subnets, images,
a launch template, version "1") are replaced by ones that exist, and what AWS does afterwards (clusters become ACTIVE, instances
run) is waited for before the test goes on. Outcomes are written to the file that REGION_OUTCOMES names, one test a line."""
import os
import time

import botocore.session
import pytest
import requests
from moto.core.models import ServerModeMockAWS

ENDPOINT = os.environ["TEST_SERVER_MODE_ENDPOINT"]
KEYS = dict(aws_access_key_id="FOOBARKEY", aws_secret_access_key="FOOBARSECRET")
PREPARED = set()


CREATE = botocore.session.Session.create_client


def client(service, region):
    """A client without hooks."""
    return CREATE(botocore.session.get_session(), service, region_name=region, endpoint_url=ENDPOINT, **KEYS)


def prepare(region):
    """What every account has before its first call: a default VPC. And the subnets that EKS's tests name."""
    if region in PREPARED or not region:
        return
    PREPARED.add(region)
    ec2 = client("ec2", region)
    try:
        ec2.create_default_vpc()
    except ec2.exceptions.ClientError:
        return
    subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])
    if region == "us-east-1":
        from tests.test_eks import test_eks_constants as eks
        eks.SUBNET_IDS[:] = [subnet["SubnetId"] for subnet in subnets[:2]]


def reset(self):
    if not ServerModeMockAWS._RESET_IN_PROGRESS:
        ServerModeMockAWS._RESET_IN_PROGRESS = True
        try:
            PREPARED.clear()
            requests.post(f"{ENDPOINT}/moto-api/reset", timeout=60)
            prepare("us-east-1")
        finally:
            ServerModeMockAWS._RESET_IN_PROGRESS = False


ServerModeMockAWS.reset = reset


def until(look, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.02)


def waiting(operation, params, region):
    """Waits for what AWS does after a call has been answered."""
    eks = client("eks", region)
    gone = eks.exceptions.ResourceNotFoundException

    def status(call, *path, **names):
        try:
            found = call(**names)
        except gone:
            return "GONE"
        for part in path:
            found = found[part]
        return found

    if operation in ("CreateCluster", "DeleteCluster"):
        until(lambda: status(eks.describe_cluster, "cluster", "status", name=params["name"]) in ("ACTIVE", "FAILED", "GONE"))
    if operation in ("CreateNodegroup", "DeleteNodegroup"):
        names = dict(clusterName=params["clusterName"], nodegroupName=params["nodegroupName"])
        until(lambda: status(eks.describe_nodegroup, "nodegroup", "status", **names) in ("ACTIVE", "CREATE_FAILED", "GONE"))
    if operation in ("CreateFargateProfile", "DeleteFargateProfile"):
        names = dict(clusterName=params["clusterName"], fargateProfileName=params["fargateProfileName"])
        until(lambda: status(eks.describe_fargate_profile, "fargateProfile", "status", **names) in ("ACTIVE", "CREATE_FAILED", "GONE"))


WAITED = {"eks": ("CreateCluster", "DeleteCluster", "CreateNodegroup", "DeleteNodegroup", "CreateFargateProfile", "DeleteFargateProfile")}


def register(made):
    """Hooks of every client: the region is prepared before its first call, and AWS's later doings are waited for."""
    service, region = made.meta.service_model.service_name, made.meta.region_name
    prepare(region)
    asked = {}
    made.meta.events.register_first("provide-client-params.*.*", lambda params, model, **_: asked.update({model.name: dict(params)}))
    for operation in WAITED.get(service, ()):
        made.meta.events.register(
            f"after-call.{service}.{operation}",
            lambda parsed, model, **_: parsed["ResponseMetadata"]["HTTPStatusCode"] < 300 and waiting(model.name, asked[model.name], region),
        )
    return made


def create_client(self, service_name, *arguments, **named):
    made = CREATE(self, service_name, *arguments, **named)
    return register(made)


botocore.session.Session.create_client = create_client


def replace_inputs():
    import tests
    from tests.test_eks import test_eks_constants as eks

    image = client("ec2", "us-east-1").describe_images(Filters=[{"Name": "name", "Values": ["al2023-ami-*-x86_64"]}])["Images"][0]["ImageId"]
    for name in ("EXAMPLE_AMI_ID", "EXAMPLE_AMI_ID2", "EXAMPLE_AMI_PARAVIRTUAL"):
        setattr(tests, name, image)
    eks.VERSION = (eks.VERSION_KEY, "1.33")
    for inputs in (eks.ClusterInputs, eks.NodegroupInputs):
        inputs.OPTIONAL = [("version", "1.33") if pair[0] == eks.VERSION_KEY else pair for pair in inputs.OPTIONAL
                           if pair[0] not in (eks.ENCRYPTION_CONFIG_KEY, eks.REMOTE_ACCESS_KEY, eks.LAUNCH_TEMPLATE_KEY)]


def pytest_configure(config):
    replace_inputs()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        why = "" if report.outcome == "passed" else str(report.longrepr).strip().splitlines()[-1][:300]
        if report.outcome == "failed" and call.excinfo is not None:
            why = f"{call.excinfo.typename}: {str(call.excinfo.value).strip().splitlines()[0] if str(call.excinfo.value).strip() else ''}"[:300]
        with open(os.environ["REGION_OUTCOMES"], "a", encoding="utf-8") as file:
            file.write(f"{report.outcome}\t{item.nodeid}\t{why}\n")
