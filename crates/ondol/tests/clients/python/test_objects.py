"""Typed and untyped objects through every verb and every kind of patch."""

import unittest

from kubernetes import client, dynamic, utils

from cluster import ClusterTest, is_gone, until

LABELS = {"app": "python"}


def deployment(name, replicas=1):
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels=LABELS),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=LABELS),
                spec=client.V1PodSpec(containers=[client.V1Container(name="main", image="nginx")]),
            ),
        ),
    )


class TypedObjects(ClusterTest):
    def test_configmaps_are_written_and_read(self):
        made = self.core.create_namespaced_config_map(
            self.namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed"), data={"a": "b"}))
        self.assertEqual(self.core.read_namespaced_config_map("typed", self.namespace), made)
        made.data["a"] = "c"
        replaced = self.core.replace_namespaced_config_map("typed", self.namespace, made)
        self.assertEqual(replaced.data, {"a": "c"})
        self.refused(409, "Conflict", self.core.replace_namespaced_config_map, "typed", self.namespace, made)
        made.metadata.resource_version = None
        self.core.replace_namespaced_config_map("typed", self.namespace, made)
        listed = self.core.list_namespaced_config_map(self.namespace, field_selector="metadata.name=typed")
        self.assertEqual([item.metadata.name for item in listed.items], ["typed"])
        deleted = self.core.delete_namespaced_config_map("typed", self.namespace)
        self.assertEqual((deleted["status"], deleted["details"]["name"]), ("Success", "typed"))

    def test_binary_data_comes_back(self):
        secret = client.V1Secret(metadata=client.V1ObjectMeta(name="binary"), data={"key": "AAEC/w=="}, type="Opaque")
        self.assertEqual(self.core.create_namespaced_secret(self.namespace, secret).data, {"key": "AAEC/w=="})

    def test_lists_are_paged(self):
        for number in range(5):
            self.core.create_namespaced_config_map(
                self.namespace, {"metadata": {"name": f"page-{number}", "labels": {"paged": "yes"}}})
        names, token = [], None
        while token != "":
            page = self.core.list_namespaced_config_map(self.namespace, label_selector="paged=yes", limit=2, _continue=token)
            names += [item.metadata.name for item in page.items]
            token = page.metadata._continue or ""
        self.assertEqual(names, [f"page-{number}" for number in range(5)])
        self.core.delete_collection_namespaced_config_map(self.namespace, label_selector="paged=yes")
        self.assertEqual(self.core.list_namespaced_config_map(self.namespace, label_selector="paged=yes").items, [])

    def test_deployments_scale_and_end(self):
        self.apps.create_namespaced_deployment(self.namespace, deployment("web"))
        until("a ready deployment", lambda: self.apps.read_namespaced_deployment_status("web", self.namespace).status.ready_replicas == 1)
        self.apps.patch_namespaced_deployment_scale("web", self.namespace, {"spec": {"replicas": 2}})
        until("two replicas", lambda: self.apps.read_namespaced_deployment("web", self.namespace).status.ready_replicas == 2)
        pods = self.core.list_namespaced_pod(self.namespace, label_selector="app=python", field_selector="status.phase=Running")
        self.assertEqual(len(pods.items), 2)
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pods.items[0].metadata.name))
        self.core.create_namespaced_pod_eviction(pods.items[0].metadata.name, self.namespace, eviction)
        self.apps.delete_namespaced_deployment("web", self.namespace, propagation_policy="Foreground")
        until("the end", lambda: is_gone(lambda: self.apps.read_namespaced_deployment("web", self.namespace)))
        self.assertEqual(self.core.list_namespaced_pod(self.namespace, label_selector="app=python").items, [])

    def test_manifests_are_created(self):
        manifests = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "from-manifest"}},
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "from-manifest"}, "spec": {
                "schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}}}}},
        ]
        utils.create_from_yaml(client.ApiClient(), yaml_objects=manifests, namespace=self.namespace)
        utils.create_from_yaml(client.ApiClient(), yaml_objects=manifests, namespace=self.namespace, apply=True)
        with self.assertRaises(utils.FailToCreateError):
            utils.create_from_yaml(client.ApiClient(), yaml_objects=manifests, namespace=self.namespace)


