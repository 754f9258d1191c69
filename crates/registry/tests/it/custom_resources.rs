//! Custom resources: served as soon as they are defined, with every verb, by the rules of their schema.

use std::time::Duration;

use kube_types::dynamic::{Value, json};
use registry::{Context, Form, IncludeObject, ListOptions, MediaType, RequestBody, User, WriteOptions};

use crate::world::{World, pairs, target};

/// Generous: a busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(60);
pub const DEFINITIONS: &str = "apiextensions.k8s.io/v1/customresourcedefinitions";

/// A definition in the shape that generators write: required fields, defaults, lists by key, status, scale, columns.
pub fn widgets() -> Value {
    let size = json!({"type": "integer", "minimum": 1, "maximum": 10, "default": 3});
    let ports = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
        "items": {"type": "object", "required": ["port"], "properties":
            {"port": {"type": "integer", "format": "int32"}, "protocol": {"type": "string", "default": "TCP"}}}});
    let spec = json!({"type": "object", "required": ["color"], "properties": {
        "color": {"type": "string", "enum": ["red", "blue"]}, "size": size, "ports": ports,
        "replicas": {"type": "integer"},
        "limit": {"x-kubernetes-int-or-string": true},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true,
            "x-kubernetes-preserve-unknown-fields": true}}});
    let status = json!({"type": "object", "properties": {"phase": {"type": "string", "maxLength": 8},
        "replicas": {"type": "integer"}, "selector": {"type": "string"}}});
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
            "selectableFields": [{"jsonPath": ".spec.color"}],
            "additionalPrinterColumns": [
                {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}]}})
}

/// A definition that is there and established.
pub async fn define(world: &World, definition: Value) -> Value {
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    world.create(DEFINITIONS, definition).await.unwrap();
    established(world, &name).await
}

pub async fn established(world: &World, name: &str) -> Value {
    wait(world, &format!("{DEFINITIONS}/-/{name}"), "established", |definition| {
        has_condition(definition, "Established", "True")
    })
    .await
}

pub fn has_condition(definition: &Value, of: &str, status: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == of && condition["status"] == status)
}

