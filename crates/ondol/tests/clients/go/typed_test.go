package clients

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
)

// typed is what every generated client of client-go has.
type typed[T runtime.Object, L runtime.Object] interface {
	Create(context.Context, T, metav1.CreateOptions) (T, error)
	Update(context.Context, T, metav1.UpdateOptions) (T, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
	DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error
	Get(context.Context, string, metav1.GetOptions) (T, error)
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)
}

// lifecycle sends an object through every verb of its generated client.
func lifecycle[T interface {
	runtime.Object
	metav1.Object
}, L interface {
	runtime.Object
	metav1.ListInterface
}](t *testing.T, kind string, client typed[T, L], object T) {
	t.Run(kind, func(t *testing.T) {
		ctx := t.Context()
		object.SetLabels(map[string]string{"lifecycle": "typed"})
		selected := metav1.ListOptions{LabelSelector: "lifecycle=typed"}

		_, err := client.Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		must(t, err)
		_, err = client.Get(ctx, object.GetName(), metav1.GetOptions{})
		refused(t, err, apierrors.IsNotFound)
		made, err := client.Create(ctx, object, metav1.CreateOptions{})
		must(t, err)
		check(t, made.GetUID() != "" && made.GetResourceVersion() != "", "no uid or version: %v", made)
		_, err = client.Create(ctx, object, metav1.CreateOptions{})
		refused(t, err, apierrors.IsAlreadyExists)

		listed, err := client.List(ctx, selected)
		must(t, err)
		options := selected
		options.ResourceVersion = listed.GetResourceVersion()
		watched, err := client.Watch(ctx, options)
		must(t, err)
		defer watched.Stop()

		until(t, "update", func(ctx context.Context) error {
			newest, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
			must(t, err)
			newest.SetAnnotations(map[string]string{"step": "updated"})
			_, err = client.Update(ctx, newest, metav1.UpdateOptions{})
			if err != nil && !apierrors.IsConflict(err) {
				t.Fatal(err)
			}
			return err
		})
		stale := made.DeepCopyObject().(T)
		stale.SetAnnotations(map[string]string{"step": "stale"})
		_, err = client.Update(ctx, stale, metav1.UpdateOptions{})
		refused(t, err, apierrors.IsConflict)
		for form, patch := range map[types.PatchType]string{
			types.MergePatchType:          `{"metadata":{"annotations":{"merge":"1"}}}`,
			types.StrategicMergePatchType: `{"metadata":{"annotations":{"strategic":"1"}}}`,
			types.JSONPatchType:           `[{"op":"add","path":"/metadata/annotations/json","value":"1"}]`,
		} {
			_, err := client.Patch(ctx, object.GetName(), form, []byte(patch), metav1.PatchOptions{})
			must(t, err)
		}
		newest, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
		must(t, err)
		for _, name := range []string{"step", "merge", "strategic", "json"} {
			check(t, newest.GetAnnotations()[name] != "", "%s is not in %v", name, newest.GetAnnotations())
		}

		must(t, client.DeleteCollection(ctx, metav1.DeleteOptions{}, selected))
		seen := []watch.EventType{}
		for event := range watched.ResultChan() {
			seen = append(seen, event.Type)
			if event.Type == watch.Deleted {
				break
			}
			check(t, event.Type == watch.Modified, "%v", event)
		}
		check(t, len(seen) >= 5, "four changes and a deletion were expected: %v", seen)
		_, err = client.Get(ctx, object.GetName(), metav1.GetOptions{})
		refused(t, err, apierrors.IsNotFound)
	})
}

func podTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "typed"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "nginx"}}},
	}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func TestTypedClientsOfNamespacedKinds(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "typed"}}
	zero, one := int32(0), int32(1)
	core, apps := client.CoreV1(), client.AppsV1()

	lifecycle(t, "ConfigMap", core.ConfigMaps(ns), &corev1.ConfigMap{ObjectMeta: named("typed"), Data: map[string]string{"a": "b"}})
	lifecycle(t, "Secret", core.Secrets(ns), &corev1.Secret{ObjectMeta: named("typed"), StringData: map[string]string{"a": "b"}})
	lifecycle(t, "ServiceAccount", core.ServiceAccounts(ns), &corev1.ServiceAccount{ObjectMeta: named("typed")})
	lifecycle(t, "Endpoints", core.Endpoints(ns), &corev1.Endpoints{ObjectMeta: named("typed")})
	lifecycle(t, "LimitRange", core.LimitRanges(ns), &corev1.LimitRange{ObjectMeta: named("typed")})
	lifecycle(t, "ResourceQuota", core.ResourceQuotas(ns), &corev1.ResourceQuota{ObjectMeta: named("typed")})
	lifecycle(t, "PodTemplate", core.PodTemplates(ns), &corev1.PodTemplate{ObjectMeta: named("typed"), Template: podTemplate()})
	lifecycle(t, "ReplicationController", core.ReplicationControllers(ns), &corev1.ReplicationController{
		ObjectMeta: named("typed"),
		Spec:       corev1.ReplicationControllerSpec{Replicas: &zero, Selector: selector.MatchLabels, Template: pointer(podTemplate())},
	})
	lifecycle(t, "PersistentVolumeClaim", core.PersistentVolumeClaims(ns), &corev1.PersistentVolumeClaim{
		ObjectMeta: named("typed"),
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: pointer("none"),
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	})
	lifecycle(t, "Deployment", apps.Deployments(ns), &appsv1.Deployment{
		ObjectMeta: named("typed"), Spec: appsv1.DeploymentSpec{Replicas: &zero, Selector: selector, Template: podTemplate()},
	})
	lifecycle(t, "ReplicaSet", apps.ReplicaSets(ns), &appsv1.ReplicaSet{
		ObjectMeta: named("typed"), Spec: appsv1.ReplicaSetSpec{Replicas: &zero, Selector: selector, Template: podTemplate()},
	})
	lifecycle(t, "StatefulSet", apps.StatefulSets(ns), &appsv1.StatefulSet{
		ObjectMeta: named("typed"),
		Spec:       appsv1.StatefulSetSpec{Replicas: &zero, ServiceName: "typed", Selector: selector, Template: podTemplate()},
	})
	lifecycle(t, "ControllerRevision", apps.ControllerRevisions(ns), &appsv1.ControllerRevision{
		ObjectMeta: named("typed"), Data: runtime.RawExtension{Raw: []byte(`{"spec":{}}`)}, Revision: 1,
	})
	lifecycle(t, "CronJob", client.BatchV1().CronJobs(ns), &batchv1.CronJob{
		ObjectMeta: named("typed"),
		Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, Containers: podTemplate().Spec.Containers,
			}},
		}}},
	})
	lifecycle(t, "HorizontalPodAutoscaler", client.AutoscalingV2().HorizontalPodAutoscalers(ns), &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: named("typed"),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "none"},
			MinReplicas:    &one, MaxReplicas: 3,
		},
	})
	lifecycle(t, "PodDisruptionBudget", client.PolicyV1().PodDisruptionBudgets(ns), &policyv1.PodDisruptionBudget{
		ObjectMeta: named("typed"), Spec: policyv1.PodDisruptionBudgetSpec{Selector: selector, MinAvailable: pointer(intstr.FromInt32(1))},
	})
	lifecycle(t, "Lease", client.CoordinationV1().Leases(ns), &coordinationv1.Lease{
		ObjectMeta: named("typed"), Spec: coordinationv1.LeaseSpec{HolderIdentity: pointer("me"), RenewTime: pointer(metav1.NowMicro())},
	})
	lifecycle(t, "EndpointSlice", client.DiscoveryV1().EndpointSlices(ns), &discoveryv1.EndpointSlice{
		ObjectMeta: named("typed"), AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}}},
	})
	lifecycle(t, "NetworkPolicy", client.NetworkingV1().NetworkPolicies(ns), &networkingv1.NetworkPolicy{ObjectMeta: named("typed")})
	lifecycle(t, "Ingress", client.NetworkingV1().Ingresses(ns), &networkingv1.Ingress{
		ObjectMeta: named("typed"),
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
			Name: "typed", Port: networkingv1.ServiceBackendPort{Number: 80},
		}}},
	})
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	lifecycle(t, "Role", client.RbacV1().Roles(ns), &rbacv1.Role{ObjectMeta: named("typed"), Rules: rules})
	lifecycle(t, "RoleBinding", client.RbacV1().RoleBindings(ns), &rbacv1.RoleBinding{
		ObjectMeta: named("typed"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "typed"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "somebody"}},
	})
	lifecycle(t, "Service", serviceClient{core.Services(ns), t}, &corev1.Service{
		ObjectMeta: named("typed"), Spec: corev1.ServiceSpec{Selector: selector.MatchLabels, Ports: []corev1.ServicePort{{Port: 80}}},
	})
}

