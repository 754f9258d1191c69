"""A pytest plugin that lets moto's tests speak to a region of ours.

moto answers at once and believes what it is told; AWS does neither. So the inputs that moto's tests make up (subnets, images,
zones, key pairs, a launch template, trust policies, passwords, version "1") are replaced by ones that exist, those that AWS does not
take (paths without slashes, stack names with underscores, enumerated values in another spelling, templates with identities but without
capabilities, blocks of IPv6 that nobody has) by ones that it takes, and what AWS does
afterwards (clusters become ACTIVE, instances run, stacks are made) is waited for before the test goes on. Tests that stop the clock
of their process sign by the real one, because AWS refuses requests of the past.

Outcomes are written to the file that REGION_OUTCOMES names, one test a line; tests that are in it already are not run again, and
the test that runs now is in the file beside it. A test that fails and needs what the region does not have (another service,
moto's own memory) is not applicable."""
import datetime
import faulthandler
import inspect
import json
import os
import re
import signal
import time

import botocore.auth
import botocore.session
import freezegun.api
import pytest
import requests
from moto.core.models import ServerModeMockAWS

ENDPOINT = os.environ["TEST_SERVER_MODE_ENDPOINT"]
OUTCOMES = os.environ["REGION_OUTCOMES"]
LIMIT = int(os.environ.get("REGION_TEST_LIMIT", "60"))
KEYS = dict(aws_access_key_id="FOOBARKEY", aws_secret_access_key="FOOBARSECRET")
# What a region of ours answers.
SERVED = {"acm", "autoscaling", "cloudformation", "cloudtrail", "ec2", "ecr", "eks", "eks-auth", "elb", "elbv2", "events", "iam", "kms",
          "logs", "pricing", "resourcegroupstaggingapi", "service-quotas", "sqs", "ssm", "sts"}
# Services whose resources templates may have.
RESOURCES = {"AutoScaling", "CloudFormation", "EC2", "ECR", "EKS", "Events", "IAM", "KMS", "Logs", "SQS", "SSM"}
# Signs of a test that looks into moto instead of asking it.
INSIDE = re.compile(r"get_backend\(|_backends?\[|\bbackends\[|config_query|moto_api|set_custom_id|MOTO_EC2_LOAD_DEFAULT_AMIS|"
                    r"mock_account_id|MOTO_ACCOUNT_ID|import moto\b|from moto\.(?!core)|x-moto|moto_proxy")
# A key pair, in OpenSSH's form.
KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1PbUfPYyQ4o2Qf1d1sXb5o0b1kq7bT2m3Y6h7wB0Zk moto").encode()
PASSWORD = "A-good-passw0rd"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
# Instance types of previous generations, which a region of ours does not offer.
OLD_TYPES = {"t1.micro": "t2.micro", "c4.2xlarge": "c5.2xlarge", "c4.large": "c5.large", "m3.medium": "t3.medium", "m4.large": "m5.large"}
PREPARED = set()
IMAGES = {}
ZONES = {}
# VPCs that tests made up, and those that were made for them.
MADE_UP = {}
# Services of the running test that the region does not have.
NEEDED = set()

# Whether a test has spoken to the region since it began anew.
SPOKEN = [True]

CREATE = botocore.session.Session.create_client
SESSION = botocore.session.Session()
CLIENTS = {}


def real_now(remove_tzinfo=True):
    now = freezegun.api.real_datetime.now(datetime.timezone.utc)
    return now.replace(tzinfo=None) if remove_tzinfo else now


botocore.auth.get_current_datetime = real_now


def client(service, region):
    """A client without hooks."""
    if (service, region) not in CLIENTS:
        CLIENTS[service, region] = CREATE(SESSION, service, region_name=region, endpoint_url=ENDPOINT, **KEYS)
    return CLIENTS[service, region]


