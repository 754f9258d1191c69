"""The cluster named demo is to go."""
import boto3

boto3.client("eks").delete_cluster(name="demo")