/// Waits until an object is as wanted; the failure shows the last that was seen.
pub async fn wait(world: &World, path: &str, wanted: &str, is: impl Fn(&Value) -> bool) -> Value {
    let (kind, name) = path.rsplit_once('/').unwrap();
    let kind = kind.trim_end_matches("/-");
    let mut events = world.watch(kind, "").await.unwrap();
    let mut last = Value::Null;
    let waited = tokio::time::timeout(LIMIT, async {
        loop {
            let (_, object) = events.next().await;
            if object["metadata"]["name"] == name {
                last = object;
                if is(&last) {
                    return;
                }
            }
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{path} is not {wanted}: {last}"));
    last
}

pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

pub const WIDGETS: &str = "example.com/v1/widgets/default";

fn at(name: &str) -> String {
    format!("{WIDGETS}/{name}")
}

#[tokio::test]
async fn a_definition_is_served_with_every_verb() {
    let world = World::new().await;
    let definition = define(&world, widgets()).await;
    assert_eq!(definition["spec"]["names"]["listKind"], "WidgetList");
    assert_eq!(definition["status"]["acceptedNames"]["plural"], "widgets");
    assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    let kinds = world.registry.kinds();
    assert_eq!(kinds.groups().last().unwrap().name, "example.com");
    let made = world
        .create(WIDGETS, widget("a", json!({"color": "red"})))
        .await
        .unwrap();
    assert_eq!(made["spec"]["size"], 3, "defaults are filled");
    assert_eq!(made["metadata"]["generation"], 1);
    let mut events = world.watch(WIDGETS, "").await.unwrap();
    assert_eq!(events.next().await.0, "ADDED");
    world
        .patch(&at("a"), json!({"spec": {"color": "blue", "ports": [{"port": 80}]}}))
        .await
        .unwrap();
    let (kind, object) = events.next().await;
    assert_eq!(kind, "MODIFIED");
    assert_eq!(object["spec"]["ports"][0]["protocol"], "TCP");
    assert_eq!(object["metadata"]["generation"], 2);
    let list = world.list("example.com/v1/widgets", "").await.unwrap();
    assert_eq!(
        (&list["kind"], list["items"].as_array().unwrap().len()),
        (&json!("WidgetList"), 1)
    );
    let unconditional = world
        .update(&at("a"), widget("a", json!({"color": "red"})))
        .await
        .unwrap_err();
    assert!(unconditional.message().contains("must be specified for an update"));
    let mut whole = world.get(&at("a")).await.unwrap();
    whole["spec"] = json!({"color": "red", "size": 5});
    assert_eq!(world.update(&at("a"), whole).await.unwrap()["spec"]["size"], 5);
    let strategic = RequestBody::new(MediaType::StrategicMergePatch, "{}");
    let refused = world
        .registry
        .patch(&world.context(), &target(&at("a")), strategic, WriteOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), 415);
    world.delete(&at("a"), "").await.unwrap();
    assert_eq!(events.next().await.0, "MODIFIED");
    assert_eq!(events.next().await.0, "DELETED");
    world
        .create(WIDGETS, widget("b", json!({"color": "red"})))
        .await
        .unwrap();
    world.delete_collection(WIDGETS, "", "").await.unwrap();
    assert!(world.get(&at("b")).await.unwrap_err().is_not_found());
}

async fn refusal(world: &World, spec: Value) -> String {
    let error = world.create(WIDGETS, widget("a", spec)).await.unwrap_err();
    error.message().to_owned()
}

#[tokio::test]
async fn what_the_schema_forbids_is_refused_in_upstreams_words() {
    let world = World::new().await;
    define(&world, widgets()).await;
    let invalid = r#"Widget.example.com "a" is invalid: "#;
    for (spec, expected) in [
        (json!({}), "spec.color: Required value"),
        (
            json!({"color": "green"}),
            r#"spec.color: Unsupported value: "green": supported values: "red", "blue""#,
        ),
        (
            json!({"color": "red", "size": 0}),
            "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1",
        ),
        (
            json!({"color": "red", "limit": []}),
            r#"spec.limit: Invalid value: "array": spec.limit in body must be of type integer,string: "array""#,
        ),
        (
            json!({"color": "red", "ports": [{"port": 1}, {"port": 1}]}),
            r#"spec.ports[1]: Duplicate value: {"port":1}"#,
        ),
        (
            json!({"color": "red", "template": {"kind": "Pod"}}),
            "spec.template.apiVersion: Required value",
        ),
        (
            json!({"color": "red", "replicas": -1}),
            ".spec.replicas: Invalid value: -1: should be a non-negative integer",
        ),
    ] {
        assert_eq!(
            refusal(&world, spec.clone()).await,
            format!("{invalid}{expected}"),
            "{spec}"
        );
    }
    let strict = WriteOptions::from_query(&pairs("fieldValidation=Strict")).unwrap();
    let unknown = widget(
        "a",
        json!({"color": "red", "colour": 1, "free": {"any": 1}, "ports": [{"port": 1, "x": 1}]}),
    );
    let error = world.create_with(WIDGETS, unknown.clone(), strict).await.unwrap_err();
    assert_eq!(error.code(), 400);
    let expected = r#"strict decoding error: unknown field "spec.colour", unknown field "spec.ports[0].x""#;
    assert!(error.message().ends_with(expected), "{error}");
    let made = world.create(WIDGETS, unknown).await.unwrap();
    assert_eq!(made["spec"].get("colour"), None, "unknown fields are pruned");
    assert_eq!(made["spec"]["free"]["any"], 1);
}

#[tokio::test]
async fn status_and_scale_are_parts_of_their_own() {
    let world = World::new().await;
    define(&world, widgets()).await;
    let mut object = widget("a", json!({"color": "red", "replicas": 2}));
    object["status"] = json!({"phase": "Forged"});
    let made = world.create(WIDGETS, object).await.unwrap();
    assert_eq!(made.get("status"), None);
    let status = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"color": "blue"},
        "status": {"phase": "Ready", "replicas": 1, "selector": "app=a"}});
    let changed = world.patch(&format!("{}/status", at("a")), status).await.unwrap();
    assert_eq!(changed["status"]["phase"], "Ready");
    assert_eq!(changed["spec"]["color"], "red");
    assert_eq!(changed["metadata"].get("labels"), None, "only the status changes");
    assert_eq!(changed["metadata"]["generation"], 1);
    let long = json!({"status": {"phase": "far too long"}});
    let error = world.patch(&format!("{}/status", at("a")), long).await.unwrap_err();
    assert!(error.message().contains("status.phase: Too long"), "{error}");
    let scale = world.get(&format!("{}/scale", at("a"))).await.unwrap();
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=a"}));
    world
        .patch(&format!("{}/scale", at("a")), json!({"spec": {"replicas": 5}}))
        .await
        .unwrap();
    let object = world.get(&at("a")).await.unwrap();
    assert_eq!(
        (&object["spec"]["replicas"], &object["metadata"]["generation"]),
        (&json!(5), &json!(2))
    );
}

