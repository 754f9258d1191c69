package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const finalizer = "clients.ondol.test/said-goodbye"

// greeter is a controller as kubebuilder makes them.
type greeter struct{ client.Client }

func (greeter *greeter) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	greeting := &Greeting{}
	if err := greeter.Get(ctx, request.NamespacedName, greeting); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !greeting.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(greeting, finalizer) {
			goodbye := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "goodbye-" + greeting.Name, Namespace: greeting.Namespace}}
			if err := greeter.Create(ctx, goodbye); client.IgnoreAlreadyExists(err) != nil {
				return ctrl.Result{}, err
			}
			return ctrl.Result{}, greeter.Update(ctx, greeting)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(greeting, finalizer) {
		if err := greeter.Update(ctx, greeting); err != nil {
			return ctrl.Result{}, err
		}
	}
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: greeting.Name, Namespace: greeting.Namespace}}
	_, err := controllerutil.CreateOrUpdate(ctx, greeter.Client, owned, func() error {
		owned.Data = map[string]string{"text": greeting.Spec.Text}
		return controllerutil.SetControllerReference(greeting, owned, greeter.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	before := greeting.DeepCopyObject().(*Greeting)
	greeting.Status.Said = greeting.Spec.Text
	meta.SetStatusCondition(&greeting.Status.Conditions, metav1.Condition{
		Type: "Ready", Status: metav1.ConditionTrue, Reason: "Said", ObservedGeneration: greeting.Generation,
	})
	return ctrl.Result{}, greeter.Status().Patch(ctx, greeting, client.MergeFrom(before))
}

// tone is the webhooks of the kind: calm by default, and never rude.
type tone struct{}

func (tone) Default(_ context.Context, greeting *Greeting) error {
	if greeting.Spec.Tone == "" {
		greeting.Spec.Tone = "calm"
	}
	return nil
}

func (tone) ValidateCreate(_ context.Context, greeting *Greeting) (admission.Warnings, error) {
	if strings.Contains(greeting.Spec.Text, "rude") {
		return nil, errors.New("greetings are polite")
	}
	return nil, nil
}

func (check tone) ValidateUpdate(ctx context.Context, _, greeting *Greeting) (admission.Warnings, error) {
	return check.ValidateCreate(ctx, greeting)
}

func (tone) ValidateDelete(context.Context, *Greeting) (admission.Warnings, error) { return nil, nil }

func toneWebhooks() envtest.WebhookInstallOptions {
	rule := []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{greetings.Group}, APIVersions: []string{greetings.Version}, Resources: []string{"greetings"}},
	}}
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	at := func(path string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Name: "tone", Namespace: "default", Path: &path}}
	}
	return envtest.WebhookInstallOptions{
		MutatingWebhooks: []*admissionregistrationv1.MutatingWebhookConfiguration{{
			ObjectMeta: named("go-clients-tone"),
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "default.tone.ondol.test", Rules: rule, SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
				ClientConfig: at("/mutate-clients-ondol-test-v1-greeting"),
			}},
		}},
		ValidatingWebhooks: []*admissionregistrationv1.ValidatingWebhookConfiguration{{
			ObjectMeta: named("go-clients-tone"),
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: "validate.tone.ondol.test", Rules: rule, SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
				ClientConfig: at("/validate-clients-ondol-test-v1-greeting"),
			}},
		}},
	}
}

// environment installs the definition and the webhooks as controller-runtime's envtest does.
func environment(t *testing.T, scheme *runtime.Scheme) *envtest.Environment {
	t.Helper()
	environment := &envtest.Environment{
		UseExistingCluster: pointer(true), Config: jsonConfig(t), Scheme: scheme,
		CRDs:                  []*apiextensionsv1.CustomResourceDefinition{greetingDefinition()},
		CRDInstallOptions:     envtest.CRDInstallOptions{CleanUpAfterUse: true, PollInterval: 50 * time.Millisecond},
		WebhookInstallOptions: toneWebhooks(),
	}
	_, err := environment.Start()
	must(t, err)
	t.Cleanup(func() {
		hooks := client.MatchingFields{"metadata.name": "go-clients-tone"}
		direct, err := client.New(jsonConfig(t), client.Options{})
		must(t, err)
		must(t, direct.DeleteAllOf(context.Background(), &admissionregistrationv1.MutatingWebhookConfiguration{}, hooks))
		must(t, direct.DeleteAllOf(context.Background(), &admissionregistrationv1.ValidatingWebhookConfiguration{}, hooks))
		must(t, environment.Stop())
	})
	return environment
}