def prepare(region):
    """What every account has before its first call: a default VPC. And what EKS's tests name."""
    if region in PREPARED or not region or region == "aws-global":
        return
    ec2 = client("ec2", region)
    try:
        ec2.create_default_vpc()
    except ec2.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "DefaultVpcAlreadyExists":
            raise
    PREPARED.add(region)
    if region == "us-east-1" and os.environ.get("REGION_SERVICE") == "eks":
        # Private ones, because Fargate takes no others.
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        made = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{region}{zone}")
                for number, zone in enumerate("ab")]
        from tests.test_eks import test_eks_constants as eks
        eks.SUBNET_IDS[:] = [subnet["Subnet"]["SubnetId"] for subnet in made]
        ec2.import_key_pair(KeyName=eks.REMOTE_ACCESS_VALUE["ec2SshKey"], PublicKeyMaterial=KEY)
        template = ec2.create_launch_template(LaunchTemplateName="moto", LaunchTemplateData={"EbsOptimized": True})["LaunchTemplate"]
        eks.LAUNCH_TEMPLATE_VALUE.clear()
        eks.LAUNCH_TEMPLATE_VALUE.update(id=template["LaunchTemplateId"], version="1")


def reset(self):
    """The region begins anew, unless nobody has spoken to it since it did. A test's time does not run meanwhile: moto would not know
    any more how deep its mocks are nested."""
    if not SPOKEN[0]:
        return
    left = signal.alarm(0)
    PREPARED.clear()
    MADE_UP.clear()
    requests.post(f"{ENDPOINT}/moto-api/reset", timeout=120)
    prepare("us-east-1")
    SPOKEN[0] = False
    signal.alarm(left)


ServerModeMockAWS.reset = reset


def images(region):
    if region not in IMAGES:
        found = client("ec2", region).describe_images()["Images"]
        usual = [image["ImageId"] for image in found if "al2023" in image["Name"] and image["Architecture"] == "x86_64"]
        IMAGES[region] = ({image["ImageId"] for image in found}, (usual or [""])[0])
    return IMAGES[region]


def replaced(service, operation, params, region):
    """The inputs of a call, with what a test made up replaced by what exists."""
    def walk(value):
        for holder in (value.get("LaunchSpecification"), value.get("LaunchTemplateData"), value):
            if not isinstance(holder, dict):
                continue
            known, usual = images(region) if isinstance(holder.get("ImageId"), str) else ((), "")
            if isinstance(holder.get("ImageId"), str) and holder["ImageId"] not in known and usual:
                if "random" not in holder["ImageId"] and "invalid" not in holder["ImageId"] and "test" != holder["ImageId"][4:]:
                    holder["ImageId"] = usual
            if isinstance(holder.get("InstanceType"), str) and holder["InstanceType"] in OLD_TYPES:
                holder["InstanceType"] = OLD_TYPES[holder["InstanceType"]]
            if isinstance(holder.get("KeyName"), str):
                ec2 = client("ec2", region)
                if not ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [holder["KeyName"]]}])["KeyPairs"]:
                    ec2.import_key_pair(KeyName=holder["KeyName"], PublicKeyMaterial=KEY)

    if (service, operation) in (("ec2", "RunInstances"), ("ec2", "RequestSpotInstances"),
                                ("autoscaling", "CreateLaunchConfiguration")):
        params = json_copy(params)
        walk(params)
    if service == "ec2":
        params = zones_replaced(params, region)
        if operation in ("CreateVpc", "CreateSubnet"):
            params = {key: value for key, value in params.items() if key != "Ipv6CidrBlock"}
        if operation == "CreateSecurityGroup" and isinstance(params.get("VpcId"), str):
            MADE_UP.setdefault((region, params["VpcId"]), vpc_for(params["VpcId"], region))
        params = made_up_replaced(params, region)
    if service == "iam" and operation in ("CreateLoginProfile", "UpdateLoginProfile") and "Password" in params:
        params = {**params, "Password": PASSWORD}
    if service == "iam" and operation == "CreateRole" and not is_policy(params.get("AssumeRolePolicyDocument")):
        params = {**params, "AssumeRolePolicyDocument": TRUST}
    if service == "iam" and isinstance(params.get("Path"), str) and params["Path"]:
        params = {**params, "Path": "/" + params["Path"].strip("/") + "/" if params["Path"].strip("/") else "/"}
    if service == "cloudformation":
        if isinstance(params.get("StackName"), str) and not params["StackName"].startswith("arn:"):
            params = {**params, "StackName": stack_name(params["StackName"])}
        if isinstance(params.get("TemplateBody"), str):
            params = {**params, "TemplateBody": template(params["TemplateBody"], region)}
        if operation in ("CreateStack", "UpdateStack", "CreateChangeSet") and not params.get("Capabilities"):
            params = {**params, "Capabilities": ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]}
    return params