#[tokio::test]
async fn selectors_and_columns_are_those_of_the_definition() {
    let world = World::new().await;
    define(&world, widgets()).await;
    for (name, color) in [("a", "red"), ("b", "blue")] {
        world
            .create(WIDGETS, widget(name, json!({"color": color})))
            .await
            .unwrap();
    }
    let list = world.list(WIDGETS, "fieldSelector=spec.color=blue").await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["metadata"]["name"], "b");
    assert_eq!(
        world
            .list(WIDGETS, "fieldSelector=spec.size=3")
            .await
            .unwrap_err()
            .code(),
        400
    );
    let mut events = world.watch(WIDGETS, "fieldSelector=spec.color=red").await.unwrap();
    assert_eq!(events.next().await.1["metadata"]["name"], "a");
    world.patch(&at("b"), json!({"spec": {"color": "red"}})).await.unwrap();
    assert_eq!(events.next().await.0, "ADDED", "it comes into the selection");
    let context = Context {
        form: Form::Table {
            include: IncludeObject::None,
        },
        ..Context::for_user(User::master("admin"))
    };
    let reply = world
        .registry
        .list(&context, &target(WIDGETS), ListOptions::default())
        .await
        .unwrap();
    let table: Value = serde_json::from_slice(&reply.body.into_bytes()).unwrap();
    let headings: Vec<&Value> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(headings, ["Name", "Color", "Size", "Age"]);
    assert_eq!(table["rows"][0]["cells"], json!(["a", "red", 3, "0s"]));
}

