"""Networks as eksctl's and other templates make them, and take them down again."""
import boto3

from refusals import refused

ec2 = boto3.client("ec2")


def tagged(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]


vpc = ec2.create_vpc(CidrBlock="192.168.0.0/16", TagSpecifications=tagged("vpc", "v"))["Vpc"]["VpcId"]
ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"]["Value"]
main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "association.main", "Values": ["true"]}])["RouteTables"]
assert len(main) == 1 and main[0]["Routes"][0]["GatewayId"] == "local", main
default = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
assert [g["GroupName"] for g in default] == ["default"] and default[0]["IpPermissionsEgress"][0]["IpProtocol"] == "-1", default
public = ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.0.0/19", AvailabilityZone="ap-northeast-2a")["Subnet"]["SubnetId"]
private = ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.32.0/19", AvailabilityZone="ap-northeast-2a")["Subnet"]["SubnetId"]
ec2.modify_subnet_attribute(SubnetId=public, MapPublicIpOnLaunch={"Value": True})
assert ec2.describe_subnets(SubnetIds=[public])["Subnets"][0]["MapPublicIpOnLaunch"]

igw = ec2.create_internet_gateway(TagSpecifications=tagged("internet-gateway", "i"))["InternetGateway"]["InternetGatewayId"]
refused("InvalidVpcID.NotFound", 400, ec2.attach_internet_gateway, InternetGatewayId=igw, VpcId="vpc-00000000")
ec2.attach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
refused("Resource.AlreadyAssociated", 400, ec2.attach_internet_gateway, InternetGatewayId=igw, VpcId=vpc)
refused("DependencyViolation", 400, ec2.delete_internet_gateway, InternetGatewayId=igw)
assert ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc]}, {"Name": "tag:Name", "Values": ["i"]}])["InternetGateways"][0]["InternetGatewayId"] == igw
address = ec2.allocate_address(Domain="vpc")
nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address["AllocationId"])["NatGateway"]
assert nat["VpcId"] == vpc and nat["NatGatewayAddresses"][0]["PublicIp"] == address["PublicIp"], nat
refused("InvalidIPAddress.InUse", 400, ec2.release_address, AllocationId=address["AllocationId"])
ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat["NatGatewayId"]])

table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
refused("InvalidInternetGatewayID.NotFound", 400, ec2.create_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId="igw-00000000")
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
refused("RouteAlreadyExists", 400, ec2.create_route, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=igw)
ec2.replace_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"])
association = ec2.associate_route_table(RouteTableId=table, SubnetId=private)["AssociationId"]
refused("Resource.AlreadyAssociated", 400, ec2.associate_route_table, RouteTableId=table, SubnetId=private)
found = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [private]}])["RouteTables"]
assert [t["RouteTableId"] for t in found] == [table] and found[0]["Routes"][1]["NatGatewayId"] == nat["NatGatewayId"], found
refused("DependencyViolation", 400, ec2.delete_route_table, RouteTableId=table)
refused("DependencyViolation", 400, ec2.delete_subnet, SubnetId=private)

