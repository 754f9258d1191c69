package clients

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Greeting is the custom resource of these tests: its controller keeps a ConfigMap with the same text.
type Greeting struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              GreetingSpec   `json:"spec"`
	Status            GreetingStatus `json:"status,omitempty"`
}

// GreetingSpec says what to say.
type GreetingSpec struct {
	Text     string `json:"text"`
	Tone     string `json:"tone,omitempty"`
	Replicas *int32 `json:"replicas,omitempty"`
}

// GreetingStatus says what was said.
type GreetingStatus struct {
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Said       string             `json:"said,omitempty"`
}

// GreetingList is a list of them.
type GreetingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Greeting `json:"items"`
}

var greetings = schema.GroupVersion{Group: "clients.ondol.test", Version: "v1"}

// DeepCopyObject makes a Greeting an object.
func (greeting *Greeting) DeepCopyObject() runtime.Object {
	copied := *greeting
	greeting.ObjectMeta.DeepCopyInto(&copied.ObjectMeta)
	if greeting.Spec.Replicas != nil {
		copied.Spec.Replicas = pointer(*greeting.Spec.Replicas)
	}
	copied.Status.Conditions = append([]metav1.Condition(nil), greeting.Status.Conditions...)
	return &copied
}

// DeepCopyObject makes a GreetingList an object.
func (list *GreetingList) DeepCopyObject() runtime.Object {
	copied := *list
	copied.Items = nil
	for index := range list.Items {
		copied.Items = append(copied.Items, *list.Items[index].DeepCopyObject().(*Greeting))
	}
	return &copied
}

func addGreetings(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(greetings, &Greeting{}, &GreetingList{})
	metav1.AddToGroupVersion(scheme, greetings)
}

// greetingDefinition is what a generator of definitions writes for these types.
func greetingDefinition() *apiextensionsv1.CustomResourceDefinition {
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	object := func(properties map[string]apiextensionsv1.JSONSchemaProps, required ...string) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "object", Properties: properties, Required: required}
	}
	condition := object(map[string]apiextensionsv1.JSONSchemaProps{
		"type": text, "status": text, "reason": text, "message": text,
		"observedGeneration": {Type: "integer", Format: "int64"}, "lastTransitionTime": {Type: "string", Format: "date-time"},
	}, "type", "status")
	mapType := "map"
	spec := object(map[string]apiextensionsv1.JSONSchemaProps{
		"text":     {Type: "string", MinLength: pointer(int64(1))},
		"tone":     {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"calm"`)}, {Raw: []byte(`"loud"`)}}},
		"replicas": {Type: "integer", Format: "int32", Default: &apiextensionsv1.JSON{Raw: []byte("1")}},
	}, "text")
	spec.XValidations = apiextensionsv1.ValidationRules{{
		Rule: "!has(self.tone) || self.tone != 'loud' || self.text.endsWith('!')", Message: "loud greetings end with an exclamation mark",
	}}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: named("greetings." + greetings.Group),
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: greetings.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{
				Kind: "Greeting", ListKind: "GreetingList", Plural: "greetings", Singular: "greeting", ShortNames: []string{"hi"},
			},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: greetings.Version, Served: true, Storage: true,
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{{Name: "Said", Type: "string", JSONPath: ".status.said"}},
				SelectableFields:         []apiextensionsv1.SelectableField{{JSONPath: ".spec.tone"}},
				Subresources: &apiextensionsv1.CustomResourceSubresources{
					Status: &apiextensionsv1.CustomResourceSubresourceStatus{},
					Scale:  &apiextensionsv1.CustomResourceSubresourceScale{SpecReplicasPath: ".spec.replicas", StatusReplicasPath: ".status.replicas"},
				},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: pointer(object(map[string]apiextensionsv1.JSONSchemaProps{
					"spec": spec,
					"status": object(map[string]apiextensionsv1.JSONSchemaProps{
						"said": text, "replicas": {Type: "integer"},
						"conditions": {
							Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &condition},
							XListType: &mapType, XListMapKeys: []string{"type"},
						},
					}),
				}, "spec"))},
			}},
		},
	}
}
