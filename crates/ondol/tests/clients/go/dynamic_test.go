package clients

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/disk"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/restmapper"
)

func TestDiscoveryKnowsEveryGroup(t *testing.T) {
	client := clientset(t)
	for name, cached := range map[string]discovery.DiscoveryInterface{
		"live": client.Discovery(), "in memory": memory.NewMemCacheClient(client.Discovery()), "without aggregation": client.Discovery().WithLegacy(),
	} {
		groups, resources, err := cached.ServerGroupsAndResources()
		must(t, err)
		check(t, len(groups) > 15 && len(resources) > 15, "%s: %d groups, %d lists", name, len(groups), len(resources))
		preferred, err := cached.ServerPreferredResources()
		must(t, err)
		check(t, len(preferred) > 15, "%s: %d preferred lists", name, len(preferred))
	}
	onDisk, err := disk.NewCachedDiscoveryClientForConfig(jsonConfig(t), t.TempDir(), t.TempDir(), patience)
	must(t, err)
	for range 2 {
		_, err = onDisk.ServerPreferredNamespacedResources()
		must(t, err)
	}
	version, err := client.Discovery().ServerVersion()
	must(t, err)
	check(t, version.Major == "1" && version.GitVersion != "", "%v", version)
	document, err := client.Discovery().OpenAPISchema()
	must(t, err)
	check(t, len(document.GetDefinitions().GetAdditionalProperties()) > 300, "%d definitions", len(document.GetDefinitions().GetAdditionalProperties()))
	paths, err := client.Discovery().OpenAPIV3().Paths()
	must(t, err)
	for _, path := range []string{"api/v1", "apis/apps/v1"} {
		for _, form := range []string{"application/json", openapi.ContentTypeOpenAPIV3PB} {
			document, err := paths[path].Schema(form)
			must(t, err)
			check(t, len(document) > 1000, "%s as %s has %d bytes", path, form, len(document))
		}
	}
}

func TestMappersFindResources(t *testing.T) {
	client := clientset(t)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	for kind, resource := range map[schema.GroupKind]string{
		{Kind: "Pod"}: "pods", {Group: "apps", Kind: "Deployment"}: "deployments", {Kind: "Endpoints"}: "endpoints",
		{Group: "networking.k8s.io", Kind: "Ingress"}: "ingresses", {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}: "clusterroles",
	} {
		mapping, err := mapper.RESTMapping(kind)
		must(t, err)
		check(t, mapping.Resource.Resource == resource, "%v is %v", kind, mapping.Resource)
		check(t, (mapping.Scope.Name() == meta.RESTScopeNameRoot) == (resource == "clusterroles"), "%v", mapping.Scope)
	}
	shortcut, err := restmapper.NewShortcutExpander(mapper, client.Discovery(), nil).ResourceFor(schema.GroupVersionResource{Resource: "deploy"})
	must(t, err)
	check(t, shortcut.Resource == "deployments" && shortcut.Group == "apps", "%v", shortcut)
	_, err = mapper.RESTMapping(schema.GroupKind{Group: "example.test", Kind: "Absent"})
	check(t, meta.IsNoMatchError(err), "%v", err)
}

func TestDynamicClientsReadAndWrite(t *testing.T) {
	ns := namespace(t, clientset(t))
	client, err := dynamic.NewForConfig(jsonConfig(t))
	must(t, err)
	deployments := client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}).Namespace(ns)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "untyped"},
		"spec": map[string]any{
			"replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"app": "a"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "a"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "nginx"}}},
			},
		},
	}}
	made, err := deployments.Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
	strategy, _, err := unstructured.NestedString(made.Object, "spec", "strategy", "type")
	must(t, err)
	check(t, strategy == "RollingUpdate", "no defaults: %v", made.Object["spec"])
	wrong := object.DeepCopy()
	wrong.SetName("wrong")
	must(t, unstructured.SetNestedField(wrong.Object, "x", "spec", "replicass"))
	_, err = deployments.Create(t.Context(), wrong, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	refused(t, err, apierrors.IsBadRequest)
	_, err = deployments.Patch(t.Context(), "untyped", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox"}]}}}}`), metav1.PatchOptions{})
	must(t, err)
	newest, err := deployments.Get(t.Context(), "untyped", metav1.GetOptions{})
	must(t, err)
	containers, _, err := unstructured.NestedSlice(newest.Object, "spec", "template", "spec", "containers")
	must(t, err)
	check(t, len(containers) == 2, "%v", containers)
	until(t, "a status update", func(ctx context.Context) error {
		newest, err := deployments.Get(ctx, "untyped", metav1.GetOptions{})
		must(t, err)
		_, err = deployments.UpdateStatus(ctx, newest, metav1.UpdateOptions{})
		return err
	})
	_, err = deployments.Get(t.Context(), "untyped", metav1.GetOptions{}, "scale")
	must(t, err)
	must(t, deployments.Delete(t.Context(), "untyped", metav1.DeleteOptions{PropagationPolicy: pointer(metav1.DeletePropagationForeground)}))
}

func TestMetadataClientsReadAndWrite(t *testing.T) {
	ns := namespace(t, clientset(t))
	client, err := metadata.NewForConfig(protobufConfig(t))
	must(t, err)
	accounts := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace(ns)
	until(t, "the default service account", func(ctx context.Context) error {
		_, err := accounts.Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	patched, err := accounts.Patch(t.Context(), "default", types.MergePatchType, []byte(`{"metadata":{"labels":{"seen":"yes"}}}`), metav1.PatchOptions{})
	must(t, err)
	check(t, patched.Labels["seen"] == "yes", "%v", patched)
	listed, err := accounts.List(t.Context(), metav1.ListOptions{LabelSelector: "seen=yes"})
	must(t, err)
	check(t, len(listed.Items) == 1 && listed.ResourceVersion != "", "%v", listed)
	must(t, accounts.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "seen=yes"}))
}
