"""Reads what an issuer publishes, as anybody who is to believe its tokens; prints the issuer, the algorithm and how many keys there are."""
import json
import sys
import urllib.request

document = json.load(urllib.request.urlopen(sys.argv[1] + "/.well-known/openid-configuration"))
keys = json.load(urllib.request.urlopen(document["jwks_uri"]))["keys"]
print(document["issuer"], keys[0]["alg"], len(keys))