class Patches(ClusterTest):
    def setUp(self):
        self.apps.create_namespaced_deployment(self.namespace, deployment("patched", 0))

    def tearDown(self):
        self.apps.delete_namespaced_deployment("patched", self.namespace)

    def patch(self, content_type, body, **named):
        return self.apps.patch_namespaced_deployment("patched", self.namespace, body, _content_type=content_type, **named)

    def test_strategic_patches_merge_lists_by_key(self):
        patched = self.patch("application/strategic-merge-patch+json", {"spec": {"template": {"spec": {"containers": [
            {"name": "side", "image": "busybox"}]}}}})
        self.assertEqual([container.name for container in patched.spec.template.spec.containers], ["side", "main"])

    def test_merge_patches_replace_lists(self):
        patched = self.patch("application/merge-patch+json", {"spec": {"template": {"spec": {"containers": [
            {"name": "side", "image": "busybox"}]}}}})
        self.assertEqual([container.name for container in patched.spec.template.spec.containers], ["side"])

    def test_json_patches_test_and_change(self):
        patched = self.patch("application/json-patch+json", [
            {"op": "test", "path": "/spec/replicas", "value": 0}, {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}])
        self.assertEqual(patched.metadata.annotations["a"], "b")
        body = self.refused(422, "Invalid", self.patch, "application/json-patch+json", [
            {"op": "test", "path": "/spec/replicas", "value": 7}])
        self.assertIn("test", body["message"])

    def test_a_list_is_taken_for_a_json_patch(self):
        patched = self.apps.patch_namespaced_deployment(
            "patched", self.namespace, [{"op": "replace", "path": "/spec/revisionHistoryLimit", "value": 3}])
        self.assertEqual(patched.spec.revision_history_limit, 3)

    def test_apply_tells_of_conflicts(self):
        wish = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patched"}, "spec": {"minReadySeconds": 3}}
        self.patch("application/apply-patch+yaml", wish, field_manager="first")
        wish["spec"]["minReadySeconds"] = 5
        body = self.refused(409, "Conflict", self.patch, "application/apply-patch+yaml", wish, field_manager="second")
        self.assertEqual(body["details"]["causes"], [
            {"reason": "FieldManagerConflict", "message": 'conflict with "first"', "field": ".spec.minReadySeconds"}])
        self.assertEqual(self.patch("application/apply-patch+yaml", wish, field_manager="second", force=True).spec.min_ready_seconds, 5)
        body = self.refused(422, "Invalid", self.patch, "application/apply-patch+yaml", wish)
        self.assertIn("fieldManager: Required value: is required for apply patch", body["message"])


