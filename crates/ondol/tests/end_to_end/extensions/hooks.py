"""Webhooks: `/mutate` signs ConfigMaps, `/validate` refuses those that say so, `/convert` brings servers from one version into another."""
import base64
import json

from serving import Handler, serve


def mutate(request):
    patch = [{"op": "add", "path": "/metadata/annotations", "value": {"signed-by": "a pod"}}]
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}


def validate(request):
    refused = (request["object"].get("data") or {}).get("refuse")
    return {"allowed": refused is None, "status": {"message": f"the pod says {refused}"}}


def converted(server, version):
    server["apiVersion"] = version
    spec = server["spec"]
    if version.endswith("/v1"):
        host, port = spec.pop("address").split(":")
        server["spec"] = {"host": host, "port": int(port)}
    else:
        server["spec"] = {"address": f"{spec['host']}:{spec['port']}"}
    return server


def convert(request):
    servers = [converted(server, request["desiredAPIVersion"]) for server in request["objects"]]
    return {"result": {"status": "Success"}, "convertedObjects": servers}


class Hooks(Handler):
    def do_GET(self):
        self.answer({})

    def do_POST(self):
        review = self.document()
        request = review.pop("request")
        response = {"/mutate": mutate, "/validate": validate, "/convert": convert}[self.path.split("?")[0]](request)
        review["response"] = {"uid": request["uid"], **response}
        self.answer(review)


serve(Hooks)
