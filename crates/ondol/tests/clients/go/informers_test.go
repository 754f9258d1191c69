package clients

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// streamedLists makes reflectors begin with one watch that streams the list; `off` is the older way.
func streamedLists(t *testing.T, on bool) {
	t.Helper()
	must(t, os.Setenv("KUBE_FEATURE_WatchListClient", fmt.Sprint(on)))
}

func TestSharedInformersFollowEveryKind(t *testing.T) {
	streamedLists(t, true)
	client := clientset(t)
	ns := namespace(t, client)
	factory := informers.NewSharedInformerFactory(client, 0)
	all := []cache.SharedIndexInformer{
		factory.Core().V1().Pods().Informer(), factory.Core().V1().Nodes().Informer(), factory.Core().V1().Services().Informer(),
		factory.Core().V1().ConfigMaps().Informer(), factory.Core().V1().Secrets().Informer(), factory.Core().V1().Namespaces().Informer(),
		factory.Core().V1().ServiceAccounts().Informer(), factory.Core().V1().PersistentVolumes().Informer(),
		factory.Core().V1().PersistentVolumeClaims().Informer(), factory.Core().V1().ResourceQuotas().Informer(),
		factory.Apps().V1().Deployments().Informer(), factory.Apps().V1().ReplicaSets().Informer(),
		factory.Apps().V1().StatefulSets().Informer(), factory.Apps().V1().DaemonSets().Informer(),
		factory.Batch().V1().Jobs().Informer(), factory.Batch().V1().CronJobs().Informer(),
		factory.Discovery().V1().EndpointSlices().Informer(), factory.Networking().V1().Ingresses().Informer(),
		factory.Networking().V1().NetworkPolicies().Informer(), factory.Policy().V1().PodDisruptionBudgets().Informer(),
		factory.Rbac().V1().ClusterRoles().Informer(), factory.Storage().V1().StorageClasses().Informer(),
		factory.Storage().V1().CSINodes().Informer(), factory.Coordination().V1().Leases().Informer(),
		factory.Admissionregistration().V1().ValidatingAdmissionPolicies().Informer(),
		factory.Flowcontrol().V1().FlowSchemas().Informer(), factory.Certificates().V1().CertificateSigningRequests().Informer(),
	}
	stop := make(chan struct{})
	defer func() { close(stop); factory.Shutdown() }()
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(stop) {
		check(t, synced, "%v did not sync", kind)
	}
	check(t, len(all) == 27 && len(factory.Core().V1().Nodes().Informer().GetStore().List()) > 0, "no node is in the cache")

	_, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("new")}, metav1.CreateOptions{})
	must(t, err)
	lister := factory.Core().V1().ConfigMaps().Lister().ConfigMaps(ns)
	until(t, "the informer's cache", func(context.Context) error { _, err := lister.Get("new"); return err })
	must(t, client.CoreV1().ConfigMaps(ns).Delete(t.Context(), "new", metav1.DeleteOptions{}))
	until(t, "the deletion in the cache", func(context.Context) error {
		if _, err := lister.Get("new"); err == nil {
			return errors.New("still there")
		}
		return nil
	})
}

// events counts what an informer's handlers were told.
type events struct {
	sync.Mutex
	said []string
}

func (events *events) say(what string, object any) {
	events.Lock()
	defer events.Unlock()
	if gone, is := object.(cache.DeletedFinalStateUnknown); is {
		object = gone.Obj
	}
	events.said = append(events.said, what+" "+object.(metav1.Object).GetName())
}

func (events *events) are(wanted ...string) error {
	events.Lock()
	defer events.Unlock()
	if fmt.Sprint(events.said) != fmt.Sprint(wanted) {
		return fmt.Errorf("%v, wanted %v", events.said, wanted)
	}
	return nil
}

func handlers(events *events) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { events.say("add", object) },
		UpdateFunc: func(_, object any) { events.say("update", object) },
		DeleteFunc: func(object any) { events.say("delete", object) },
	}
}

func label(t *testing.T, client interface {
	Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error)
}, ns, name, tier string,
) {
	t.Helper()
	_, err := client.Update(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: map[string]string{"tier": tier}},
	}, metav1.UpdateOptions{})
	must(t, err)
}