def template(text, region):
    """A template that names images and key pairs that exist."""
    known, usual = images(region)
    for name in set(re.findall(r'"?KeyName"?: *"?([\w-]+)"?', text)) - {"Ref"}:
        ec2 = client("ec2", region)
        if not ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])["KeyPairs"]:
            ec2.import_key_pair(KeyName=name, PublicKeyMaterial=KEY)
    return re.sub(r"ami-[0-9a-zA-Z]+", lambda found: found.group(0) if found.group(0) in known else usual, text)


def stack_name(name):
    """A name that CloudFormation takes: a letter, and then letters, digits and hyphens."""
    name = re.sub("[^-a-zA-Z0-9]", "-", name)
    return name if name[:1].isalpha() else "s" + name


def vpc_for(name, region):
    """The VPC of that id, or a new one for an id that a test made up."""
    ec2 = client("ec2", region)
    found = ec2.describe_vpcs(Filters=[{"Name": "vpc-id", "Values": [name]}])["Vpcs"]
    return name if found else ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]


def made_up_replaced(value, region):
    if isinstance(value, dict):
        return {key: made_up_replaced(item, region) for key, item in value.items()}
    if isinstance(value, list):
        return [made_up_replaced(item, region) for item in value]
    return MADE_UP.get((region, value), value) if isinstance(value, str) else value


def zones_replaced(value, region):
    """Zones that the region does not have, by those that it has at the same place."""
    if isinstance(value, dict):
        zoned = {"AvailabilityZone", "AvailabilityZoneId"} & value.keys()
        made = {key: zones_replaced(item, region) for key, item in value.items() if key not in zoned}
        for key in zoned:
            made[key] = zone(value[key], region, "ZoneName" if key == "AvailabilityZone" else "ZoneId")
        return made
    return [zones_replaced(item, region) for item in value] if isinstance(value, list) else value


def zone(name, region, member):
    if not isinstance(name, str) or not name or name[-1] not in "abcdef123456":
        return name
    if region not in ZONES:
        ZONES[region] = client("ec2", region).describe_availability_zones()["AvailabilityZones"]
    known = [one[member] for one in ZONES[region]]
    place = "abcdef123456".index(name[-1]) % 6
    return name if name in known else known[place % len(known)]


