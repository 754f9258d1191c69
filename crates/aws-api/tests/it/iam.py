"""IAM's resources, and what their policies allow and deny."""
import json

import base64
import hashlib
import hmac
import struct
import time

import boto3

from refusals import refused

iam, sts = boto3.client("iam"), boto3.client("sts")
ACCOUNT = "000000000000"


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions, resource="*", **condition):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def client(name, keys):
    return boto3.client(name, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                        aws_session_token=keys.get("SessionToken"))


# Users and keys.
user = iam.create_user(UserName="kim", Path="/staff/", Tags=[{"Key": "team", "Value": "a"}])["User"]
assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/kim" and user["UserId"].startswith("AIDA"), user
refused("EntityAlreadyExists", 409, iam.create_user, UserName="kim")
# Only the path changes, the name stays.
iam.update_user(UserName="kim", NewPath="/people/")
assert iam.get_user(UserName="kim")["User"]["Arn"].endswith(":user/people/kim")
iam.update_user(UserName="kim", NewPath="/staff/")
assert "user with name lee" in refused("NoSuchEntity", 404, iam.get_user, UserName="lee")
keys = iam.create_access_key(UserName="kim")["AccessKey"]
iam.create_access_key(UserName="kim")
refused("LimitExceeded", 409, iam.create_access_key, UserName="kim")
assert client("sts", keys).get_caller_identity() ["Arn"] == user["Arn"]
assert client("iam", keys).meta.region_name
message = refused("AccessDenied", 403, client("iam", keys).list_users)
assert message == f"User: {user['Arn']} is not authorized to perform: iam:ListUsers on resource: * because no identity-based policy allows the iam:ListUsers action", message
refused("AccessDeniedException", 403, client("eks", keys).list_clusters)
encoded = refused("UnauthorizedOperation", 403, client("ec2", keys).describe_vpcs)
decoded = json.loads(sts.decode_authorization_message(EncodedMessage=encoded.rsplit(" ", 1)[1])["DecodedMessage"])
assert decoded["context"]["action"] == "ec2:DescribeVpcs" and decoded["allowed"] is False, decoded

# Inline, managed, group policies; an explicit deny wins.
refused("MalformedPolicyDocument", 400, iam.put_user_policy, UserName="kim", PolicyName="p", PolicyDocument="{}")
iam.put_user_policy(UserName="kim", PolicyName="self", PolicyDocument=policy(allow("iam:GetUser", resource=f"arn:aws:iam::{ACCOUNT}:user/staff/${{aws:username}}")))
assert client("iam", keys).get_user(UserName="kim")["User"]["Tags"] == [{"Key": "team", "Value": "a"}]
assert json.dumps(iam.get_user_policy(UserName="kim", PolicyName="self")["PolicyDocument"])
iam.create_group(GroupName="readers")
iam.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
iam.add_user_to_group(GroupName="readers", UserName="kim")
assert client("eks", keys).list_clusters()["clusters"] == []
refused("AccessDeniedException", 403, client("eks", keys).delete_cluster, name="x")
denial = iam.create_policy(PolicyName="no-eks", PolicyDocument=policy({"Effect": "Deny", "Action": "eks:*", "Resource": "*"}))["Policy"]
iam.attach_user_policy(UserName="kim", PolicyArn=denial["Arn"])
assert "explicit deny" in refused("AccessDeniedException", 403, client("eks", keys).list_clusters)
assert [p["PolicyName"] for p in iam.list_attached_user_policies(UserName="kim")["AttachedPolicies"]] == ["no-eks"]
assert iam.list_entities_for_policy(PolicyArn=denial["Arn"])["PolicyUsers"][0]["UserName"] == "kim"
refused("DeleteConflict", 409, iam.delete_policy, PolicyArn=denial["Arn"])
iam.create_policy_version(PolicyArn=denial["Arn"], PolicyDocument=policy({"Effect": "Deny", "Action": "eks:Delete*", "Resource": "*"}), SetAsDefault=True)
assert client("eks", keys).list_clusters()["clusters"] == []
assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=denial["Arn"])["Versions"]] == ["v2", "v1"]
refused("DeleteConflict", 409, iam.delete_policy_version, PolicyArn=denial["Arn"], VersionId="v2")

# Boundaries.
boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy(allow("ec2:*")))["Policy"]["Arn"]
iam.put_user_permissions_boundary(UserName="kim", PermissionsBoundary=boundary)
assert "no permissions boundary allows" in refused("AccessDeniedException", 403, client("eks", keys).list_clusters)
client("ec2", keys).describe_vpcs()
iam.delete_user_permissions_boundary(UserName="kim")

