package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	eventsv1 "k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

func TestOneOfTwoCandidatesLeads(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	candidate := func(name string) (started <-chan struct{}, stop context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		leads := make(chan struct{})
		lock, err := resourcelock.New(resourcelock.LeasesResourceLock, ns, "leader", client.CoreV1(), client.CoordinationV1(),
			resourcelock.ResourceLockConfig{Identity: name})
		must(t, err)
		go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 100 * time.Millisecond,
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(context.Context) { close(leads) }, OnStoppedLeading: func() {},
			},
		})
		return leads, cancel
	}
	first, stopFirst := candidate("first")
	<-first
	second, stopSecond := candidate("second")
	defer stopSecond()
	select {
	case <-second:
		t.Fatal("two lead")
	case <-time.After(500 * time.Millisecond):
	}
	stopFirst()
	<-second
	lease, err := client.CoordinationV1().Leases(ns).Get(t.Context(), "leader", metav1.GetOptions{})
	must(t, err)
	check(t, *lease.Spec.HolderIdentity == "second" && *lease.Spec.LeaseTransitions == 1, "%v", lease.Spec)
}

func TestConflictsAreRetried(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	maps := client.CoreV1().ConfigMaps(ns)
	_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("counter"), Data: map[string]string{"count": ""}}, metav1.CreateOptions{})
	must(t, err)
	var conflicts atomic.Int32
	done := make(chan error)
	for range 4 {
		go func() {
			done <- retry.RetryOnConflict(retry.DefaultBackoff, func() error {
				counter, err := maps.Get(t.Context(), "counter", metav1.GetOptions{})
				if err == nil {
					counter.Data["count"] += "I"
					_, err = maps.Update(t.Context(), counter, metav1.UpdateOptions{})
				}
				if apierrors.IsConflict(err) {
					conflicts.Add(1)
				}
				return err
			})
		}()
	}
	succeeded := 0
	for range 4 {
		if err := <-done; err == nil {
			succeeded++
		} else {
			refused(t, err, apierrors.IsConflict)
		}
	}
	counter, err := maps.Get(t.Context(), "counter", metav1.GetOptions{})
	must(t, err)
	check(t, len(counter.Data["count"]) == succeeded, "%d writes succeeded (%d conflicts), %q is left", succeeded, conflicts.Load(), counter.Data["count"])
}

func readyPods(t *testing.T, client kubernetes.Interface, ns string, count int) []corev1.Pod {
	t.Helper()
	var ready []corev1.Pod
	until(t, "ready pods", func(ctx context.Context) error {
		listed, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		must(t, err)
		ready = nil
		for _, pod := range listed.Items {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
					ready = append(ready, pod)
				}
			}
		}
		if len(ready) != count {
			return fmt.Errorf("%d of %d are ready", len(ready), count)
		}
		return nil
	})
	return ready
}

func TestEvictionsRespectBudgets(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	labels := map[string]string{"app": "typed"}
	_, err := client.PolicyV1().PodDisruptionBudgets(ns).Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: named("one"),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: pointer(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: named("web"),
		Spec: appsv1.DeploymentSpec{
			Replicas: pointer(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: podTemplate(),
		},
	}, metav1.CreateOptions{})
	must(t, err)
	pod := readyPods(t, client, ns, 1)[0]
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: ns}}
	err = client.CoreV1().Pods(ns).EvictV1(t.Context(), eviction)
	refused(t, err, apierrors.IsTooManyRequests)
	check(t, apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause), "no cause: %v", err)

	must(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		scales, err := client.AppsV1().Deployments(ns).GetScale(t.Context(), "web", metav1.GetOptions{})
		must(t, err)
		scales.Spec.Replicas = 2
		_, err = client.AppsV1().Deployments(ns).UpdateScale(t.Context(), "web", scales, metav1.UpdateOptions{})
		return err
	}))
	readyPods(t, client, ns, 2)
	until(t, "an eviction", func(ctx context.Context) error { return client.PolicyV1().Evictions(ns).Evict(ctx, eviction) })
	until(t, "the pod's end", func(ctx context.Context) error {
		if _, err := client.CoreV1().Pods(ns).Get(ctx, pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errors.New("still there")
		}
		return nil
	})
}