def spelled(value, shape):
    """An input with enumerated values as the model spells them: `ALLOW` is `allow`, `lowestPrice` is `lowest-price`."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        return {key: spelled(item, shape.members.get(key)) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [spelled(item, shape.member) for item in value]
    if shape.type_name == "string" and isinstance(value, str) and shape.enum and value not in shape.enum:
        plain = {re.sub("[^a-z0-9]", "", known.lower()): known for known in shape.enum}
        return plain.get(re.sub("[^a-z0-9]", "", value.lower()), value)
    return value


def json_copy(value):
    if isinstance(value, dict):
        return {key: json_copy(item) for key, item in value.items()}
    return [json_copy(item) for item in value] if isinstance(value, list) else value


def is_policy(text):
    try:
        return bool(json.loads(text).get("Statement"))
    except (TypeError, ValueError, AttributeError):
        return False


def until(look, limit=30):
    end = freezegun.api.real_monotonic() + limit
    while freezegun.api.real_monotonic() < end:
        if look():
            return
        time.sleep(0.02)


def wait_for_eks(operation, params, region, parsed):
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

    if "FargateProfile" in operation:
        names = dict(clusterName=params["clusterName"], fargateProfileName=params["fargateProfileName"])
        until(lambda: status(eks.describe_fargate_profile, "fargateProfile", "status", **names) in ("ACTIVE", "CREATE_FAILED", "GONE"))
    elif "Nodegroup" in operation:
        names = dict(clusterName=params["clusterName"], nodegroupName=params["nodegroupName"])
        until(lambda: status(eks.describe_nodegroup, "nodegroup", "status", **names) in ("ACTIVE", "CREATE_FAILED", "GONE"))
    else:
        until(lambda: status(eks.describe_cluster, "cluster", "status", name=params["name"]) in ("ACTIVE", "FAILED", "GONE"))


def wait_for_groups(operation, params, region, parsed):
    """Every group has as many instances in service as it wants, and none on its way."""
    groups = client("autoscaling", region)

    def settled():
        for group in groups.describe_auto_scaling_groups()["AutoScalingGroups"]:
            states = [one["LifecycleState"] for one in group["Instances"]]
            failed = groups.describe_scaling_activities(AutoScalingGroupName=group["AutoScalingGroupName"])["Activities"]
            if failed and failed[0]["StatusCode"] == "Failed":
                continue
            suspended = {process["ProcessName"] for process in group["SuspendedProcesses"]}
            if {"Launch", "Terminate"} & suspended or group.get("Status") and not states:
                continue
            if "Pending" in states or "Terminating" in states or group.get("Status"):
                return False
            if states.count("InService") < group["DesiredCapacity"]:
                return False
        return True

    until(settled, 20)


def wait_for_instances(operation, params, region, parsed):
    ec2 = client("ec2", region)
    moving = {"pending", "stopping", "shutting-down"}
    ids = [one["InstanceId"] for member in ("Instances", "TerminatingInstances", "StoppingInstances", "StartingInstances")
           for one in parsed.get(member, [])]
    until(lambda: not ids or not any(one["State"]["Name"] in moving for group in ec2.describe_instances(InstanceIds=ids)["Reservations"]
                                     for one in group["Instances"]), 20)
    if client("autoscaling", region).describe_auto_scaling_groups()["AutoScalingGroups"]:
        wait_for_groups(operation, params, region, parsed)


def wait_for_stacks(operation, params, region, parsed):
    stacks = client("cloudformation", region)
    until(lambda: not any("IN_PROGRESS" in stack["StackStatus"] and "REVIEW" not in stack["StackStatus"]
                          for stack in stacks.describe_stacks()["Stacks"]), 30)


WAITED = {
    "eks": (wait_for_eks, ("CreateCluster", "DeleteCluster", "CreateNodegroup", "DeleteNodegroup", "CreateFargateProfile",
                           "DeleteFargateProfile")),
    "autoscaling": (wait_for_groups, (
        "CreateAutoScalingGroup", "UpdateAutoScalingGroup", "DeleteAutoScalingGroup", "SetDesiredCapacity", "ExecutePolicy",
        "TerminateInstanceInAutoScalingGroup", "DetachInstances", "EnterStandby", "ExitStandby", "AttachInstances")),
    "ec2": (wait_for_instances, ("RunInstances", "RequestSpotInstances", "TerminateInstances", "StopInstances", "StartInstances")),
    "cloudformation": (wait_for_stacks, ("CreateStack", "UpdateStack", "DeleteStack", "ExecuteChangeSet")),
}


def register(made):
    """Hooks of every client: the region is prepared before its first call, and AWS's later doings are waited for."""
    service, region = made.meta.service_model.service_name, made.meta.region_name
    SPOKEN[0] = True
    if service not in SERVED:
        NEEDED.add(service)
    prepare(region if service != "iam" else "us-east-1")
    asked = {}

    def take(params, model, **_):
        params = replaced(service, model.name, dict(params), region)
        if service == "ec2":
            params = spelled(params, model.input_shape)
        asked[model.name] = params
        return params

    made.meta.events.register_first("provide-client-params.*.*", take)
    wait, operations = WAITED.get(service, (None, ()))
    for operation in operations:
        made.meta.events.register(
            f"after-call.{service_event(made)}.{operation}",
            lambda parsed, model, **_: parsed["ResponseMetadata"]["HTTPStatusCode"] < 300
            and wait(model.name, asked[model.name], region, parsed))
    return made


