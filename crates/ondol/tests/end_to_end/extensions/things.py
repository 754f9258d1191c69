"""The API server of `things.example.com`: it keeps things in memory, and takes the API server's word for who asks."""
import datetime
import json
import os
import ssl
import threading
import urllib.parse
import urllib.request
import uuid

from serving import Handler, serve

GROUP_VERSION = "things.example.com/v1"
BASE = f"/apis/{GROUP_VERSION}"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"

RESOURCES = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": [
    {"name": "things", "singularName": "thing", "namespaced": True, "kind": "Thing", "shortNames": ["th"],
     "verbs": ["create", "get", "list", "watch"]}]}

THING = {"type": "object", "description": "Thing is what this server is about.",
         "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "description": "Size of the thing."}}}},
         "x-kubernetes-group-version-kind": [{"group": "things.example.com", "version": "v1", "kind": "Thing"}]}

# kubectl takes it from the operation that patches whether a server looks for unknown fields itself.
OPERATION = {"x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": {"group": "things.example.com", "version": "v1", "kind": "Thing"},
             "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}], "responses": {"200": {"description": "changed"}}}

DOCUMENTS = {
    BASE: RESOURCES,
    "/openapi/v3": {"paths": {BASE[1:]: {"serverRelativeURL": f"/openapi/v3{BASE}?hash=1"}}},
    f"/openapi/v3{BASE}": {"openapi": "3.0.0", "info": {"title": "things", "version": "1"},
                           "paths": {BASE + "/namespaces/{namespace}/things/{name}": {"patch": OPERATION}},
                           "components": {"schemas": {"Thing": THING}}},
}

changed = threading.Condition()
things = {}
events = []


def authority():
    """Whose certificates the API server shows when it passes a request on, as the cluster publishes it."""
    url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    token = open(ACCOUNT + "token").read()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    context = ssl.create_default_context(cafile=ACCOUNT + "ca.crt")
    return json.load(urllib.request.urlopen(request, context=context))["data"]["requestheader-client-ca-file"]


def refusal(code, reason, message):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}


class Things(Handler):
    def is_passed_on(self):
        names = dict(pair for part in self.connection.getpeercert().get("subject", ()) for pair in part) if self.connection.getpeercert() else {}
        return names.get("commonName") == "front-proxy-client"

    def place(self):
        """Namespace and name that the path means; `None` is all."""
        parts = urllib.parse.urlsplit(self.path).path[len(BASE) + 1:].split("/")
        namespace = parts[1] if parts[0] == "namespaces" else None
        rest = parts[2:] if namespace else parts
        return namespace, rest[1] if len(rest) > 1 else None

    def do_GET(self):
        split = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        if split.path == "/healthz" or split.path in DOCUMENTS:
            self.answer(DOCUMENTS.get(split.path, {}))
        elif not split.path.startswith(BASE + "/"):
            self.answer(refusal(404, "NotFound", "the server could not find the requested resource"), 404)
        elif not self.is_passed_on():
            self.answer(refusal(401, "Unauthorized", "Unauthorized"), 401)
        elif query.get("watch") in ("1", "true"):
            self.watch(int(query.get("resourceVersion") or 0))
        else:
            self.show(*self.place())

    def show(self, namespace, name):
        with changed:
            found = [thing for (of, _), thing in sorted(things.items()) if namespace in (None, of)]
            version = str(len(events))
        if name is None:
            self.answer({"kind": "ThingList", "apiVersion": GROUP_VERSION, "metadata": {"resourceVersion": version}, "items": found})
            return
        thing = next((thing for thing in found if thing["metadata"]["name"] == name), None)
        missing = refusal(404, "NotFound", f'things.example.com "{name}" not found')
        self.answer(thing or missing, 200 if thing else 404)

    def watch(self, since):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            with changed:
                changed.wait_for(lambda: len(events) > since)
                news, since = events[since:], len(events)
            for thing in news:
                line = json.dumps({"type": "ADDED", "object": thing}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()

    def do_POST(self):
        thing = self.document()
        if not self.is_passed_on():
            self.answer(refusal(401, "Unauthorized", "Unauthorized"), 401)
            return
        namespace, _ = self.place()
        metadata = thing["metadata"]
        with changed:
            if (namespace, metadata["name"]) in things:
                self.answer(refusal(409, "AlreadyExists", f'things.example.com "{metadata["name"]}" already exists'), 409)
                return
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata.update(namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=now, resourceVersion=str(len(events) + 1))
            thing["status"] = {"madeBy": self.headers["X-Remote-User"]}
            things[namespace, metadata["name"]] = thing
            events.append(thing)
            changed.notify_all()
        self.answer(thing, 201)


serve(Things, authority())
