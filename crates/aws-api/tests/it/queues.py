"""Queues, rules, repositories, certificates, prices, quotas, tags and the history of calls."""
import hashlib
import json
import time

import boto3

from refusals import refused

sqs, events, ecr, acm, quotas, trail, kms, ec2, eks = (boto3.client(n) for n in ("sqs", "events", "ecr", "acm", "service-quotas", "cloudtrail", "kms", "ec2", "eks"))
pricing = boto3.client("pricing", region_name="us-east-1")
ACCOUNT = boto3.client("sts").get_caller_identity()["Account"]

# Queues.
refused("AWS.SimpleQueueService.NonExistentQueue", 400, sqs.get_queue_url, QueueName="none")
url = sqs.create_queue(QueueName="karpenter", Attributes={"MessageRetentionPeriod": "300"}, tags={"a": "b"})["QueueUrl"]
assert url.endswith(f"/{ACCOUNT}/karpenter") and sqs.get_queue_url(QueueName="karpenter")["QueueUrl"] == url
assert sqs.create_queue(QueueName="karpenter", Attributes={"MessageRetentionPeriod": "300"})["QueueUrl"] == url
refused("QueueAlreadyExists", 400, sqs.create_queue, QueueName="karpenter", Attributes={"MessageRetentionPeriod": "400"})
refused("InvalidAttributeName", 400, sqs.create_queue, QueueName="other", Attributes={"None": "1"})
sent = sqs.send_message(QueueUrl=url, MessageBody="hello", MessageAttributes={"k": {"DataType": "String", "StringValue": "v"}})
assert sent["MD5OfMessageBody"] == hashlib.md5(b"hello").hexdigest(), sent
expected = b"".join(len(p).to_bytes(4, "big") + p for p in (b"k", b"String")) + b"\x01" + (1).to_bytes(4, "big") + b"v"
assert sent["MD5OfMessageAttributes"] == hashlib.md5(expected).hexdigest(), sent
batch = sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "one"}, {"Id": "2", "MessageBody": "two"}])
assert [s["Id"] for s in batch["Successful"]] == ["1", "2"]
got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=20, AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
assert [m["Body"] for m in got] == ["hello", "one", "two"] and got[0]["Attributes"]["ApproximateReceiveCount"] == "1" and got[0]["MessageAttributes"]["k"]["StringValue"] == "v", got
assert "Messages" not in sqs.receive_message(QueueUrl=url)
assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "3"
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got[0]["ReceiptHandle"], VisibilityTimeout=0)
again = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"])["Messages"][0]
refused("InvalidAttributeName", 400, sqs.receive_message, QueueUrl=url, AttributeNames=["Color"])
refused("InvalidAttributeName", 400, sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])
sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount", "VisibilityTimeout"])
assert again["Body"] == "hello" and again["Attributes"] == {"ApproximateReceiveCount": "2"}, again
for message in got:
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
refused("ReceiptHandleIsInvalid", 400, sqs.delete_message, QueueUrl=url, ReceiptHandle="none")
begin = time.monotonic()
assert "Messages" not in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1) and time.monotonic() - begin >= 0.9
assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b"}

