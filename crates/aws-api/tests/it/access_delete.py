"""Takes kim's access entry away."""
import boto3

boto3.client("eks").delete_access_entry(clusterName="demo", principalArn="arn:aws:iam::000000000000:user/kim")