group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
refused("InvalidGroup.Duplicate", 400, ec2.create_security_group, GroupName="nodes", Description="nodes", VpcId=vpc)
rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "a"}, {"CidrIp": "10.1.0.0/16"}]}
made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])["SecurityGroupRules"]
assert len(made) == 2 and made[0]["CidrIpv4"] == "10.0.0.0/8" and made[0]["Description"] == "a", made
refused("InvalidPermission.Duplicate", 400, ec2.authorize_security_group_ingress, GroupId=group, IpProtocol="tcp", FromPort=443, ToPort=443, CidrIp="10.1.0.0/16")
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": default[0]["GroupId"]}]}])
refused("InvalidGroup.NotFound", 400, ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-00000000"}]}])
seen = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
assert sorted(len(p["IpRanges"]) for p in seen) == [0, 2], seen
ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
refused("InvalidPermission.NotFound", 400, ec2.revoke_security_group_ingress, GroupId=group, IpPermissions=[rule])
rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
assert sorted(r["IsEgress"] for r in rules) == [False, True], rules

template = ec2.create_launch_template(LaunchTemplateName="karpenter.k8s.aws/1", LaunchTemplateData={"InstanceType": "t3.medium"}, TagSpecifications=tagged("launch-template", "t"))["LaunchTemplate"]
refused("InvalidLaunchTemplateName.AlreadyExistsException", 400, ec2.create_launch_template, LaunchTemplateName="karpenter.k8s.aws/1", LaunchTemplateData={"KeyName": "k"})
ec2.create_launch_template_version(LaunchTemplateId=template["LaunchTemplateId"], SourceVersion="1", LaunchTemplateData={"KeyName": "k"})
versions = ec2.describe_launch_template_versions(LaunchTemplateName="karpenter.k8s.aws/1", Versions=["$Latest"])["LaunchTemplateVersions"]
assert versions[0]["LaunchTemplateData"] == {"InstanceType": "t3.medium", "KeyName": "k"} and not versions[0]["DefaultVersion"], versions
ec2.modify_launch_template(LaunchTemplateId=template["LaunchTemplateId"], DefaultVersion="2")
assert ec2.describe_launch_templates(Filters=[{"Name": "tag:Name", "Values": ["t"]}])["LaunchTemplates"][0]["DefaultVersionNumber"] == 2
refused("InvalidLaunchTemplateName.NotFoundException", 400, ec2.describe_launch_templates, LaunchTemplateNames=["none"])
ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])

ec2.create_tags(Resources=[vpc, group], Tags=[{"Key": "a", "Value": "b"}])
assert len(ec2.describe_tags(Filters=[{"Name": "key", "Values": ["a"]}])["Tags"]) == 2
ec2.delete_tags(Resources=[group], Tags=[{"Key": "a"}])
assert [t["ResourceId"] for t in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["a"]}])["Tags"]] == [vpc]
key = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDm3r4y2uF0Y6uV6gk4i9o1f1bqv3o8zq0sVd2fW8G0E me"
refused("InvalidKey.Format", 400, ec2.import_key_pair, KeyName="k", PublicKeyMaterial=b"nonsense")
ec2.import_key_pair(KeyName="k", PublicKeyMaterial=key)
assert ec2.describe_key_pairs(KeyNames=["k"])["KeyPairs"][0]["KeyType"] == "ed25519"
ec2.delete_key_pair(KeyName="k")
refused("InvalidKeyPair.NotFound", 400, ec2.describe_key_pairs, KeyNames=["k"])
for kind, begin in (("rsa", "-----BEGIN RSA PRIVATE KEY-----"), ("ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----")):
    made = ec2.create_key_pair(KeyName=kind, KeyType=kind)
    assert made["KeyMaterial"].startswith(begin), made
    known = ec2.describe_key_pairs(KeyNames=[kind], IncludePublicKey=True)["KeyPairs"][0]
    assert known["KeyFingerprint"] == made["KeyFingerprint"] and known["PublicKey"].startswith(f"ssh-{kind} "), known
    refused("InvalidKeyPair.Duplicate", 400, ec2.create_key_pair, KeyName=kind)
    ec2.delete_key_pair(KeyName=kind)

# Network ACLs: a VPC's own one is there, and others take subnets from it.
acl = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkAcls"][0]
assert acl["IsDefault"] and {a["SubnetId"] for a in acl["Associations"]} == {public, private} and len(acl["Entries"]) == 4, acl
refused("InvalidParameterValue", 400, ec2.delete_network_acl, NetworkAclId=acl["NetworkAclId"])
other = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
ec2.create_network_acl_entry(NetworkAclId=other, RuleNumber=100, Protocol="6", RuleAction="allow", Egress=False, CidrBlock="10.0.0.0/8", PortRange={"From": 22, "To": 22})
refused("NetworkAclEntryAlreadyExists", 400, ec2.create_network_acl_entry, NetworkAclId=other, RuleNumber=100, Protocol="6", RuleAction="deny", Egress=False, CidrBlock="10.0.0.0/8")
taken = next(a["NetworkAclAssociationId"] for a in acl["Associations"] if a["SubnetId"] == public)
given = ec2.replace_network_acl_association(AssociationId=taken, NetworkAclId=other)["NewAssociationId"]
assert ec2.describe_network_acls(NetworkAclIds=[other])["NetworkAcls"][0]["Associations"][0]["SubnetId"] == public
refused("DependencyViolation", 400, ec2.delete_network_acl, NetworkAclId=other)
ec2.replace_network_acl_association(AssociationId=given, NetworkAclId=acl["NetworkAclId"])
ec2.delete_network_acl(NetworkAclId=other)

