package clients

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// TestStreams needs containers that really run: ONDOL_TEST_POD names a pod of busybox in the namespace default that serves HTTP at port 80.
func TestStreams(t *testing.T) {
	pod := os.Getenv("ONDOL_TEST_POD")
	if pod == "" {
		t.Skip("the nodes run no containers")
	}
	client, config := clientset(t), jsonConfig(t)
	executors := map[string]func(*corev1.PodExecOptions) remotecommand.Executor{
		"websocket": func(options *corev1.PodExecOptions) remotecommand.Executor {
			url := client.CoreV1().RESTClient().Get().Namespace("default").Resource("pods").Name(pod).SubResource("exec").
				VersionedParams(options, scheme.ParameterCodec).URL()
			executor, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
			must(t, err)
			return executor
		},
		"spdy": func(options *corev1.PodExecOptions) remotecommand.Executor {
			url := client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name(pod).SubResource("exec").
				VersionedParams(options, scheme.ParameterCodec).URL()
			executor, err := remotecommand.NewSPDYExecutor(config, "POST", url)
			must(t, err)
			return executor
		},
	}
	for protocol, executor := range executors {
		t.Run("exec by "+protocol, func(t *testing.T) {
			var out, complaint bytes.Buffer
			command := []string{"sh", "-c", "cat; echo complaint >&2; exit 3"}
			err := executor(&corev1.PodExecOptions{Command: command, Stdin: true, Stdout: true, Stderr: true}).StreamWithContext(t.Context(),
				remotecommand.StreamOptions{Stdin: strings.NewReader("typed in\n"), Stdout: &out, Stderr: &complaint})
			var ended exec.CodeExitError
			check(t, errors.As(err, &ended) && ended.Code == 3, "%v", err)
			check(t, out.String() == "typed in\n" && complaint.String() == "complaint\n", "%q, %q", out.String(), complaint.String())
		})
	}
	t.Run("logs are followed", func(t *testing.T) {
		stream, err := client.CoreV1().Pods("default").GetLogs(pod, &corev1.PodLogOptions{Follow: true, Timestamps: true}).Stream(t.Context())
		must(t, err)
		defer stream.Close()
		lines := bufio.NewScanner(stream)
		for count := range 3 {
			check(t, lines.Scan(), "the log ended after %d lines: %v", count, lines.Err())
		}
	})
	for _, tunnelled := range []bool{false, true} {
		t.Run(fmt.Sprintf("ports are forwarded, tunnelled %t", tunnelled), func(t *testing.T) {
			transport, upgrader, err := spdy.RoundTripperFor(config)
			must(t, err)
			url := client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name(pod).SubResource("portforward").URL()
			dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
			if tunnelled {
				dialer, err = portforward.NewSPDYOverWebsocketDialer(url, config)
				must(t, err)
			}
			stop, ready := make(chan struct{}), make(chan struct{})
			forwarder, err := portforward.New(dialer, []string{"0:80"}, stop, ready, io.Discard, os.Stderr)
			must(t, err)
			ended := make(chan error)
			go func() { ended <- forwarder.ForwardPorts() }()
			<-ready
			ports, err := forwarder.GetPorts()
			must(t, err)
			for range 3 {
				answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
				must(t, err)
				body, err := io.ReadAll(answer.Body)
				must(t, err)
				must(t, answer.Body.Close())
				check(t, answer.StatusCode == http.StatusOK, "%s: %s", answer.Status, body)
			}
			close(stop)
			must(t, <-ended)
		})
	}
	t.Run("the proxy answers", func(t *testing.T) {
		_, err := client.CoreV1().Pods("default").ProxyGet("http", pod, "80", "/", nil).DoRaw(t.Context())
		must(t, err)
	})
}