// manage starts a manager with the controller, its webhooks and a cache of what is selected.
func manage(t *testing.T, ns string) client.Client {
	t.Helper()
	types := runtime.NewScheme()
	must(t, scheme.AddToScheme(types))
	addGreetings(types)
	environment := environment(t, types)
	hooks := environment.WebhookInstallOptions
	manager, err := ctrl.NewManager(environment.Config, ctrl.Options{
		Scheme: types, Metrics: server.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "greeter", LeaderElectionNamespace: ns, LeaderElectionReleaseOnCancel: true,
		WebhookServer: webhook.NewServer(webhook.Options{Host: hooks.LocalServingHost, Port: hooks.LocalServingPort, CertDir: hooks.LocalServingCertDir}),
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{ns: {}},
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Secret{}: {Label: labels.SelectorFromSet(labels.Set{"cached": "yes"})},
				&corev1.Pod{}:    {Field: fields.OneTermEqualSelector("status.phase", "Running")},
			},
		},
	})
	must(t, err)
	must(t, ctrl.NewControllerManagedBy(manager).For(&Greeting{}).Owns(&corev1.ConfigMap{}).Named("greeter-"+ns).Complete(&greeter{manager.GetClient()}))
	must(t, ctrl.NewWebhookManagedBy(manager, &Greeting{}).WithDefaulter(tone{}).WithValidator(tone{}).Complete())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- manager.Start(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	check(t, manager.GetCache().WaitForCacheSync(ctx), "the caches did not sync")
	until(t, "the webhook server", func(context.Context) error { return manager.GetWebhookServer().StartedChecker()(nil) })
	return manager.GetClient()
}

func TestManagersReconcileWhatTheyOwn(t *testing.T) {
	streamedLists(t, true)
	ns := namespace(t, clientset(t))
	direct := manage(t, ns)
	ctx := t.Context()
	greeting := &Greeting{ObjectMeta: metav1.ObjectMeta{Name: "hello", Namespace: ns}, Spec: GreetingSpec{Text: "good morning"}}
	must(t, direct.Create(ctx, greeting))
	check(t, greeting.Spec.Tone == "calm" && *greeting.Spec.Replicas == 1, "webhook and schema give defaults: %v", greeting.Spec)
	key := client.ObjectKeyFromObject(greeting)
	until(t, "the status", func(ctx context.Context) error {
		// The client reads from a cache, which hears of the object a moment later.
		if err := direct.Get(ctx, key, greeting); err != nil {
			return err
		}
		if greeting.Status.Said != "good morning" || !meta.IsStatusConditionTrue(greeting.Status.Conditions, "Ready") {
			return fmt.Errorf("%v", greeting.Status)
		}
		return nil
	})
	check(t, greeting.Generation == 1 && slices.Contains(greeting.Finalizers, finalizer), "%v", greeting.ObjectMeta)

	owned := &corev1.ConfigMap{}
	owned.Name, owned.Namespace = "hello", ns
	must(t, direct.Delete(ctx, owned))
	until(t, "what is owned comes back", func(ctx context.Context) error {
		made := &corev1.ConfigMap{}
		if err := direct.Get(ctx, key, made); err != nil {
			return err
		}
		if made.Data["text"] != "good morning" || !metav1.IsControlledBy(made, greeting) {
			return fmt.Errorf("%v", made)
		}
		return nil
	})

	rude := &Greeting{ObjectMeta: metav1.ObjectMeta{Name: "rude", Namespace: ns}, Spec: GreetingSpec{Text: "a rude word"}}
	err := direct.Create(ctx, rude)
	refused(t, err, apierrors.IsForbidden)
	check(t, strings.Contains(err.Error(), `admission webhook "validate.tone.ondol.test" denied the request: greetings are polite`), "%v", err)
	loud := &Greeting{ObjectMeta: metav1.ObjectMeta{Name: "loud", Namespace: ns}, Spec: GreetingSpec{Text: "hey", Tone: "loud"}}
	err = direct.Create(ctx, loud)
	refused(t, err, apierrors.IsInvalid)
	check(t, strings.Contains(err.Error(), "loud greetings end with an exclamation mark"), "%v", err)

	must(t, direct.Delete(ctx, greeting))
	until(t, "the finalizer's work", func(ctx context.Context) error {
		if err := direct.Get(ctx, key, greeting); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %v", err)
		}
		return direct.Get(ctx, client.ObjectKey{Namespace: ns, Name: "goodbye-hello"}, &corev1.ConfigMap{})
	})
	until(t, "garbage collection", func(ctx context.Context) error {
		if err := direct.Get(ctx, key, &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %v", err)
		}
		return nil
	})
	checkSelectedCaches(t, direct, ns)
	checkApplied(t, direct, ns)
}