func TestScaleClientsScaleByDiscovery(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	_, err := client.AppsV1().StatefulSets(ns).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: named("scaled"),
		Spec: appsv1.StatefulSetSpec{
			Replicas: pointer(int32(0)), ServiceName: "scaled", Template: podTemplate(),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "typed"}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	discovered := memory.NewMemCacheClient(client.Discovery())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(discovered)
	scales, err := scale.NewForConfig(protobufConfig(t), mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(discovered))
	must(t, err)
	resource := schema.GroupResource{Group: "apps", Resource: "statefulsets"}
	// The set's controller writes its status at the same time: a conflict is an answer as good as any.
	must(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		found, err := scales.Scales(ns).Get(t.Context(), resource, "scaled", metav1.GetOptions{})
		must(t, err)
		check(t, found.Status.Selector == "app=typed", "%v", found)
		found.Spec.Replicas = 1
		_, err = scales.Scales(ns).Update(t.Context(), resource, found, metav1.UpdateOptions{})
		return err
	}))
	set, err := client.AppsV1().StatefulSets(ns).Get(t.Context(), "scaled", metav1.GetOptions{})
	must(t, err)
	check(t, *set.Spec.Replicas == 1 && set.Generation == 2, "%v, generation %d", *set.Spec.Replicas, set.Generation)
}

func TestEventRecordersWriteAndCount(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	about, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("about")}, metav1.CreateOptions{})
	must(t, err)
	old := record.NewBroadcaster()
	old.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer old.Shutdown()
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "old"})
	for range 3 {
		recorder.Event(about, corev1.EventTypeNormal, "Old", "said three times")
	}
	recent := eventsv1.NewBroadcaster(&eventsv1.EventSinkImpl{Interface: client.EventsV1()})
	must(t, recent.StartRecordingToSinkWithContext(t.Context()))
	defer recent.Shutdown()
	recent.NewRecorder(scheme.Scheme, "new").Eventf(about, nil, corev1.EventTypeWarning, "New", "Testing", "said %s", "once")
	until(t, "the events", func(ctx context.Context) error {
		listed, err := client.CoreV1().Events(ns).Search(scheme.Scheme, about)
		must(t, err)
		said := []string{}
		for _, event := range listed.Items {
			said = append(said, fmt.Sprintf("%s x%d %s", event.Reason, event.Count, event.Message))
		}
		all := strings.Join(said, ", ")
		if !strings.Contains(all, "Old x3 said three times") || !strings.Contains(all, "New x0 said once") {
			return errors.New(all)
		}
		return nil
	})
}

func TestTokensOfServiceAccountsAuthenticate(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	_, err := client.CoreV1().ServiceAccounts(ns).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: named("robot")}, metav1.CreateOptions{})
	must(t, err)
	_, err = client.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: named("robot"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot", Namespace: ns}},
	}, metav1.CreateOptions{})
	must(t, err)
	token, err := client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: pointer(int64(3600))},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, token.Status.ExpirationTimestamp.After(time.Now().Add(50*time.Minute)), "%v", token.Status.ExpirationTimestamp)
	user := "system:serviceaccount:" + ns + ":robot"
	review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token.Status.Token},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, review.Status.Authenticated && review.Status.User.Username == user, "%v", review.Status)

	config := rest.AnonymousClientConfig(protobufConfig(t))
	config.BearerToken = token.Status.Token
	robot, err := kubernetes.NewForConfig(config)
	must(t, err)
	self, err := robot.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)
	check(t, self.Status.UserInfo.Username == user, "%v", self.Status)
	_, err = robot.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	_, err = robot.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{})
	refused(t, err, apierrors.IsForbidden)
	config.BearerToken = "nonsense"
	nobody, err := kubernetes.NewForConfig(config)
	must(t, err)
	_, err = nobody.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	refused(t, err, apierrors.IsUnauthorized)
}

func TestAccessReviewsAnswer(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	asked := &authorizationv1.ResourceAttributes{Namespace: ns, Verb: "delete", Resource: "pods"}
	self, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: asked},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, self.Status.Allowed, "%v", self.Status)
	other, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: asked, User: "somebody", Groups: []string{"system:authenticated"}},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, !other.Status.Allowed, "%v", other.Status)
	local, err := client.AuthorizationV1().LocalSubjectAccessReviews(ns).Create(t.Context(), &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns},
		Spec:       authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: asked, User: "somebody", Groups: []string{"system:masters"}},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, local.Status.Allowed, "%v", local.Status)
	rules, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: ns},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, len(rules.Status.ResourceRules) > 0, "%v", rules.Status)
	config := protobufConfig(t)
	config.Impersonate = rest.ImpersonationConfig{UserName: "somebody", Groups: []string{"people"}}
	somebody, err := kubernetes.NewForConfig(config)
	must(t, err)
	_, err = somebody.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	refused(t, err, apierrors.IsForbidden)
	check(t, strings.Contains(err.Error(), `User "somebody" cannot list resource "pods"`), "%v", err)
}