#[tokio::test]
async fn a_changed_definition_holds_at_once_and_ends_watches() {
    let world = World::new().await;
    define(&world, widgets()).await;
    world
        .create(WIDGETS, widget("a", json!({"color": "red", "size": 9})))
        .await
        .unwrap();
    let mut events = world.watch(WIDGETS, "").await.unwrap();
    events.next().await;
    let mut definition = world
        .get(&format!("{DEFINITIONS}/-/widgets.example.com"))
        .await
        .unwrap();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    spec["size"]["maximum"] = 5.into();
    spec["shape"] = json!({"type": "string", "default": "round"});
    world
        .update(&format!("{DEFINITIONS}/-/widgets.example.com"), definition)
        .await
        .unwrap();
    events.end().await;
    let read = world.get(&at("a")).await.unwrap();
    assert_eq!(read["spec"]["shape"], "round", "new defaults are seen in old objects");
    let ratcheted = world.patch(&at("a"), json!({"metadata": {"labels": {"x": "y"}}})).await;
    assert!(
        ratcheted.is_ok(),
        "what was valid and has not changed stays: {ratcheted:?}"
    );
    let error = world.patch(&at("a"), json!({"spec": {"size": 8}})).await.unwrap_err();
    assert!(error.message().contains("should be less than or equal to 5"), "{error}");
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let world = World::new().await;
    define(&world, widgets()).await;
    let mut held = widget("held", json!({"color": "red"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.create(WIDGETS, held).await.unwrap();
    world
        .create(WIDGETS, widget("free", json!({"color": "red"})))
        .await
        .unwrap();
    let mut definitions = world.watch(DEFINITIONS, "").await.unwrap();
    definitions.next().await;
    let deleted = world
        .delete(&format!("{DEFINITIONS}/-/widgets.example.com"), "")
        .await
        .unwrap();
    assert!(has_condition(&deleted, "Terminating", "True"), "{deleted}");
    wait(&world, &at("held"), "being deleted", |object| {
        !object["metadata"]["deletionTimestamp"].is_null()
    })
    .await;
    let error = world
        .create(WIDGETS, widget("new", json!({"color": "red"})))
        .await
        .unwrap_err();
    assert_eq!(error.code(), 405);
    assert_eq!(
        error.message(),
        "create not allowed while custom resource definition is terminating"
    );
    let mut objects = world.watch(WIDGETS, "").await.unwrap();
    objects.next().await;
    world
        .patch(&at("held"), json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    let gone = tokio::time::timeout(LIMIT, async { while definitions.next().await.0 != "DELETED" {} });
    gone.await.expect("the definition goes when its objects are gone");
    assert_eq!(world.list(WIDGETS, "").await.unwrap_err().code(), 404);
    define(&world, widgets()).await;
    let list = world.list(WIDGETS, "").await.unwrap();
    assert_eq!(list["items"], json!([]), "the same definition begins empty");
}

#[tokio::test]
async fn definitions_and_objects_survive_a_restart() {
    let world = World::new().await;
    define(&world, widgets()).await;
    world
        .create(WIDGETS, widget("a", json!({"color": "red"})))
        .await
        .unwrap();
    let world = world.restart().await;
    assert_eq!(world.get(&at("a")).await.unwrap()["spec"]["size"], 3);
    world
        .create(WIDGETS, widget("b", json!({"color": "red"})))
        .await
        .unwrap();
}

#[tokio::test]
async fn whole_numbers_are_stored_as_such_however_they_are_written() {
    let world = World::new().await;
    define(&world, widgets()).await;
    let free = r#"{"a": 1.0, "b": 1e3, "c": 9223372036854775808, "d": 0.5, "e": [-0.0]}"#;
    let free: Value = serde_json::from_str(free).unwrap();
    let spec = json!({"color": "red", "size": 2.0, "free": free});
    let created = world.create(WIDGETS, widget("a", spec.clone())).await.unwrap();
    assert_eq!(created["spec"]["size"].to_string(), "2");
    let stored = r#"{"a":1,"b":1000,"c":9223372036854776000,"d":0.5,"e":[0]}"#;
    assert_eq!(created["spec"]["free"].to_string(), stored);
    let mut same = widget("a", spec);
    same["metadata"] = created["metadata"].clone();
    let again = world.update(&at("a"), same).await.unwrap();
    assert_eq!(
        again["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"],
        "the same numbers are no change"
    );
    let patched = world
        .patch(&at("a"), json!({"spec": {"free": {"a": 3.0}}}))
        .await
        .unwrap();
    assert_eq!(patched["spec"]["free"]["a"].to_string(), "3");
    let refused = refusal(&world, json!({"color": "red", "size": 2.5})).await;
    assert!(
        refused.contains("spec.size in body must be of type integer: \"number\""),
        "{refused}"
    );
}

#[tokio::test]
async fn rules_in_expressions_hold() {
    let world = World::new().await;
    let mut definition = widgets();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = json!([
        {"rule": "self.color != 'red' || self.size < 5", "message": "red widgets are small"},
        {"rule": "self.color == oldSelf.color", "message": "color is immutable", "fieldPath": ".color"}]);
    let mut wrong = definition.clone();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"][0]["rule"] =
        "self.colour == 'red'".into();
    let error = world.create(DEFINITIONS, wrong).await.unwrap_err();
    assert_eq!(error.code(), 422);
    assert!(error.message().contains("undefined field 'colour'"), "{error}");
    define(&world, definition).await;
    let refused = refusal(&world, json!({"color": "red", "size": 7})).await;
    assert!(
        refused.ends_with("spec: Invalid value: red widgets are small"),
        "{refused}"
    );
    let unasked = refusal(&world, json!({"color": "green", "size": 7})).await;
    assert!(
        unasked.contains("some validation rules were not checked because the object was invalid"),
        "{unasked}"
    );
    world
        .create(WIDGETS, widget("a", json!({"color": "red"})))
        .await
        .unwrap();
    let error = world
        .patch(&at("a"), json!({"spec": {"color": "blue"}}))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("spec.color: Invalid value: color is immutable"),
        "{error}"
    );
}
