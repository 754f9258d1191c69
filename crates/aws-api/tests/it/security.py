"""Changes of the security groups of the cluster named demo and of its two instances."""
import boto3

ec2, eks = boto3.client("ec2"), boto3.client("eks")
soon = {"Delay": 1, "MaxAttempts": 60}
eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=soon)
eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=soon)
cluster = eks.describe_cluster(name="demo")["cluster"]["resourcesVpcConfig"]
own = cluster["clusterSecurityGroupId"]
everything = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": own}]}]
web = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 81, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}]
ec2.revoke_security_group_ingress(GroupId=own, IpPermissions=everything)
ec2.authorize_security_group_ingress(GroupId=own, IpPermissions=web)
closed = ec2.create_security_group(GroupName="closed", Description="closed", VpcId=cluster["vpcId"])["GroupId"]
machines = [one for reservation in ec2.describe_instances()["Reservations"] for one in reservation["Instances"]]
first, second = machines
assert [group["GroupId"] for group in first["SecurityGroups"]] == [own], first
interface = second["NetworkInterfaces"][0]["NetworkInterfaceId"]
ec2.modify_instance_attribute(InstanceId=first["InstanceId"], Groups=[closed])
ec2.modify_network_interface_attribute(NetworkInterfaceId=interface, Groups=[closed, own])
first, second = [ec2.describe_instances(InstanceIds=[one["InstanceId"]])["Reservations"][0]["Instances"][0] for one in machines]
assert [group["GroupName"] for group in first["SecurityGroups"]] == ["closed"], first
assert {group["GroupId"] for group in second["NetworkInterfaces"][0]["Groups"]} == {closed, own}, second
try:
    ec2.delete_security_group(GroupId=closed)
    raise AssertionError("a group that instances have was deleted")
except ec2.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "DependencyViolation", error
