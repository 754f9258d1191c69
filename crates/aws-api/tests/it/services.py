"""Parameters, keys, logs and load balancers, each answer parsed by botocore's models."""
import boto3

from refusals import refused

ec2, ssm, kms, logs, elb = (boto3.client(name) for name in ("ec2", "ssm", "kms", "logs", "elbv2"))
ACCOUNT = boto3.client("sts").get_caller_identity()["Account"]

# Parameters: AWS's own.
root = "/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/arm64/standard/recommended"
image = ssm.get_parameter(Name=root + "/image_id")["Parameter"]
assert image["Value"].startswith("ami-") and image["DataType"] == "aws:ec2:image", image
name = ec2.describe_images(ImageIds=[image["Value"]])["Images"][0]["Name"]
assert name == "amazon-eks-node-al2023-arm64-standard-1.33-v20261101"
assert ssm.get_parameter(Name=f"/aws/service/eks/optimized-ami/1.33/amazon-linux-2023/arm64/standard/{name}/image_id")["Parameter"]["Value"] == image["Value"]
found = ssm.get_parameters(Names=["/aws/service/bottlerocket/aws-k8s-1.33/x86_64/latest/image_id", "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "/none"])
assert len(found["Parameters"]) == 2 and found["InvalidParameters"] == ["/none"], found
recommended = ssm.get_parameters_by_path(Path=root)["Parameters"]
assert sorted(p["Name"].rsplit("/", 1)[1] for p in recommended) == ["image_id", "image_name", "release_version"], recommended
refused("ParameterNotFound", 400, ssm.get_parameter, Name="/aws/service/none")
# Parameters: a user's.
refused("AccessDeniedException", 400, ssm.put_parameter, Name="/aws/x", Value="v", Type="String")
assert ssm.put_parameter(Name="/app/db/host", Value="a", Type="String", Description="d", Tags=[{"Key": "t", "Value": "u"}]) | {"ResponseMetadata": 0} == {"Version": 1, "Tier": "Standard", "ResponseMetadata": 0}
refused("ParameterAlreadyExists", 400, ssm.put_parameter, Name="/app/db/host", Value="b", Type="String")
assert ssm.put_parameter(Name="/app/db/host", Value="b", Overwrite=True)["Version"] == 2
ssm.put_parameter(Name="/app/db/password", Value="s", Type="SecureString")
ssm.put_parameter(Name="/app/name", Value="n", Type="String")
assert ssm.get_parameter(Name="/app/db/host:1")["Parameter"]["Value"] == "a"
refused("ParameterVersionNotFound", 400, ssm.get_parameter, Name="/app/db/host:7")
assert ssm.get_parameter(Name="/app/db/password")["Parameter"]["Value"] != "s"
assert ssm.get_parameter(Name="/app/db/password", WithDecryption=True)["Parameter"]["Value"] == "s"
assert [p["Name"] for p in ssm.get_parameters_by_path(Path="/app")["Parameters"]] == ["/app/name"]
pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/app", Recursive=True, PaginationConfig={"PageSize": 1})
assert [p["Name"] for page in pages for p in page["Parameters"]] == ["/app/db/host", "/app/db/password", "/app/name"]
assert [h["Value"] for h in ssm.get_parameter_history(Name="/app/db/host")["Parameters"]] == ["a", "b"]
ssm.label_parameter_version(Name="/app/db/host", ParameterVersion=1, Labels=["old"])
assert ssm.get_parameter(Name="/app/db/host:old")["Parameter"]["Selector"] == ":old"
described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": ["/app/db"]}])["Parameters"]
assert [p["Name"] for p in described] == ["/app/db/host", "/app/db/password"] and described[0]["Description"] == "d", described
assert ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/app/db/host")["TagList"] == [{"Key": "t", "Value": "u"}]
assert ssm.delete_parameters(Names=["/app/name", "/x"]) | {"ResponseMetadata": 0} == {"DeletedParameters": ["/app/name"], "InvalidParameters": ["/x"], "ResponseMetadata": 0}
refused("ParameterNotFound", 400, ssm.delete_parameter, Name="/app/name")

# Keys that encrypt.
key = kms.create_key(Description="k", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
assert key["Arn"] == f"arn:aws:kms:ap-northeast-2:{ACCOUNT}:key/{key['KeyId']}" and key["KeyState"] == "Enabled" and "Material" not in key, key
kms.create_alias(AliasName="alias/app", TargetKeyId=key["KeyId"])
refused("AlreadyExistsException", 400, kms.create_alias, AliasName="alias/app", TargetKeyId=key["KeyId"])
refused("NotFoundException", 400, kms.describe_key, KeyId="alias/none")
assert kms.describe_key(KeyId="alias/app")["KeyMetadata"]["KeyId"] == key["KeyId"]
assert kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["KeyManager"] == "AWS"
blob = kms.encrypt(KeyId="alias/app", Plaintext=b"secret", EncryptionContext={"for": "x"})["CiphertextBlob"]
assert b"secret" not in blob and kms.encrypt(KeyId="alias/app", Plaintext=b"secret", EncryptionContext={"for": "x"})["CiphertextBlob"] != blob
opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext={"for": "x"})
assert opened["Plaintext"] == b"secret" and opened["KeyId"] == key["Arn"], opened
refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=blob)
refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=blob[:-1] + bytes([blob[-1] ^ 1]), EncryptionContext={"for": "x"})
other = kms.create_key()["KeyMetadata"]["KeyId"]
refused("IncorrectKeyException", 400, kms.decrypt, CiphertextBlob=blob, EncryptionContext={"for": "x"}, KeyId=other)
moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext={"for": "x"}, DestinationKeyId=other)["CiphertextBlob"]
assert kms.decrypt(CiphertextBlob=moved)["Plaintext"] == b"secret"
data = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
assert len(data["Plaintext"]) == 32 and kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"] == data["Plaintext"]
assert len(kms.generate_random(NumberOfBytes=7)["Plaintext"]) == 7
refused("ValidationException", 400, kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x" * 4097)
kms.disable_key(KeyId=key["KeyId"])
refused("DisabledException", 400, kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x")
kms.enable_key(KeyId=key["KeyId"])
kms.enable_key_rotation(KeyId=key["KeyId"])
assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]
grant = kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/r", Operations=["Decrypt"], Name="n")
assert kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/r", Operations=["Decrypt"], Name="n")["GrantId"] == grant["GrantId"]
assert [g["GrantId"] for g in kms.list_grants(KeyId=key["KeyId"])["Grants"]] == [grant["GrantId"]]
kms.revoke_grant(KeyId=key["KeyId"], GrantId=grant["GrantId"])
assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
assert kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)["KeyState"] == "PendingDeletion"
refused("KMSInvalidStateException", 400, kms.decrypt, CiphertextBlob=moved)
kms.cancel_key_deletion(KeyId=other)
refused("UnsupportedOperationException", 400, kms.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")

# Logs.
logs.create_log_group(logGroupName="/app", tags={"a": "b"})
refused("ResourceAlreadyExistsException", 400, logs.create_log_group, logGroupName="/app")
refused("ResourceNotFoundException", 400, logs.create_log_stream, logGroupName="/none", logStreamName="s")
logs.create_log_stream(logGroupName="/app", logStreamName="s")
refused("InvalidParameterException", 400, logs.put_retention_policy, logGroupName="/app", retentionInDays=2)
logs.put_retention_policy(logGroupName="/app", retentionInDays=7)
logs.put_log_events(logGroupName="/app", logStreamName="s", logEvents=[{"timestamp": 1000 + i, "message": f"line {i}"} for i in range(5)])
logs.put_log_events(logGroupName="/app", logStreamName="s", logEvents=[{"timestamp": 2000, "message": "ERROR at last"}])
refused("InvalidParameterException", 400, logs.put_log_events, logGroupName="/app", logStreamName="s", logEvents=[{"timestamp": 2, "message": "b"}, {"timestamp": 1, "message": "a"}])
read = logs.get_log_events(logGroupName="/app", logStreamName="s", startFromHead=True, limit=4)
assert [e["message"] for e in read["events"]] == [f"line {i}" for i in range(4)], read
read = logs.get_log_events(logGroupName="/app", logStreamName="s", startFromHead=True, nextToken=read["nextForwardToken"])
assert [e["message"] for e in read["events"]] == ["line 4", "ERROR at last"]
assert logs.get_log_events(logGroupName="/app", logStreamName="s", startFromHead=True, nextToken=read["nextForwardToken"])["nextForwardToken"] == read["nextForwardToken"]
hits = logs.filter_log_events(logGroupName="/app", filterPattern="ERROR")["events"]
assert [(e["logStreamName"], e["timestamp"]) for e in hits] == [("s", 2000)], hits
group = logs.describe_log_groups(logGroupNamePrefix="/a")["logGroups"][0]
assert group["retentionInDays"] == 7 and group["storedBytes"] > 0 and group["arn"].endswith(":log-group:/app:*"), group
assert logs.describe_log_streams(logGroupName="/app")["logStreams"][0]["lastEventTimestamp"] == 2000
assert logs.list_tags_for_resource(resourceArn=group["arn"][:-2])["tags"] == {"a": "b"}
logs.delete_log_group(logGroupName="/app")
refused("ResourceNotFoundException", 400, logs.get_log_events, logGroupName="/app", logStreamName="s")

# Load balancers.
ec2.create_default_vpc()
subnets = ec2.describe_subnets()["Subnets"]
vpc, ids = subnets[0]["VpcId"], [s["SubnetId"] for s in subnets[:2]]
refused("OperationNotPermitted", 400, elb.create_load_balancer, Name="web", Subnets=ids)
refused("SubnetNotFound", 400, elb.create_load_balancer, Name="web", Type="network", Subnets=["subnet-00000000"])
refused("ValidationError", 400, elb.create_load_balancer, Name="-web", Type="network", Subnets=ids)
wanted = dict(Name="k8s-default-web-0123456789", Type="network", Scheme="internal", Subnets=ids, Tags=[{"Key": "elbv2.k8s.aws/cluster", "Value": "demo"}])
balancer = elb.create_load_balancer(**wanted)["LoadBalancers"][0]
assert balancer["State"]["Code"] == "provisioning" and balancer["VpcId"] == vpc and balancer["DNSName"].startswith("internal-k8s-default-web-"), balancer
arn = balancer["LoadBalancerArn"]
assert elb.create_load_balancer(**wanted)["LoadBalancers"][0]["LoadBalancerArn"] == arn
refused("DuplicateLoadBalancerName", 400, elb.create_load_balancer, **{**wanted, "Scheme": "internet-facing"})
elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 10})
refused("LoadBalancerNotFound", 400, elb.describe_load_balancers, Names=["none"])
assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == wanted["Tags"]
target = elb.create_target_group(Name="tg", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip")["TargetGroups"][0]
assert target["HealthCheckProtocol"] == "TCP" and target["LoadBalancerArns"] == [], target
elb.register_targets(TargetGroupArn=target["TargetGroupArn"], Targets=[{"Id": "172.31.0.9"}, {"Id": "172.31.0.10", "Port": 81}])
health = elb.describe_target_health(TargetGroupArn=target["TargetGroupArn"])["TargetHealthDescriptions"]
assert [h["TargetHealth"]["Reason"] for h in health] == ["Target.NotInUse"] * 2 and health[0]["Target"]["Port"] == 80, health
refused("TargetGroupNotFound", 400, elb.create_listener, LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": target["TargetGroupArn"] + "x"}])
listener = elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": target["TargetGroupArn"]}])["Listeners"][0]
refused("DuplicateListener", 400, elb.create_listener, LoadBalancerArn=arn, Protocol="TCP", Port=80, DefaultActions=[{"Type": "forward", "TargetGroupArn": target["TargetGroupArn"]}])
assert elb.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"][0]["LoadBalancerArns"] == [arn]
assert [r["Priority"] for r in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]] == ["default"]
refused("ResourceInUse", 400, elb.delete_target_group, TargetGroupArn=target["TargetGroupArn"])
elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}])
refused("OperationNotPermitted", 400, elb.delete_load_balancer, LoadBalancerArn=arn)
elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}])
refused("InvalidConfigurationRequest", 400, elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[{"Key": "none", "Value": "x"}])
elb.deregister_targets(TargetGroupArn=target["TargetGroupArn"], Targets=[{"Id": "172.31.0.9"}])
health = elb.describe_target_health(TargetGroupArn=target["TargetGroupArn"])["TargetHealthDescriptions"]
assert [(h["Target"]["Id"], h["TargetHealth"]["State"]) for h in health] == [("172.31.0.10", "healthy"), ("172.31.0.9", "draining")], health
assert health[1]["TargetHealth"]["Reason"] == "Target.DeregistrationInProgress", health
elb.delete_load_balancer(LoadBalancerArn=arn)
elb.delete_target_group(TargetGroupArn=target["TargetGroupArn"])
refused("ListenerNotFound", 400, elb.describe_rules, ListenerArn=listener["ListenerArn"])
assert boto3.client("elb").describe_load_balancers()["LoadBalancerDescriptions"] == []
print("services: as AWS")