# Rules lead to queues.
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
refused("InvalidEventPatternException", 400, events.put_rule, Name="spot", EventPattern='{"source": "aws.ec2"}')
rule = events.put_rule(Name="spot", EventPattern=json.dumps({"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}))["RuleArn"]
assert rule == f"arn:aws:events:ap-northeast-2:{ACCOUNT}:rule/spot"
events.put_targets(Rule="spot", Targets=[{"Id": "queue", "Arn": arn}])
assert events.list_targets_by_rule(Rule="spot")["Targets"] == [{"Id": "queue", "Arn": arn}]
refused("ValidationException", 400, events.delete_rule, Name="spot")
detail = {"instance-id": "i-0", "instance-action": "terminate"}
put = events.put_events(Entries=[{"Source": "aws.ec2", "DetailType": "EC2 Spot Instance Interruption Warning", "Detail": json.dumps(detail)}, {"Source": "other", "DetailType": "x", "Detail": "{}"}])
assert put["FailedEntryCount"] == 0, put
body = json.loads(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]["Body"])
assert body["detail"] == detail and body["version"] == "0" and body["account"] == ACCOUNT, body
assert "Messages" not in sqs.receive_message(QueueUrl=url)
events.remove_targets(Rule="spot", Ids=["queue"])
events.delete_rule(Name="spot")
refused("ResourceNotFoundException", 400, events.describe_rule, Name="spot")
sqs.delete_queue(QueueUrl=url)
refused("AWS.SimpleQueueService.NonExistentQueue", 400, sqs.send_message, QueueUrl=url, MessageBody="x")

# Repositories.
made = ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")["repository"]
assert made["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.ap-northeast-2.amazonaws.com/team/app", made
refused("RepositoryAlreadyExistsException", 400, ecr.create_repository, repositoryName="team/app")
refused("RepositoryNotFoundException", 400, ecr.describe_images, repositoryName="none")
image = ecr.put_image(repositoryName="team/app", imageManifest='{"schemaVersion": 2}', imageTag="v1")["image"]
refused("ImageTagAlreadyExistsException", 400, ecr.put_image, repositoryName="team/app", imageManifest='{"schemaVersion": 3}', imageTag="v1")
assert ecr.describe_images(repositoryName="team/app")["imageDetails"][0]["imageTags"] == ["v1"]
assert ecr.batch_get_image(repositoryName="team/app", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])["failures"][0]["failureCode"] == "ImageNotFound"
refused("RepositoryNotEmptyException", 400, ecr.delete_repository, repositoryName="team/app")
refused("LifecyclePolicyNotFoundException", 400, ecr.get_lifecycle_policy, repositoryName="team/app")
lifecycle = json.dumps({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]})
ecr.put_lifecycle_policy(repositoryName="team/app", lifecyclePolicyText=lifecycle)
assert ecr.get_lifecycle_policy(repositoryName="team/app")["lifecyclePolicyText"] == lifecycle
assert ecr.get_authorization_token()["authorizationData"][0]["proxyEndpoint"].startswith(f"https://{ACCOUNT}.dkr.ecr.")
ecr.delete_repository(repositoryName="team/app", force=True)

# Certificates, prices, quotas.
certificate = acm.request_certificate(DomainName="example.com", ValidationMethod="DNS", Tags=[{"Key": "a", "Value": "b"}])["CertificateArn"]
assert acm.describe_certificate(CertificateArn=certificate)["Certificate"]["Status"] == "PENDING_VALIDATION"
assert [c["DomainName"] for c in acm.list_certificates()["CertificateSummaryList"]] == ["example.com"]
acm.delete_certificate(CertificateArn=certificate)
refused("ResourceNotFoundException", 400, acm.describe_certificate, CertificateArn=certificate)
terms = {"regionCode": "ap-northeast-2", "operatingSystem": "Linux", "preInstalledSw": "NA", "capacitystatus": "Used", "marketoption": "OnDemand", "tenancy": "Shared", "productFamily": "Compute Instance"}
products = [json.loads(p) for page in pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=[{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in terms.items()]) for p in page["PriceList"]]
medium = next(p for p in products if p["product"]["attributes"]["instanceType"] == "t3.medium")
price = next(iter(next(iter(medium["terms"]["OnDemand"].values()))["priceDimensions"].values()))["pricePerUnit"]["USD"]
assert float(price) == 0.0416 and len(products) > 200, medium
assert quotas.get_service_quota(ServiceCode="eks", QuotaCode="L-1194D53C")["Quota"]["Value"] == 100.0
refused("NoSuchResourceException", 400, quotas.get_service_quota, ServiceCode="eks", QuotaCode="L-0")
assert "vpc" in [s["ServiceCode"] for s in quotas.list_services()["Services"]]

# Tags of everything, and who called what.
key = kms.create_key(Tags=[{"TagKey": "team", "TagValue": "x"}])["KeyMetadata"]["Arn"]
vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "team", "Value": "x"}]}])["Vpc"]["VpcId"]
found = trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateVpc"}])["Events"]
assert len(found) == 1 and found[0]["EventSource"] == "ec2.amazonaws.com" and json.loads(found[0]["CloudTrailEvent"])["requestParameters"]["CidrBlock"] == "10.0.0.0/16", found
assert trail.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "DescribeRule"}])["Events"] == []
tagging = boto3.client("resourcegroupstaggingapi")
if tagging.meta.service_model.metadata["protocol"] == "json":
    pages = tagging.get_paginator("get_resources").paginate(TagFilters=[{"Key": "team", "Values": ["x"]}])
    assert sorted(r["ResourceARN"] for page in pages for r in page["ResourceTagMappingList"]) == sorted([key, f"arn:aws:ec2:ap-northeast-2:{ACCOUNT}:vpc/{vpc}"])
    assert [r["ResourceARN"] for r in tagging.get_resources(ResourceTypeFilters=["ec2:vpc"])["ResourceTagMappingList"]] == [f"arn:aws:ec2:ap-northeast-2:{ACCOUNT}:vpc/{vpc}"]
    assert tagging.tag_resources(ResourceARNList=[f"arn:aws:ec2:ap-northeast-2:{ACCOUNT}:vpc/{vpc}"], Tags={"more": "y"})["FailedResourcesMap"] == {}
    assert "more" in tagging.get_tag_keys()["TagKeys"]
print("queues: as AWS")