func TestTypedClientsOfClusterWideKinds(t *testing.T) {
	client := clientset(t)
	suffix := namespace(t, client)
	object := named("typed-" + suffix)
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz"}}}
	lifecycle(t, "ClusterRole", client.RbacV1().ClusterRoles(), &rbacv1.ClusterRole{ObjectMeta: object, Rules: rules})
	lifecycle(t, "ClusterRoleBinding", client.RbacV1().ClusterRoleBindings(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: object, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: object.Name},
	})
	lifecycle(t, "PriorityClass", client.SchedulingV1().PriorityClasses(), &schedulingv1.PriorityClass{ObjectMeta: object, Value: 7})
	lifecycle(t, "StorageClass", client.StorageV1().StorageClasses(), &storagev1.StorageClass{ObjectMeta: object, Provisioner: "example.com/none"})
	lifecycle(t, "CSIDriver", client.StorageV1().CSIDrivers(), &storagev1.CSIDriver{ObjectMeta: object})
	lifecycle(t, "RuntimeClass", client.NodeV1().RuntimeClasses(), &nodev1.RuntimeClass{ObjectMeta: object, Handler: "runc"})
	lifecycle(t, "IngressClass", client.NetworkingV1().IngressClasses(), &networkingv1.IngressClass{
		ObjectMeta: object, Spec: networkingv1.IngressClassSpec{Controller: "example.com/none"},
	})
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	_, err := client.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{ObjectMeta: named("bad_name")}, metav1.CreateOptions{})
	refused(t, err, apierrors.IsInvalid)
	check(t, apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueRequired), "no cause: %v", err)
	_, err = client.CoreV1().ConfigMaps("absent").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("a")}, metav1.CreateOptions{})
	refused(t, err, apierrors.IsNotFound)
	_, err = client.CoreV1().ConfigMaps(ns).Patch(t.Context(), "absent", types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	refused(t, err, apierrors.IsNotFound)
	_, err = client.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{Continue: "nonsense"})
	refused(t, err, apierrors.IsBadRequest)
	made, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("kept")}, metav1.CreateOptions{})
	must(t, err)
	other := types.UID("00000000-0000-0000-0000-000000000000")
	err = client.CoreV1().ConfigMaps(ns).Delete(t.Context(), made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}})
	refused(t, err, apierrors.IsConflict)
	_, err = client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: named("p"), Spec: corev1.PodSpec{ServiceAccountName: "absent", Containers: podTemplate().Spec.Containers},
	}, metav1.CreateOptions{})
	refused(t, err, apierrors.IsForbidden)
}

func TestListsArePaged(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	for number := range 7 {
		_, err := client.CoreV1().ConfigMaps(ns).Create(t.Context(), &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("page-%d", number), Labels: map[string]string{"paged": "yes"}},
		}, metav1.CreateOptions{})
		must(t, err)
	}
	found, pages := 0, 0
	options := metav1.ListOptions{LabelSelector: "paged", Limit: 3}
	for {
		page, err := client.CoreV1().ConfigMaps(ns).List(t.Context(), options)
		must(t, err)
		found, pages = found+len(page.Items), pages+1
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	check(t, found == 7 && pages == 3, "%d objects on %d pages", found, pages)
}

func pointer[T any](value T) *T { return &value }
