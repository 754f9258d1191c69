"""Calls that must be refused, and what the refusal says; for the other scripts here."""
from botocore.exceptions import ClientError


def refusal(call, **arguments):
    """The error that a call ends with."""
    try:
        call(**arguments)
    except ClientError as error:
        return error
    raise AssertionError(f"{call} succeeded with {arguments}")


def refused_as(code, call, **arguments):
    """The message of a refusal with that code, whatever its status."""
    error = refusal(call, **arguments)
    assert error.response["Error"]["Code"] == code, error
    return error.response["Error"]["Message"]


def refused_with(code, status, call, **arguments):
    """Every member of a refusal with that code and status."""
    error = refusal(call, **arguments)
    found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
    assert found == (code, status), (found, error)
    return error.response


def refused(code, status, call, **arguments):
    """The message of a refusal with that code and status."""
    return refused_with(code, status, call, **arguments)["Error"]["Message"]
