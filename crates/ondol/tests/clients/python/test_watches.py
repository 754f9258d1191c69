"""Watches, informers and leader election."""

import threading
import unittest

from kubernetes import client, watch
from kubernetes.informer import SharedInformer
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

from cluster import ClusterTest, until


class Watches(ClusterTest):
    def make(self, name, **metadata):
        return self.core.create_namespaced_config_map(self.namespace, {"metadata": {"name": name, **metadata}})

    def seen(self, **named):
        events = watch.Watch().stream(self.core.list_namespaced_config_map, self.namespace, timeout_seconds=1, **named)
        return [(event["type"], event["object"].metadata.name) for event in events]

    def test_a_watch_from_a_revision_tells_what_is_later(self):
        self.make("before")
        version = self.core.list_namespaced_config_map(self.namespace).metadata.resource_version
        self.make("after", labels={"seen": "yes"})
        self.core.patch_namespaced_config_map("after", self.namespace, {"metadata": {"labels": {"seen": "no"}}})
        self.core.delete_namespaced_config_map("after", self.namespace)
        self.assertEqual(self.seen(resource_version=version), [("ADDED", "after"), ("MODIFIED", "after"), ("DELETED", "after")])
        self.assertEqual(self.seen(resource_version=version, label_selector="seen=yes"), [("ADDED", "after"), ("DELETED", "after")])

    def test_streamed_lists_end_with_a_bookmark(self):
        self.make("streamed", labels={"stream": "yes"})
        events = watch.Watch().stream(
            self.core.list_namespaced_config_map, self.namespace, label_selector="stream=yes", timeout_seconds=1,
            send_initial_events=True, resource_version_match="NotOlderThan", allow_watch_bookmarks=True)
        events = [(event["type"], event["raw_object"]["metadata"]) for event in events]
        self.assertEqual([kind for kind, _ in events][:2], ["ADDED", "BOOKMARK"])
        self.assertEqual(events[1][1]["annotations"], {"k8s.io/initial-events-end": "true"})

    def test_a_revision_that_is_too_old_is_told(self):
        reads = iter([client.ApiException(status=410)])
        with self.assertRaises(client.ApiException) as caught:
            events = watch.Watch().stream(self.core.list_namespaced_config_map, self.namespace, resource_version="999999999", timeout_seconds=5)
            list(events)
            raise next(reads)
        self.assertIn(caught.exception.status, (410, 504))

    def test_informers_keep_a_cache(self):
        informer = SharedInformer(self.core.list_namespaced_config_map, namespace=self.namespace, label_selector="informed=yes")
        said = []
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            informer.add_event_handler(kind, lambda seen, kind=kind: said.append((kind, seen.metadata.name)))
        self.make("first", labels={"informed": "yes"})
        informer.start()
        self.addCleanup(informer.stop)
        until("the first object", lambda: informer.cache.get_by_key(f"{self.namespace}/first"))
        self.make("second", labels={"informed": "yes"})
        until("the second object", lambda: informer.cache.get_by_key(f"{self.namespace}/second"))
        self.core.patch_namespaced_config_map("second", self.namespace, {"data": {"a": "b"}})
        self.core.delete_namespaced_config_map("first", self.namespace)
        until("the deletion", lambda: not informer.cache.get_by_key(f"{self.namespace}/first"))
        self.assertIn(("MODIFIED", "second"), said)
        self.assertEqual(said[-1], ("DELETED", "first"))


class LeaderElection(ClusterTest):
    def lead(self, lock):
        led = threading.Event()
        settings = electionconfig.Config(
            lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=led.set, onstopped_leading=lambda: None)
        threading.Thread(target=leaderelection.LeaderElection(settings).run, daemon=True).start()
        self.assertTrue(led.wait(60), "nobody leads")

    def test_leases_are_taken(self):
        self.lead(LeaseLock("lease", self.namespace, "me"))
        lease = client.CoordinationV1Api().read_namespaced_lease("lease", self.namespace)
        self.assertEqual(lease.spec.holder_identity, "me")

    def test_configmaps_are_taken(self):
        self.lead(ConfigMapLock("lock", self.namespace, "me"))
        lock = self.core.read_namespaced_config_map("lock", self.namespace)
        self.assertIn('"holderIdentity": "me"', lock.metadata.annotations["control-plane.alpha.kubernetes.io/leader"])


if __name__ == "__main__":
    unittest.main()
