"""What every test of the official Python client shares: a client and a namespace of its own."""

import json
import os
import time
import unittest

from kubernetes import client, config

PATIENCE = 60
"""Seconds that a state may take to come about on a busy machine."""


def until(what, condition):
    """Waits until the condition holds; returns what it returned."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come about: {seen!r}")
        time.sleep(0.02)


def is_gone(read):
    """Whether reading answers 404."""
    try:
        read()
    except client.ApiException as error:
        return error.status == 404
    return False


class ClusterTest(unittest.TestCase):
    """Each class has a namespace, which is deleted after its tests."""

    @classmethod
    def setUpClass(cls):
        config.load_kube_config(os.environ["KUBECONFIG"])
        cls.core = client.CoreV1Api()
        cls.apps = client.AppsV1Api()
        made = cls.core.create_namespace({"metadata": {"generateName": "python-"}})
        cls.namespace = made.metadata.name

    @classmethod
    def tearDownClass(cls):
        cls.core.delete_namespace(cls.namespace)

    def refused(self, status, reason, call, *arguments, **named):
        """The Status of a refusal."""
        with self.assertRaises(client.ApiException) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.status, status, caught.exception.body)
        body = json.loads(caught.exception.body)
        self.assertEqual((body["kind"], body["status"], body["code"], body["reason"]), ("Status", "Failure", status, reason))
        return body
