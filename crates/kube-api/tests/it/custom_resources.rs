//! Custom resources as clients meet them: in the documents of OpenAPI, and through the real kubectl, defined, waited for,
//! shown, explained, changed, scaled, deleted.

use http::StatusCode;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::world::World;

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: nodepools.karpenter.example}
spec:
  group: karpenter.example
  scope: Cluster
  names: {plural: nodepools, kind: NodePool, shortNames: [np], categories: [karpenter]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.nodes}
    additionalPrinterColumns:
    - {name: Class, type: string, jsonPath: .spec.template.spec.nodeClassRef.name}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Weight, type: integer, jsonPath: .spec.weight, priority: 1}
    schema:
      openAPIV3Schema:
        description: NodePool is the schema of a pool of nodes.
        type: object
        required: [spec]
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            description: What is wanted of the pool.
            type: object
            required: [template]
            properties:
              replicas: {type: integer, minimum: 0}
              weight: {description: Priority of the pool., type: integer, format: int32, minimum: 1, maximum: 100}
              limits:
                type: object
                additionalProperties:
                  anyOf: [{type: integer}, {type: string}]
                  pattern: '^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$'
                  x-kubernetes-int-or-string: true
              disruption:
                type: object
                default: {consolidateAfter: 0s}
                required: [consolidateAfter]
                properties:
                  consolidateAfter: {type: string, pattern: '^(([0-9]+(s|m|h))+|Never)$'}
              template:
                type: object
                required: [spec]
                properties:
                  metadata:
                    type: object
                    properties:
                      labels:
                        type: object
                        maxProperties: 100
                        additionalProperties: {type: string, maxLength: 63}
                        x-kubernetes-validations:
                        - {message: label "karpenter.example/nodepool" is restricted, rule: 'self.all(x, x != "karpenter.example/nodepool")'}
                  spec:
                    type: object
                    required: [nodeClassRef, requirements]
                    properties:
                      nodeClassRef:
                        type: object
                        required: [name]
                        properties: {name: {type: string}}
                      requirements:
                        type: array
                        maxItems: 100
                        items:
                          type: object
                          required: [key, operator]
                          properties:
                            key: {type: string, maxLength: 316}
                            operator: {type: string, enum: [In, NotIn, Exists, DoesNotExist, Gt, Lt]}
                            values: {type: array, maxItems: 50, items: {type: string}}
          status:
            type: object
            properties:
              nodes: {type: integer}
              conditions:
                type: array
                items:
                  type: object
                  required: [type, status]
                  properties: {type: {type: string}, status: {type: string, enum: ["True", "False", Unknown]}}
"#;

const POOL: &str = r#"
apiVersion: karpenter.example/v1
kind: NodePool
metadata: {name: default}
spec:
  replicas: 1
  weight: 10
  limits: {cpu: 1000, memory: 1000Gi}
  template:
    metadata: {labels: {team: a}}
    spec:
      nodeClassRef: {name: bottlerocket}
      requirements: [{key: kubernetes.io/arch, operator: In, values: [amd64]}]
"#;

