"""Clients that call too often are told so in each service's words, and the SDK's own patience gets through."""
import concurrent.futures

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

once = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)


def flood(call):
    """The codes of the refusals among many calls at once, and how many there were."""
    def one(_):
        try:
            call()
            return None
        except ClientError as error:
            return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(one, range(600)))
    return {answer for answer in answers if answer}, answers.count(None)


for name, operation, expected in (
    ("ec2", "describe_vpcs", ("RequestLimitExceeded", 503)),
    ("eks", "list_clusters", ("ThrottlingException", 429)),
    ("cloudformation", "list_stacks", ("Throttling", 400)),
    ("ssm", "describe_parameters", ("ThrottlingException", 400)),
):
    client = boto3.client(name, config=once)
    refused, answered = flood(getattr(client, operation))
    assert refused == {expected}, (name, refused)
    assert answered >= 100, (name, answered)
    patient = boto3.client(name, config=Config(retries={"mode": "standard", "max_attempts": 10}))
    getattr(patient, operation)()
print("throttling: as AWS")