class UntypedObjects(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dynamic = dynamic.DynamicClient(client.ApiClient())

    def test_resources_are_found_and_written(self):
        services = self.dynamic.resources.get(api_version="v1", kind="Service")
        made = services.create(namespace=self.namespace, body={
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": "untyped"}, "spec": {"ports": [{"port": 80}]}})
        self.assertTrue(made.spec.clusterIP)
        patched = services.patch(namespace=self.namespace, name="untyped", body={"metadata": {"labels": {"a": "b"}}})
        self.assertEqual(patched.metadata.labels.a, "b")
        applied = services.server_side_apply(namespace=self.namespace, name="untyped", field_manager="me", body={
            "kind": "Service", "apiVersion": "v1", "metadata": {"name": "untyped", "annotations": {"c": "d"}}})
        self.assertEqual(applied.metadata.annotations.c, "d")
        self.assertEqual(len(services.get(namespace=self.namespace, label_selector="a=b").items), 1)
        services.delete(namespace=self.namespace, name="untyped")
        with self.assertRaises(dynamic.exceptions.NotFoundError):
            services.get(namespace=self.namespace, name="untyped")

    def test_subresources_are_found(self):
        deployments = self.dynamic.resources.get(api_version="apps/v1", kind="Deployment")
        self.assertIn("scale", deployments.subresources)
        self.assertIn("status", deployments.subresources)
        self.assertGreater(len(list(self.dynamic.resources.search(kind="Event"))), 1)

    def test_a_watch_ends_by_itself(self):
        maps = self.dynamic.resources.get(api_version="v1", kind="ConfigMap")
        maps.create(namespace=self.namespace, body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "watched"}})
        seen = [event["object"].metadata.name for event in maps.watch(namespace=self.namespace, timeout=1)]
        self.assertIn("watched", seen)


class CustomObjects(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.definitions = client.ApiextensionsV1Api()
        schema = {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1, "default": 3}}},
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}}
        cls.group = "python.clients.ondol.test"
        cls.definitions.create_custom_resource_definition({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"boxes.{cls.group}"},
            "spec": {"group": cls.group, "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"}, "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}}}]}})

        def established():
            read = cls.definitions.read_custom_resource_definition(f"boxes.{cls.group}")
            conditions = read.status.conditions or [] if read.status else []
            return any(one.type == "Established" and one.status == "True" for one in conditions)
        until("an established definition", established)
        cls.custom = client.CustomObjectsApi()

    @classmethod
    def tearDownClass(cls):
        cls.definitions.delete_custom_resource_definition(f"boxes.{cls.group}")
        super().tearDownClass()

    def at(self):
        return self.group, "v1", self.namespace, "boxes"

    def box(self, **spec):
        return {"apiVersion": f"{self.group}/v1", "kind": "Box", "metadata": {"name": "box"}, "spec": spec}

    def test_custom_objects_are_written_and_read(self):
        made = self.custom.create_namespaced_custom_object(*self.at(), self.box())
        self.assertEqual(made["spec"], {"size": 3})
        made["spec"]["size"] = 4
        made = self.custom.replace_namespaced_custom_object(*self.at(), "box", made)
        self.assertEqual(made["metadata"]["generation"], 2)
        patched = self.custom.patch_namespaced_custom_object(*self.at(), "box", {"spec": {"size": 5}})
        self.assertEqual(patched["spec"]["size"], 5)
        status = self.custom.patch_namespaced_custom_object_status(*self.at(), "box", {"status": {"ready": True}})
        self.assertEqual(status["status"], {"ready": True})
        scale = self.custom.get_namespaced_custom_object_scale(*self.at(), "box")
        self.assertEqual(scale["spec"]["replicas"], 5)
        self.assertEqual(len(self.custom.list_namespaced_custom_object(*self.at())["items"]), 1)
        self.assertEqual(len(self.custom.list_custom_object_for_all_namespaces(self.group, "v1", "boxes")["items"]), 1)
        body = self.refused(422, "Invalid", self.custom.patch_namespaced_custom_object, *self.at(), "box", {"spec": {"size": 0}})
        self.assertEqual(body["details"]["causes"][0]["field"], "spec.size")
        self.custom.delete_namespaced_custom_object(*self.at(), "box")
        self.refused(404, "NotFound", self.custom.get_namespaced_custom_object, *self.at(), "box")


class Errors(ClusterTest):
    def test_bodies_are_those_of_a_status(self):
        body = self.refused(404, "NotFound", self.core.read_namespaced_pod, "absent", self.namespace)
        self.assertEqual((body["message"], body["details"]), ('pods "absent" not found', {"name": "absent", "kind": "pods"}))
        body = self.refused(422, "Invalid", self.core.create_namespaced_config_map, self.namespace, {"metadata": {"name": "Bad_Name"}})
        self.assertEqual(body["details"]["causes"][0]["reason"], "FieldValueInvalid")
        self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": "twice"}})
        body = self.refused(409, "AlreadyExists", self.core.create_namespaced_config_map, self.namespace, {"metadata": {"name": "twice"}})
        self.assertEqual(body["message"], 'configmaps "twice" already exists')
        self.refused(400, "BadRequest", self.core.list_namespaced_pod, self.namespace, label_selector="a in b in c")
        self.refused(400, "BadRequest", self.core.list_namespaced_pod, self.namespace, field_selector="spec.nothing=1")

    def test_strangers_are_refused(self):
        stranger = client.Configuration.get_default_copy()
        stranger.api_key = {"authorization": "Bearer nonsense"}
        stranger.cert_file = stranger.key_file = None
        stranger.refresh_api_key_hook = None
        self.refused(401, "Unauthorized", client.CoreV1Api(client.ApiClient(stranger)).list_namespaced_pod, self.namespace)

    def test_reviews_answer(self):
        review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
            resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace=self.namespace)))
        self.assertTrue(client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed)
        until("the default account", lambda: not is_gone(lambda: self.core.read_namespaced_service_account("default", self.namespace)))
        token = self.core.create_namespaced_service_account_token("default", self.namespace, client.AuthenticationV1TokenRequest(
            spec=client.V1TokenRequestSpec(audiences=["https://example.test"])))
        self.assertEqual(token.status.token.count("."), 2)

    def test_discovery_lists_groups(self):
        groups = {group.name for group in client.ApisApi().get_api_versions().groups}
        self.assertLessEqual({"apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io"}, groups)
        self.assertIn("v1", client.CoreApi().get_api_versions().versions)
        self.assertIn("deployments", [resource.name for resource in client.AppsV1Api().get_api_resources().resources])
        self.assertEqual(client.VersionApi().get_code().major, "1")


if __name__ == "__main__":
    unittest.main()