# Roles, trust, session policies.
refused("MalformedPolicyDocument", 400, iam.create_role, RoleName="r", AssumeRolePolicyDocument=policy(allow("sts:AssumeRole")))
trust = policy({"Effect": "Allow", "Principal": {"AWS": user["Arn"]}, "Action": "sts:AssumeRole", "Condition": {"StringEquals": {"sts:ExternalId": "seven"}}})
role = iam.create_role(RoleName="ops", AssumeRolePolicyDocument=trust, MaxSessionDuration=7200)["Role"]
assert role["AssumeRolePolicyDocument"] == json.loads(trust) and role["RoleId"].startswith("AROA"), role
iam.attach_role_policy(RoleName="ops", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
refused("NoSuchEntity", 404, iam.attach_role_policy, RoleName="ops", PolicyArn="arn:aws:iam::aws:policy/Nothing")
refused("AccessDenied", 403, client("sts", keys).assume_role, RoleArn=role["Arn"], RoleSessionName="s1")
refused("AccessDenied", 403, sts.assume_role, RoleArn=role["Arn"], RoleSessionName="s1", ExternalId="seven")
refused("ValidationError", 400, client("sts", keys).assume_role, RoleArn=role["Arn"], RoleSessionName="s1", ExternalId="seven", DurationSeconds=7201)
got = client("sts", keys).assume_role(RoleArn=role["Arn"], RoleSessionName="s1", ExternalId="seven")
assert got["AssumedRoleUser"]["AssumedRoleId"] == role["RoleId"] + ":s1", got
assert client("sts", got["Credentials"]).get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/s1"
client("iam", got["Credentials"]).list_users()
assert "non-User credentials" in refused("ValidationError", 400, client("iam", got["Credentials"]).list_mfa_devices)
wrong = dict(got["Credentials"], SessionToken="wrong")
refused("InvalidClientTokenId", 403, client("sts", wrong).get_caller_identity)
less = client("sts", keys).assume_role(RoleArn=role["Arn"], RoleSessionName="s2", ExternalId="seven", Policy=policy(allow("eks:*")))["Credentials"]
client("eks", less).list_clusters()
assert "no session policy allows" in refused("AccessDenied", 403, client("iam", less).list_users)
federated = sts.get_federation_token(Name="fed", Policy=policy(allow("ec2:Describe*")))["Credentials"]
client("ec2", federated).describe_vpcs()
refused("AccessDeniedException", 403, client("eks", federated).list_clusters)
own = client("sts", keys).get_session_token()["Credentials"]
assert client("sts", own).get_caller_identity()["Arn"] == user["Arn"]
assert sts.get_access_key_info(AccessKeyId=keys["AccessKeyId"])["Account"] == ACCOUNT

# Passing roles.
iam.put_user_policy(UserName="kim", PolicyName="clusters", PolicyDocument=policy(allow("eks:CreateCluster")))
wanted = dict(name="c", roleArn=role["Arn"], resourcesVpcConfig={"subnetIds": ["subnet-00000000"]})
assert "iam:PassRole" in refused("AccessDeniedException", 403, client("eks", keys).create_cluster, **wanted)
iam.put_user_policy(UserName="kim", PolicyName="pass", PolicyDocument=policy(allow("iam:PassRole", resource=role["Arn"], StringEquals={"iam:PassedToService": "eks.amazonaws.com"})))
refused("InvalidParameterException", 400, client("eks", keys).create_cluster, **wanted)

# The simulator says the same.
simulated = iam.simulate_principal_policy(PolicySourceArn=user["Arn"], ActionNames=["eks:DeleteCluster", "ec2:DescribeVpcs", "sqs:SendMessage"])["EvaluationResults"]
assert [r["EvalDecision"] for r in simulated] == ["explicitDeny", "allowed", "implicitDeny"], simulated

# Instance profiles, linked roles, lists.
profile = iam.create_instance_profile(InstanceProfileName="nodes")["InstanceProfile"]
iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="ops")
refused("LimitExceeded", 409, iam.add_role_to_instance_profile, InstanceProfileName="nodes", RoleName="ops")
assert iam.get_instance_profile(InstanceProfileName="nodes")["InstanceProfile"]["Roles"][0]["RoleName"] == "ops"
refused("DeleteConflict", 409, iam.delete_role, RoleName="ops")
refused("DeleteConflict", 409, iam.delete_instance_profile, InstanceProfileName="nodes")
iam.remove_role_from_instance_profile(InstanceProfileName="nodes", RoleName="ops")
iam.delete_instance_profile(InstanceProfileName="nodes")
refused("DeleteConflict", 409, iam.delete_role, RoleName="ops")
iam.detach_role_policy(RoleName="ops", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
refused("AccessDenied", 403, client("iam", got["Credentials"]).list_users)
linked = iam.create_service_linked_role(AWSServiceName="eks.amazonaws.com")["Role"]
assert linked["Path"] == "/aws-service-role/eks.amazonaws.com/" and linked["RoleName"] == "AWSServiceRoleForAmazonEKS"
refused("UnmodifiableEntity", 400, iam.delete_role, RoleName="AWSServiceRoleForAmazonEKS")
task = iam.delete_service_linked_role(RoleName="AWSServiceRoleForAmazonEKS")["DeletionTaskId"]
assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
iam.delete_role(RoleName="ops")
names = [p["PolicyName"] for page in iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 7}) for p in page["Policies"]]
assert {"AdministratorAccess", "AmazonEKSClusterPolicy", "AmazonEBSCSIDriverPolicy", "no-eks"} <= set(names) and len(names) == len(set(names))