func TestSelectingInformersSeeObjectsComeAndGo(t *testing.T) {
	for _, streamed := range []bool{true, false} {
		t.Run(fmt.Sprintf("streamed-%t", streamed), func(t *testing.T) {
			streamedLists(t, streamed)
			client := clientset(t)
			ns := namespace(t, client)
			factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(ns),
				informers.WithTweakListOptions(func(options *metav1.ListOptions) {
					options.LabelSelector = "tier=front"
					options.FieldSelector = fields.OneTermNotEqualSelector("metadata.name", "hidden").String()
				}))
			seen := &events{}
			_, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(handlers(seen))
			must(t, err)
			maps := client.CoreV1().ConfigMaps(ns)
			for _, name := range []string{"a", "hidden"} {
				_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named(name)}, metav1.CreateOptions{})
				must(t, err)
			}
			stop := make(chan struct{})
			defer func() { close(stop); factory.Shutdown() }()
			factory.Start(stop)
			factory.WaitForCacheSync(stop)
			label(t, maps, ns, "a", "front")
			label(t, maps, ns, "hidden", "front")
			label(t, maps, ns, "a", "back")
			label(t, maps, ns, "a", "front")
			must(t, maps.Delete(t.Context(), "a", metav1.DeleteOptions{}))
			until(t, "the handlers", func(context.Context) error {
				return seen.are("add a", "delete a", "add a", "delete a")
			})
		})
	}
}

func TestDynamicAndMetadataInformersFollow(t *testing.T) {
	streamedLists(t, true)
	client := clientset(t)
	ns := namespace(t, client)
	resource := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	untyped, err := dynamic.NewForConfig(jsonConfig(t))
	must(t, err)
	partial, err := metadata.NewForConfig(protobufConfig(t))
	must(t, err)
	objects := dynamicinformer.NewFilteredDynamicSharedInformerFactory(untyped, 0, ns, nil)
	metadatas := metadatainformer.NewFilteredSharedInformerFactory(partial, 0, ns, nil)
	seen, seenToo := &events{}, &events{}
	selectA := func(events *events) cache.FilteringResourceEventHandler {
		return cache.FilteringResourceEventHandler{
			FilterFunc: func(object any) bool { return object.(metav1.Object).GetName() == "a" },
			Handler:    handlers(events),
		}
	}
	_, err = objects.ForResource(resource).Informer().AddEventHandler(selectA(seen))
	must(t, err)
	_, err = metadatas.ForResource(resource).Informer().AddEventHandler(selectA(seenToo))
	must(t, err)
	stop := make(chan struct{})
	defer close(stop)
	objects.Start(stop)
	metadatas.Start(stop)
	objects.WaitForCacheSync(stop)
	metadatas.WaitForCacheSync(stop)
	maps := client.CoreV1().ConfigMaps(ns)
	_, err = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("a")}, metav1.CreateOptions{})
	must(t, err)
	label(t, maps, ns, "a", "front")
	must(t, maps.Delete(t.Context(), "a", metav1.DeleteOptions{}))
	for _, events := range []*events{seen, seenToo} {
		until(t, "the handlers", func(context.Context) error { return events.are("add a", "update a", "delete a") })
	}
	found, err := metadatas.ForResource(resource).Lister().ByNamespace(ns).List(labels.Everything())
	must(t, err)
	for _, object := range found {
		check(t, object.(*metav1.PartialObjectMetadata).UID != "", "no metadata: %v", object)
	}
}

func TestWatchesEndAndBegin(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	maps := client.CoreV1().ConfigMaps(ns)
	second := int64(1)
	watched, err := maps.Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: &second, AllowWatchBookmarks: true})
	must(t, err)
	began := time.Now()
	for range watched.ResultChan() {
	}
	check(t, time.Since(began) < patience, "the watch did not end")

	listed, err := maps.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	retried, err := watchtools.NewRetryWatcherWithContext(t.Context(), listed.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.TimeoutSeconds = &second
			return maps.Watch(ctx, options)
		},
	})
	must(t, err)
	defer retried.Stop()
	for _, name := range []string{"one", "two"} {
		_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named(name)}, metav1.CreateOptions{})
		must(t, err)
		event := <-retried.ResultChan()
		check(t, event.Type == watch.Added && event.Object.(*corev1.ConfigMap).Name == name, "%v", event)
		<-time.After(1500 * time.Millisecond)
	}

	tooOld, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1"})
	if err == nil {
		event := <-tooOld.ResultChan()
		tooOld.Stop()
		// A revision that was compacted ends the watch; one that is still kept tells of its events.
		check(t, event.Type == watch.Error || event.Type == watch.Added, "%v", event)
	}
}
