"""Those stacks when clusters can be made again, and stacks that cannot be deleted."""
import boto3

from interrupted import FAST, cfn, status, until, with_cluster
from refusals import refused_as as refused

eks, ec2, ssm = (boto3.client(n) for n in ("eks", "ec2", "ssm"))


def events(stack, resource):
    """Statuses of a resource, oldest first."""
    found = cfn.describe_stack_events(StackName=stack)["StackEvents"]
    return [e["ResourceStatus"] for e in reversed(found) if e["LogicalResourceId"] == resource]


def wait(what, stack):
    cfn.get_waiter(f"stack_{what}_complete").wait(StackName=stack, WaiterConfig=FAST)


[deleted] = [s["StackId"] for s in cfn.list_stacks()["StackSummaries"] if s["StackName"] == "deleted"]
wait("delete", deleted)
assert events(deleted, "deleted") == ["CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"], events(deleted, "deleted")
made = events(deleted, "Cluster")
assert made == ["CREATE_IN_PROGRESS", "CREATE_FAILED", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"], made
[cancelled] = [e for e in cfn.describe_stack_events(StackName=deleted)["StackEvents"] if e["ResourceStatus"] == "CREATE_FAILED"]
assert cancelled["ResourceStatusReason"] == "Resource creation cancelled", cancelled
assert events(deleted, "Later") == [], "nothing is begun any more"

until("the rollback", lambda: status("cancelled") == "UPDATE_ROLLBACK_COMPLETE")
assert events("cancelled", "Later") == []
assert sorted(r["LogicalResourceId"] for r in cfn.describe_stack_resources(StackName="cancelled")["StackResources"]) == ["A", "B", "Role", "Vpc"]
cfn.delete_stack(StackName="cancelled")
wait("delete", "cancelled")
until("the stuck one's rollback", lambda: status("stuck") == "UPDATE_ROLLBACK_FAILED")
assert eks.list_clusters()["clusters"] in ([], ["stuck"]) and ssm.get_parameters_by_path(Path="/later")["Parameters"] == []
made = {"Name": "tag-key", "Values": ["aws:cloudformation:stack-name"]}
assert [v["CidrBlock"] for v in ec2.describe_vpcs(Filters=[made])["Vpcs"]] == ["10.4.0.0/16"], "that of the stuck one"

# A rollback that failed goes on, without what cannot be rolled back.
until("the rollback", lambda: status("stuck") == "UPDATE_ROLLBACK_FAILED")
assert events("stuck", "Role")[-1] == "UPDATE_FAILED", events("stuck", "Role")
cfn.continue_update_rollback(StackName="stuck")
until("the rollback", lambda: status("stuck") == "UPDATE_ROLLBACK_FAILED")
assert events("stuck", "stuck").count("UPDATE_ROLLBACK_IN_PROGRESS") == 2
said = refused("ValidationError", cfn.continue_update_rollback, StackName="stuck", ResourcesToSkip=["Vpc"])
assert said == "ResourcesToSkip must be in UPDATE_FAILED state: [Vpc]", said
cfn.continue_update_rollback(StackName="stuck", ResourcesToSkip=["Role"])
until("the rollback", lambda: status("stuck") == "UPDATE_ROLLBACK_COMPLETE")
assert events("stuck", "Role")[-1] == "UPDATE_COMPLETE"
said = refused("ValidationError", cfn.continue_update_rollback, StackName="stuck")
assert said.endswith("is in UPDATE_ROLLBACK_COMPLETE state and can not continue rollback."), said
cfn.delete_stack(StackName="stuck")
wait("delete", "stuck")

# What cannot be deleted keeps the stack, until the caller says that it may stay behind.
for stack, leave in (("kept", {"RetainResources": ["Cluster", "A", "B", "Vpc", "Role"]}), ("forced", {"DeletionMode": "FORCE_DELETE_STACK"})):
    id = cfn.create_stack(StackName=stack, TemplateBody=with_cluster(stack, DeletionProtection=True), Capabilities=["CAPABILITY_IAM"])["StackId"]
    wait("create", stack)
    said = refused("ValidationError", cfn.delete_stack, StackName=stack, **leave)
    assert said.startswith(f"Invalid operation on stack [{id}]. You can "), said
    cfn.delete_stack(StackName=stack)
    until("the stack cannot be deleted", lambda: status(stack) == "DELETE_FAILED")
    assert events(stack, "Cluster")[-1] == "DELETE_FAILED"
    if "RetainResources" in leave:
        said = refused("ValidationError", cfn.delete_stack, StackName=stack, RetainResources=["Later"])
        assert said.startswith("The specified resources to retain must be in a valid state."), said
    cfn.delete_stack(StackName=stack, **leave)
    wait("delete", id)
    assert events(id, "Cluster")[-1] == "DELETE_SKIPPED"
    assert eks.describe_cluster(name=stack)["cluster"]["status"] == "ACTIVE"