// checkSelectedCaches reads through caches that hold a part of what there is.
func checkSelectedCaches(t *testing.T, cached client.Client, ns string) {
	t.Helper()
	for name, label := range map[string]string{"seen": "yes", "unseen": "no"} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns, Labels: map[string]string{"cached": label}}}
		must(t, cached.Create(t.Context(), secret))
	}
	until(t, "a cached secret", func(ctx context.Context) error {
		return cached.Get(ctx, client.ObjectKey{Namespace: ns, Name: "seen"}, &corev1.Secret{})
	})
	refused(t, cached.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "unseen"}, &corev1.Secret{}), apierrors.IsNotFound)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "running", Namespace: ns}, Spec: podTemplate().Spec}
	until(t, "a pod can be made", func(ctx context.Context) error { return client.IgnoreAlreadyExists(cached.Create(ctx, pod)) })
	until(t, "the pod is in the cache once it runs", func(ctx context.Context) error {
		return cached.Get(ctx, client.ObjectKey{Namespace: ns, Name: "running"}, &corev1.Pod{})
	})
}

// checkApplied applies a custom resource and its scale.
func checkApplied(t *testing.T, direct client.Client, ns string) {
	t.Helper()
	object := &Greeting{
		TypeMeta:   metav1.TypeMeta{APIVersion: greetings.String(), Kind: "Greeting"},
		ObjectMeta: metav1.ObjectMeta{Name: "applied", Namespace: ns}, Spec: GreetingSpec{Text: "hey!", Tone: "loud"},
	}
	must(t, direct.Patch(t.Context(), object, client.Apply, client.FieldOwner("me"), client.ForceOwnership)) //nolint:staticcheck // Operators use it.
	selected := &GreetingList{}
	until(t, "a list by a selectable field", func(ctx context.Context) error {
		uncached, err := client.New(jsonConfig(t), client.Options{Scheme: direct.Scheme()})
		must(t, err)
		must(t, uncached.List(ctx, selected, client.InNamespace(ns), client.MatchingFields{"spec.tone": "loud"}))
		if len(selected.Items) != 1 {
			return fmt.Errorf("%v", selected.Items)
		}
		return nil
	})
	must(t, direct.DeleteAllOf(t.Context(), &Greeting{}, client.InNamespace(ns)))
	until(t, "none is left", func(ctx context.Context) error {
		left := &GreetingList{}
		must(t, direct.List(ctx, left, client.InNamespace(ns)))
		if len(left.Items) > 0 {
			return fmt.Errorf("%v", left.Items)
		}
		return nil
	})
}
