package clients

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	applymeta "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/util/csaupgrade"
)

func deploymentOf(ns string, replicas int32, image string) *applyapps.DeploymentApplyConfiguration {
	labels := map[string]string{"app": "applied"}
	return applyapps.Deployment("applied", ns).WithSpec(applyapps.DeploymentSpec().
		WithReplicas(replicas).
		WithSelector(applymeta.LabelSelector().WithMatchLabels(labels)).
		WithTemplate(applycore.PodTemplateSpec().WithLabels(labels).WithSpec(applycore.PodSpec().WithContainers(
			applycore.Container().WithName("main").WithImage(image).WithPorts(applycore.ContainerPort().WithContainerPort(80))))))
}

func TestApplyConfigurationsOwnTheirFields(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	deployments := client.AppsV1().Deployments(ns)
	mine := metav1.ApplyOptions{FieldManager: "mine"}
	made, err := deployments.Apply(t.Context(), deploymentOf(ns, 0, "nginx:1"), mine)
	must(t, err)
	again, err := deployments.Apply(t.Context(), deploymentOf(ns, 0, "nginx:1"), mine)
	must(t, err)
	check(t, again.Generation == made.Generation, "applying the same made generation %d", again.Generation)

	theirs := applyapps.Deployment("applied", ns).WithSpec(applyapps.DeploymentSpec().WithReplicas(1))
	_, err = deployments.Apply(t.Context(), theirs, metav1.ApplyOptions{FieldManager: "theirs"})
	refused(t, err, apierrors.IsConflict)
	check(t, apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict), "no cause: %v", err)
	check(t, strings.Contains(err.Error(), `conflict with "mine"`) && strings.Contains(err.Error(), ".spec.replicas"), "%v", err)
	forced, err := deployments.Apply(t.Context(), theirs, metav1.ApplyOptions{FieldManager: "theirs", Force: true, DryRun: []string{metav1.DryRunAll}})
	must(t, err)
	check(t, *forced.Spec.Replicas == 1, "%v", forced.Spec.Replicas)
	_, err = deployments.Apply(t.Context(), theirs, metav1.ApplyOptions{FieldManager: "theirs", Force: true})
	must(t, err)

	newest, err := deployments.Get(t.Context(), "applied", metav1.GetOptions{})
	must(t, err)
	extracted, err := applyapps.ExtractDeployment(newest, "mine")
	must(t, err)
	check(t, extracted.Spec.Replicas == nil && *extracted.Spec.Template.Spec.Containers[0].Image == "nginx:1", "%v", extracted)
	left := extracted
	left.Spec.Template.Spec.Containers[0].Ports = nil
	newest, err = deployments.Apply(t.Context(), left, mine)
	must(t, err)
	check(t, len(newest.Spec.Template.Spec.Containers[0].Ports) == 0, "a field that nobody owns stayed: %v", newest.Spec.Template.Spec)
	check(t, *newest.Spec.Replicas == 1, "a field of others went: %v", newest.Spec.Replicas)

	_, err = deployments.ApplyStatus(t.Context(), applyapps.Deployment("applied", ns).WithStatus(applyapps.DeploymentStatus().WithConditions(
		applyapps.DeploymentCondition().WithType("Example").WithStatus(corev1.ConditionTrue).WithReason("Applied").WithMessage("m"))),
		metav1.ApplyOptions{FieldManager: "status"})
	must(t, err)
}

func TestClientSideAppliedFieldsMoveToServerSideApply(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	maps := client.CoreV1().ConfigMaps(ns)
	_, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: named("moved"), Data: map[string]string{"a": "1", "b": "1"}},
		metav1.CreateOptions{FieldManager: "client-side"})
	must(t, err)
	newest, err := maps.Get(t.Context(), "moved", metav1.GetOptions{})
	must(t, err)
	must(t, csaupgrade.UpgradeManagedFields(newest, sets.New("client-side"), "server-side"))
	_, err = maps.Update(t.Context(), newest, metav1.UpdateOptions{})
	must(t, err)
	applied, err := maps.Apply(t.Context(), applycore.ConfigMap("moved", ns).WithData(map[string]string{"a": "2"}), metav1.ApplyOptions{FieldManager: "server-side"})
	must(t, err)
	check(t, len(applied.Data) == 1 && applied.Data["a"] == "2", "%v", applied.Data)
}