def service_event(made):
    return made.meta.service_model.service_id.hyphenize()


def create_client(self, service_name, *arguments, **named):
    return register(CREATE(self, service_name, *arguments, **named))


botocore.session.Session.create_client = create_client


def replace_inputs():
    import tests

    image = images("us-east-1")[1]
    for name in ("EXAMPLE_AMI_ID", "EXAMPLE_AMI_ID2", "EXAMPLE_AMI_PARAVIRTUAL"):
        setattr(tests, name, image)
    if os.environ.get("REGION_SERVICE") == "eks":
        from tests.test_eks import test_eks_constants as eks
        eks.VERSION = (eks.VERSION_KEY, "1.33")
        for inputs in (eks.ClusterInputs, eks.NodegroupInputs):
            inputs.OPTIONAL = [("version", "1.33") if pair[0] == eks.VERSION_KEY else pair for pair in inputs.OPTIONAL
                               if pair[0] not in (eks.ENCRYPTION_CONFIG_KEY, eks.REMOTE_NETWORK_CONFIG_KEY, eks.LAUNCH_TEMPLATE_KEY)]


def pytest_configure(config):
    # A file that takes too long ends with its process; the next one goes on after the test that ran.
    faulthandler.dump_traceback_later(int(os.environ.get("REGION_FILE_LIMIT", "1800")), exit=True)
    replace_inputs()


def done():
    if not os.path.exists(OUTCOMES):
        return set()
    with open(OUTCOMES, encoding="utf-8") as file:
        return {line.split("\t")[1] for line in file if line.count("\t") > 1}


def pytest_collection_modifyitems(config, items):
    known = done()
    items[:] = [item for item in items if item.nodeid not in known]


class TookTooLong(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    def end(*_):
        signal.alarm(5)
        raise TookTooLong(f"more than {LIMIT} s")

    NEEDED.clear()
    with open(OUTCOMES + ".now", "w", encoding="utf-8") as file:
        file.write(item.nodeid)
    signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    os.remove(OUTCOMES + ".now")


def not_applicable(item, why):
    """Why a test that failed says nothing about the region; nothing when it does."""
    needed = NEEDED - SERVED
    kinds = re.search(r"Unrecognized resource types: \[(.*?)\]", why)
    if kinds:
        foreign = [kind for kind in kinds.group(1).split(", ") if kind.split("::")[1] not in RESOURCES]
        if foreign:
            return f"needs {', '.join(foreign)}, of services that a region of ours does not have"
    missing = re.search(r"\(InvalidAction\) when calling the (\w+) operation", why)
    if missing and missing.group(1) not in client(os.environ["REGION_SERVICE"], "us-east-1").meta.service_model.operation_names:
        return f"needs {missing.group(1)}, of another service"
    if needed:
        return f"needs {', '.join(sorted(needed))}, which a region of ours does not have"
    function = inspect.unwrap(getattr(item, "function", None))
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return None
    found = INSIDE.search(source)
    return f"looks into moto itself ({found.group(0).strip()})" if found else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        outcome, why = report.outcome, ""
        if outcome == "failed" and call.excinfo is not None:
            said = str(call.excinfo.value).strip().splitlines() or [""]
            why = f"{call.excinfo.typename}: {said[0]}"[:300]
            reason = not_applicable(item, why)
            if reason:
                outcome, why = "skipped", reason
        elif outcome == "skipped":
            last = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr).strip().splitlines()[-1]
            why = f"skipped by moto: {last}"[:300]
        with open(OUTCOMES, "a", encoding="utf-8") as file:
            file.write(f"{outcome}\t{item.nodeid}\t{why}\n".replace("\n\n", "\n"))