# What an account and its users have besides.
iam.create_account_alias(AccountAlias="our-account")
assert iam.list_account_aliases()["AccountAliases"] == ["our-account"]
refused("NoSuchEntity", 404, iam.delete_account_alias, AccountAlias="another")
iam.delete_account_alias(AccountAlias="our-account")
refused("NoSuchEntity", 404, iam.get_account_password_policy)
refused("PasswordPolicyViolation", 400, iam.create_login_profile, UserName="kim", Password="simple")
iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True)
refused("PasswordPolicyViolation", 400, iam.create_login_profile, UserName="kim", Password="Long-enough-a")
iam.create_login_profile(UserName="kim", Password="Long-enough-1")
refused("EntityAlreadyExists", 409, iam.create_login_profile, UserName="kim", Password="Long-enough-1")
refused("DeleteConflict", 409, iam.delete_user, UserName="kim")
device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
refused("InvalidAuthenticationCode", 403, iam.enable_mfa_device, UserName="kim", SerialNumber=device["SerialNumber"], AuthenticationCode1="000000", AuthenticationCode2="000000")


def code(period):
    """RFC 6238, from the seed that a program for codes is given."""
    seed = base64.b32decode(device["Base32StringSeed"])
    tag = hmac.new(seed, struct.pack(">Q", period), hashlib.sha1).digest()
    place = tag[-1] & 15
    return f"{(struct.unpack('>I', tag[place:place + 4])[0] & 0x7fffffff) % 1000000:06}"


period = int(time.time()) // 30
iam.enable_mfa_device(UserName="kim", SerialNumber=device["SerialNumber"], AuthenticationCode1=code(period), AuthenticationCode2=code(period + 1))
assert [d["SerialNumber"] for d in iam.list_mfa_devices(UserName="kim")["MFADevices"]] == [device["SerialNumber"]]
refused("DeleteConflict", 409, iam.delete_virtual_mfa_device, SerialNumber=device["SerialNumber"])
# Without a name it is the caller who is meant: a user, or the administrator, who is none and has nothing but the keys that sign.
assert [d["UserName"] for d in client("iam", keys).list_mfa_devices()["MFADevices"]] == ["kim"]
assert iam.list_mfa_devices()["MFADevices"] == [] and iam.list_ssh_public_keys()["SSHPublicKeys"] == []
assert iam.list_signing_certificates()["Certificates"] == [] and iam.list_service_specific_credentials()["ServiceSpecificCredentials"] == []
assert [key["UserName"] for key in iam.list_access_keys()["AccessKeyMetadata"]] == ["admin"]
assert iam.generate_credential_report()["State"] == "STARTED" and iam.generate_credential_report()["State"] == "COMPLETE"
line = next(line for line in iam.get_credential_report()["Content"].decode().splitlines() if line.startswith("kim,")).split(",")
assert line[3] == "true" and line[7] == "true" and len(line) == 22, line
iam.deactivate_mfa_device(UserName="kim", SerialNumber=device["SerialNumber"])
iam.delete_virtual_mfa_device(SerialNumber=device["SerialNumber"])
iam.delete_login_profile(UserName="kim")
credential = iam.create_service_specific_credential(UserName="kim", ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredential"]
assert credential["ServicePassword"] and "ServicePassword" not in iam.list_service_specific_credentials(UserName="kim")["ServiceSpecificCredentials"][0]
iam.delete_service_specific_credential(UserName="kim", ServiceSpecificCredentialId=credential["ServiceSpecificCredentialId"])
refused("MalformedCertificate", 400, iam.upload_signing_certificate, UserName="kim", CertificateBody="none")
provider = iam.create_saml_provider(Name="corp", SAMLMetadataDocument="<EntityDescriptor>" + "x" * 1000 + "</EntityDescriptor>")["SAMLProviderArn"]
assert [p["Arn"] for p in iam.list_saml_providers()["SAMLProviderList"]] == [provider]
iam.delete_saml_provider(SAMLProviderArn=provider)
details = iam.get_account_authorization_details(Filter=["User"])
assert "kim" in [u["UserName"] for u in details["UserDetailList"]] and details["RoleDetailList"] == [], details

# A user with anything left cannot go.
refused("DeleteConflict", 409, iam.delete_user, UserName="kim")
iam.detach_user_policy(UserName="kim", PolicyArn=denial["Arn"])
for name in iam.list_user_policies(UserName="kim")["PolicyNames"]:
    iam.delete_user_policy(UserName="kim", PolicyName=name)
iam.update_access_key(UserName="kim", AccessKeyId=keys["AccessKeyId"], Status="Inactive")
refused("InvalidClientTokenId", 403, client("sts", keys).get_caller_identity)
for key in iam.list_access_keys(UserName="kim")["AccessKeyMetadata"]:
    iam.delete_access_key(UserName="kim", AccessKeyId=key["AccessKeyId"])
iam.remove_user_from_group(GroupName="readers", UserName="kim")
iam.delete_user(UserName="kim")
refused("InvalidClientTokenId", 403, client("sts", keys).get_caller_identity)
print("iam: as AWS")