/// The definition, with another text about the field.
fn hosts(about: &str) -> String {
    let port = json!({"description": about, "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true});
    let reference = json!({"type": "string", "nullable": true});
    let schema = json!({"type": "object", "properties": {"port": port, "$ref": reference}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "hosts.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "hosts", "kind": "Host"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
    .to_string()
}

/// Where version 3 is, and the schema of hosts in it and in version 2.
async fn documents(world: &World) -> (String, Value, Value) {
    let (_, index) = world.json("GET", "/openapi/v3", "").await;
    let path = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].clone();
    let path = path.as_str().unwrap().to_owned();
    let (code, third) = world.json("GET", &path, "").await;
    assert_eq!(code, StatusCode::OK, "{third}");
    let (_, second) = world.json("GET", "/openapi/v2", "").await;
    let hosts = "/apis/example.com/v1/namespaces/{namespace}/hosts/{name}";
    let patch = &third["paths"][hosts]["patch"]["requestBody"]["content"];
    assert!(patch["application/merge-patch+json"].is_object());
    assert_eq!(patch.get("application/strategic-merge-patch+json"), None);
    let list = &second["definitions"]["com.example.v1.HostList"]["properties"]["items"]["items"];
    assert_eq!(list["$ref"], "#/definitions/com.example.v1.Host");
    let name = "com.example.v1.Host";
    (
        path,
        third["components"]["schemas"][name].clone(),
        second["definitions"][name].clone(),
    )
}

#[tokio::test]
async fn the_documents_follow_the_definitions() {
    let world = World::start().await;
    let client = world.client(&world.certificate("admin", &["system:masters"]));
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, made) = world.json("POST", path, &hosts("Before.")).await;
    assert_eq!(code, StatusCode::CREATED, "{made}");
    let name = "hosts.example.com";
    let established = await_condition(definitions.clone(), name, conditions::is_crd_established());
    established.await.unwrap();
    let (before, third, second) = documents(&world).await;
    assert_eq!(third["x-kubernetes-group-version-kind"][0]["kind"], "Host");
    let metadata = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    assert_eq!(
        third["properties"]["metadata"]["allOf"][0]["$ref"],
        format!("#/components/schemas/{metadata}")
    );
    assert_eq!(
        second["properties"]["metadata"]["$ref"],
        format!("#/definitions/{metadata}")
    );
    assert_eq!(third["properties"]["port"]["anyOf"][0]["type"], "integer");
    assert_eq!(
        second["properties"]["port"],
        json!({"description": "Before.", "x-kubernetes-int-or-string": true})
    );
    assert_eq!(
        (&third["properties"]["$ref"]["nullable"], &second["properties"]["$ref"]),
        (&json!(true), &json!({})),
        "a field of that name is no reference"
    );
    let (code, changed) = world.json("PATCH", &format!("{path}/{name}"), &hosts("After.")).await;
    assert_eq!(code, StatusCode::OK, "{changed}");
    let generation = changed["metadata"]["generation"].as_i64();
    let is_changed = |definition: Option<&CustomResourceDefinition>| {
        definition.is_some_and(|definition| definition.metadata.generation == generation)
    };
    await_condition(definitions.clone(), name, is_changed).await.unwrap();
    let (after, third, second) = documents(&world).await;
    assert_ne!(before, after, "clients must not take the document they know");
    for schema in [third, second] {
        assert_eq!(schema["properties"]["port"]["description"], "After.");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_manages_custom_resources() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::find(&world, "kubectl") else {
        return world.stop().await;
    };
    let definition = kubectl.file("definition.yaml", DEFINITION);
    let pool = kubectl.file("pool.yaml", POOL);
    let (apply, define) = (format!("apply -f {pool}"), format!("apply -f {definition}"));
    for (line, wanted) in [
        (define.as_str(), "nodepools.karpenter.example created"),
        (
            "wait --for=condition=established --timeout=120s crd/nodepools.karpenter.example",
            "condition met",
        ),
        (&apply, "nodepool.karpenter.example/default created"),
        (&apply, "nodepool.karpenter.example/default unchanged"),
        ("get np default -o jsonpath={.spec.disruption.consolidateAfter}", "0s"),
        ("get np", "CLASS"),
        ("get np -o wide", "WEIGHT"),
        ("get karpenter", "bottlerocket"),
        ("api-resources --api-group=karpenter.example", "nodepools"),
        ("explain np", "NodePool is the schema of a pool of nodes."),
        ("explain np.spec.weight", "Priority of the pool."),
        ("explain nodepool --recursive", "nodeClassRef"),
        (
            "explain np.spec --output=plaintext-openapiv2",
            "What is wanted of the pool.",
        ),
        (r#"patch np default --type=merge -p {"spec":{"weight":20}}"#, "patched"),
        ("scale np default --replicas=3", "scaled"),
        ("get np default -o jsonpath={.spec.replicas}", "3"),
    ] {
        kubectl.expect(line, wanted).await;
    }
    let wrong = kubectl.file("wrong.yaml", &POOL.replace("replicas:", "replicass:"));
    for (line, wanted) in [
        (
            r#"patch np default --type=merge -p {"spec":{"weight":200}}"#,
            "should be less than or equal to 100",
        ),
        (&format!("apply -f {wrong}"), r#"unknown field "spec.replicass""#),
    ] {
        kubectl.refused(line, wanted).await;
    }
    kubectl.expect("delete np default", "deleted").await;
    kubectl.expect(&format!("delete -f {definition}"), "deleted").await;
    // kubectl still knows the name; the server does not.
    kubectl
        .refused("get np", "the server could not find the requested resource")
        .await;
    world.stop().await;
}

#[tokio::test]
async fn who_has_seen_that_a_definition_is_established_can_use_it_on_every_server() {
    let one = World::start().await;
    let other = one.another().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for round in 0..10 {
        let plural = format!("things{round}");
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let definition = json!({"metadata": {"name": format!("{plural}.example.com")}, "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": format!("Thing{round}")},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
        let (code, made) = one.json("POST", definitions, &definition.to_string()).await;
        assert_eq!(code, StatusCode::CREATED, "{made}");
        let path = format!("{definitions}/{plural}.example.com");
        supervision::wait_until(
            "the definition is established",
            std::time::Duration::from_secs(60),
            || async {
                // From the cache, without waiting: what is seen there is in force.
                let (_, found) = one.json("GET", &format!("{path}?resourceVersion=0"), "").await;
                let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
                let established = |c: &Value| c["type"] == "Established" && c["status"] == "True";
                if conditions.iter().any(established) {
                    Ok(())
                } else {
                    Err(found.to_string())
                }
            },
        )
        .await
        .unwrap();
        for (world, name) in [(&other, "a"), (&one, "b")] {
            let objects = format!("/apis/example.com/v1/namespaces/default/{plural}");
            let (code, made) = world
                .json("POST", &objects, &json!({"metadata": {"name": name}}).to_string())
                .await;
            assert_eq!(code, StatusCode::CREATED, "{plural}/{name}: {made}");
        }
    }
    one.stop().await;
}
