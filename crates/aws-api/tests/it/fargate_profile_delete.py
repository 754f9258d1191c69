"""Deletes the Fargate profile fp and waits until it is gone."""
import boto3

eks = boto3.client("eks")
assert eks.delete_fargate_profile(clusterName="demo", fargateProfileName="fp")["fargateProfile"]["status"] == "DELETING"
eks.get_waiter("fargate_profile_deleted").wait(clusterName="demo", fargateProfileName="fp", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
