"""A VPC and a cluster named demo, asked for and not waited for."""
import boto3

ec2, eks = boto3.client("ec2"), boto3.client("eks")
vpc = ec2.create_vpc(CidrBlock="192.168.0.0/16")["Vpc"]["VpcId"]
subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"192.168.{index * 32}.0/19", AvailabilityZone=f"ap-northeast-2{zone}")["Subnet"]["SubnetId"]
           for index, zone in enumerate("abc")]
eks.create_cluster(name="demo", roleArn="arn:aws:iam::000000000000:role/r", resourcesVpcConfig={"subnetIds": subnets})
