"""A node group of two in every subnet of the cluster named demo."""
import boto3

eks = boto3.client("eks")
subnets = eks.describe_cluster(name="demo")["cluster"]["resourcesVpcConfig"]["subnetIds"]
eks.create_nodegroup(clusterName="demo", nodegroupName="workers", subnets=subnets, nodeRole="arn:aws:iam::000000000000:role/n",
                     scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 2})
