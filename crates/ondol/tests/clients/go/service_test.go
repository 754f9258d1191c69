package clients

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
)

// serviceClient deletes one by one: the generated client of services has no DeleteCollection.
type serviceClient struct {
	typedcore.ServiceInterface
	t *testing.T
}

func (client serviceClient) DeleteCollection(ctx context.Context, options metav1.DeleteOptions, selected metav1.ListOptions) error {
	listed, err := client.List(ctx, selected)
	if err != nil {
		return err
	}
	for _, service := range listed.Items {
		if err := client.Delete(ctx, service.Name, options); err != nil {
			return err
		}
	}
	return nil
}

func TestServicesKeepTheirAddresses(t *testing.T) {
	client := clientset(t)
	ns := namespace(t, client)
	services := client.CoreV1().Services(ns)
	made, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: named("kept"),
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	must(t, err)
	check(t, made.Spec.ClusterIP != "" && made.Spec.Ports[0].NodePort != 0, "%v", made.Spec)
	updated := made.DeepCopy()
	updated.Spec.ClusterIP, updated.Spec.ClusterIPs, updated.Spec.Ports[0].NodePort = "", nil, 0
	updated, err = services.Update(t.Context(), updated, metav1.UpdateOptions{})
	must(t, err)
	check(t, updated.Spec.ClusterIP == made.Spec.ClusterIP && updated.Spec.Ports[0].NodePort == made.Spec.Ports[0].NodePort,
		"the addresses changed from %v to %v", made.Spec, updated.Spec)
	updated.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.test"}
	updated, err = services.Update(t.Context(), updated, metav1.UpdateOptions{})
	must(t, err)
	check(t, updated.Spec.ClusterIP == "", "an external name has an address: %v", updated.Spec)
}
