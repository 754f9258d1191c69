"""Commands, logs and ports of a pod that really runs: ONDOL_TEST_POD names one of busybox that serves HTTP at port 80."""

import os
import unittest

from kubernetes import client, watch
from kubernetes.stream import portforward, stream

from cluster import ClusterTest


@unittest.skipUnless(os.environ.get("ONDOL_TEST_POD"), "the nodes run no containers")
class Streams(ClusterTest):
    def setUp(self):
        self.pod = os.environ.get("ONDOL_TEST_POD")
        # The streaming helpers replace the way of an API client's requests, so each call has one of its own.
        self.streams = client.CoreV1Api(client.ApiClient())

    def exec(self, command, **named):
        return stream(self.streams.connect_get_namespaced_pod_exec, self.pod, "default", command=command,
                      stderr=True, stdout=True, **named)

    def test_commands_print(self):
        self.assertEqual(self.exec(["sh", "-c", "echo out"], stdin=False, tty=False), "out\n")

    def test_commands_read_and_end_with_a_code(self):
        running = self.exec(["sh", "-c", "read line; echo got $line; echo complaint >&2; exit 3"], stdin=True, tty=False, _preload_content=False)
        running.write_stdin("typed in\n")
        running.run_forever(timeout=60)
        self.assertEqual(running.read_stdout(), "got typed in\n")
        self.assertEqual(running.read_stderr(), "complaint\n")
        self.assertEqual(running.returncode, 3)

    def test_terminals_echo(self):
        running = self.exec(["sh"], stdin=True, tty=True, _preload_content=False)
        running.write_stdin("exit 5\n")
        running.run_forever(timeout=60)
        self.assertEqual(running.returncode, 5)

    def test_logs_are_followed(self):
        seen = []
        watcher = watch.Watch()
        for line in watcher.stream(self.core.read_namespaced_pod_log, self.pod, "default", tail_lines=1):
            seen.append(line)
            if len(seen) == 3:
                watcher.stop()
        self.assertEqual(len(seen), 3)

    def test_ports_are_forwarded(self):
        forwarded = portforward(self.streams.connect_get_namespaced_pod_portforward, self.pod, "default", ports="80")
        socket = forwarded.socket(80)
        socket.setblocking(True)
        socket.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        answer = b""
        while chunk := socket.recv(1024):
            answer += chunk
        self.assertIn(b"200 OK", answer)
        self.assertIsNone(forwarded.error(80))

    def test_the_proxy_answers(self):
        body = self.core.connect_get_namespaced_pod_proxy_with_path(f"{self.pod}:80", "default", path="index.html")
        self.assertIn("hello", body)


if __name__ == "__main__":
    unittest.main()