# DHCP options, peerings, flow logs and prefix lists are kept as they were asked for.
options = ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}])["DhcpOptions"]["DhcpOptionsId"]
ec2.associate_dhcp_options(DhcpOptionsId=options, VpcId=vpc)
assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["DhcpOptionsId"] == options
refused("DependencyViolation", 400, ec2.delete_dhcp_options, DhcpOptionsId=options)
ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc)
ec2.delete_dhcp_options(DhcpOptionsId=options)
peer = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
peering = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=peer)["VpcPeeringConnection"]
assert peering["Status"]["Code"] == "pending-acceptance", peering
peering = peering["VpcPeeringConnectionId"]
assert ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)["VpcPeeringConnection"]["Status"]["Code"] == "active"
refused("InvalidStateTransition", 400, ec2.reject_vpc_peering_connection, VpcPeeringConnectionId=peering)
ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
ec2.delete_vpc(VpcId=peer)
log = ec2.create_flow_logs(ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flows", DeliverLogsPermissionArn="arn:aws:iam::000000000000:role/flows")["FlowLogIds"]
assert ec2.describe_flow_logs(Filter=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"][0]["FlowLogId"] == log[0]
refused("InvalidParameter", 400, ec2.create_flow_logs, ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flows")
ec2.delete_flow_logs(FlowLogIds=log)
blocks = ec2.create_managed_prefix_list(PrefixListName="offices", AddressFamily="IPv4", MaxEntries=2, Entries=[{"Cidr": "10.1.0.0/16"}])["PrefixList"]["PrefixListId"]
changed = ec2.modify_managed_prefix_list(PrefixListId=blocks, CurrentVersion=1, AddEntries=[{"Cidr": "10.2.0.0/16", "Description": "second"}])["PrefixList"]
assert changed["Version"] == 2 and len(ec2.get_managed_prefix_list_entries(PrefixListId=blocks)["Entries"]) == 2, changed
refused("PrefixListVersionMismatch", 400, ec2.modify_managed_prefix_list, PrefixListId=blocks, CurrentVersion=1, RemoveEntries=[{"Cidr": "10.1.0.0/16"}])
ec2.delete_managed_prefix_list(PrefixListId=blocks)
offered = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.medium"]}])["InstanceTypeOfferings"]
assert sorted(o["Location"] for o in offered) == [f"ap-northeast-2{z}" for z in "abcd"], offered
refused("InvalidParameterValue", 400, ec2.describe_vpcs, Filters=[{"Name": "nonsense", "Values": ["x"]}])

refused("DependencyViolation", 400, ec2.delete_vpc, VpcId=vpc)
ec2.disassociate_route_table(AssociationId=association)
ec2.delete_route_table(RouteTableId=table)
ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
ec2.release_address(AllocationId=address["AllocationId"])
ec2.detach_internet_gateway(InternetGatewayId=igw, VpcId=vpc)
ec2.delete_internet_gateway(InternetGatewayId=igw)
ec2.delete_security_group(GroupId=group)
for subnet in (public, private):
    ec2.delete_subnet(SubnetId=subnet)
ec2.delete_vpc(VpcId=vpc)
assert ec2.describe_route_tables()["RouteTables"] == [] and ec2.describe_security_groups()["SecurityGroups"] == []
print("ec2: as AWS")
