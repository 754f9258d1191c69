"""Asks the instance metadata service as EC2's documents do; prints a name and a text, or the status of a refusal, on each line."""
import json
import urllib.error
import urllib.request

BASE = "http://169.254.169.254/latest/"


def ask(path, method="GET", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return urllib.request.urlopen(urllib.request.Request(BASE + path, method=method, headers=headers), timeout=5).read().decode()
    except urllib.error.HTTPError as error:
        return error.code


token = ask("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")


def get(path):
    return ask(path, X_aws_ec2_metadata_token=token)


mac = get("meta-data/mac")
print("without", ask("meta-data/instance-id"))
print("short", ask("api/token", "PUT"))
print("wrong", ask("api/token"))
print("missing", get("meta-data/spot/instance-action"))
print("id", get("meta-data/instance-id"))
print("mac", mac)
print("own", open("/sys/class/net/eth0/address").read().strip())
print("interface", get("meta-data/network/interfaces/macs/" + mac + "/interface-id"))
print("zone", json.loads(get("dynamic/instance-identity/document"))["availabilityZone"])
