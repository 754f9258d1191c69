//! Server-side apply and the owners of fields, through the whole pipeline.

use kube_types::dynamic::{Value, json};
use registry::{Context, MediaType, RequestBody, StatusError, User, WriteOptions};

use crate::world::{World, target};

fn as_manager(name: &str) -> WriteOptions {
    WriteOptions {
        field_manager: name.to_owned(),
        ..WriteOptions::default()
    }
}

fn forced(name: &str) -> WriteOptions {
    WriteOptions {
        force: Some(true),
        ..as_manager(name)
    }
}

async fn send(
    world: &World,
    path: &str,
    kind: MediaType,
    body: &Value,
    options: WriteOptions,
) -> Result<(u16, Value), StatusError> {
    let body = RequestBody::new(kind, body.to_string());
    let reply = world
        .registry
        .patch(&world.context(), &target(path), body, options)
        .await?;
    Ok((reply.code, serde_json::from_slice(&reply.body.into_bytes()).unwrap()))
}

async fn apply(world: &World, path: &str, body: &Value, options: WriteOptions) -> Result<(u16, Value), StatusError> {
    send(world, path, MediaType::ApplyPatch, body, options).await
}

const CONFIG: &str = "v1/configmaps/default/c";
const WEB: &str = "apps/v1/deployments/default/web";

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn web(replicas: Option<i64>) -> Value {
    let mut web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    if let Some(replicas) = replicas {
        web["spec"]["replicas"] = replicas.into();
    }
    web
}

/// Manager, operation and subresource of each entry.
fn owners(object: &Value) -> Vec<String> {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| {
            let words = ["manager", "operation", "subresource"].map(|field| text(entry, field));
            words.join(" ").trim_end().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn what_is_absent_is_made_and_applying_again_writes_nothing() {
    let world = World::new().await;
    let (code, made) = apply(&world, CONFIG, &config(json!({"a": "1"})), as_manager("one"))
        .await
        .unwrap();
    assert_eq!(code, 201);
    assert_eq!(owners(&made), ["one Apply"]);
    assert_eq!(
        made["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:data": {"f:a": {}}})
    );
    world.clock.advance(jiff::SignedDuration::from_secs(60));
    let (code, again) = apply(&world, CONFIG, &config(json!({"a": "1"})), as_manager("one"))
        .await
        .unwrap();
    assert_eq!(code, 200);
    assert_eq!(again, made, "neither revision nor times have moved");
    let (_, less) = apply(&world, CONFIG, &config(json!({"b": "2"})), as_manager("one"))
        .await
        .unwrap();
    assert_eq!(less["data"], json!({"b": "2"}));
    let mut with_uid = config(json!({}));
    with_uid["metadata"] = json!({"name": "d", "uid": "x"});
    let error = apply(&world, "v1/configmaps/default/d", &with_uid, as_manager("one"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (
            409,
            r#"Operation cannot be fulfilled on configmaps "d": uid mismatch: the provided object specified uid x, and no existing object was found"#
        )
    );
}

#[tokio::test]
async fn dry_runs_answer_alike_and_store_nothing() {
    let world = World::new().await;
    let options = WriteOptions {
        dry_run: true,
        ..as_manager("one")
    };
    let (code, made) = apply(&world, CONFIG, &config(json!({"a": "1"})), options.clone())
        .await
        .unwrap();
    assert_eq!((code, owners(&made)), (201, vec!["one Apply".to_owned()]));
    assert_eq!(world.get(CONFIG).await.unwrap_err().code(), 404);
    world
        .create("v1/configmaps/default", config(json!({"a": "0"})))
        .await
        .unwrap();
    let error = apply(&world, CONFIG, &config(json!({"a": "1"})), options)
        .await
        .unwrap_err();
    assert_eq!(error.code(), 409);
}

#[tokio::test]
async fn conflicts_have_one_cause_for_each_field() {
    let world = World::new().await;
    apply(&world, WEB, &web(Some(3)), as_manager("one")).await.unwrap();
    let patch = json!({"spec": {"replicas": 5}});
    send(&world, WEB, MediaType::MergePatch, &patch, as_manager("two"))
        .await
        .unwrap();
    let error = apply(&world, WEB, &web(Some(3)), as_manager("one")).await.unwrap_err();
    assert_eq!(
        serde_json::to_value(error.status()).unwrap(),
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 409,
            "reason": "Conflict",
            "message": "Apply failed with 1 conflict: conflict with \"two\" using apps/v1: .spec.replicas",
            "details": {"causes": [{"reason": "FieldManagerConflict",
                "message": "conflict with \"two\" using apps/v1", "field": ".spec.replicas"}]}})
    );
    let (_, taken) = apply(&world, WEB, &web(Some(3)), forced("one")).await.unwrap();
    assert_eq!(
        (&taken["spec"]["replicas"], owners(&taken)),
        (&json!(3), vec!["one Apply".to_owned()])
    );
    // What nobody applies any more goes back to its default.
    let (_, left) = apply(&world, WEB, &web(None), as_manager("one")).await.unwrap();
    assert_eq!(left["spec"]["replicas"], 1);
}

#[tokio::test]
async fn requests_that_mean_nothing_are_refused_as_upstream_does() {
    let world = World::new().await;
    let other_version = json!({"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "c"}});
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let other_name = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let unknown = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dat": {}});
    for (body, options, code, message) in [
        (
            config(json!({})),
            WriteOptions::default(),
            422,
            r#"PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch"#,
        ),
        (
            other_version,
            as_manager("m"),
            400,
            "invalid object type: /v2, Kind=ConfigMap",
        ),
        (
            nameless,
            as_manager("m"),
            400,
            "the name of the object (c based on URL) was undeterminable: name must be provided",
        ),
        (
            other_name,
            as_manager("m"),
            400,
            "the name of the object (x) does not match the name on the URL (c)",
        ),
        (
            unknown,
            as_manager("m"),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .dat: field not declared in schema",
        ),
    ] {
        let error = apply(&world, CONFIG, &body, options).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }
    let merge = send(&world, CONFIG, MediaType::MergePatch, &json!({}), forced("m"))
        .await
        .unwrap_err();
    assert_eq!(
        merge.message(),
        r#"PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch"#
    );
    let cbor = MediaType::parse("application/apply-patch+cbor");
    let error = send(&world, CONFIG, cbor, &json!({}), as_manager("m"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (
            415,
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml"
        )
    );
}

#[tokio::test]
async fn who_may_only_patch_may_not_make_what_is_absent() {
    let world = World::new().await;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]);
    world
        .create(
            "rbac.authorization.k8s.io/v1/clusterroles",
            json!({"metadata": {"name": "p"}, "rules": rules}),
        )
        .await
        .unwrap();
    let binding = json!({"metadata": {"name": "p"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "p"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}]});
    world
        .create("rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        .await
        .unwrap();
    let context = Context::for_user(User::authenticated("ann", Vec::<String>::new()));
    let body = RequestBody::new(MediaType::ApplyPatch, config(json!({})).to_string());
    let outcome = world
        .registry
        .patch(&context, &target(CONFIG), body, as_manager("m"))
        .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), 403);
    assert!(
        error
            .message()
            .contains(r#"User "ann" cannot create resource "configmaps""#),
        "{error}"
    );
}

#[tokio::test]
async fn every_write_says_who_owns_what() {
    let world = World::new().await;
    let mut context = world.context();
    context.user_agent = "kubectl/v1.36.0 (linux/amd64)".to_owned();
    let made = world
        .registry
        .create(
            &context,
            &target("apps/v1/deployments/default"),
            RequestBody::json(web(Some(2)).to_string()),
            WriteOptions::default(),
        )
        .await
        .unwrap();
    let made: Value = serde_json::from_slice(&made.body.into_bytes()).unwrap();
    assert_eq!(owners(&made), ["kubectl Update"]);
    let status = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"replicas": 9}, "status": {"replicas": 2}});
    let path = format!("{WEB}/status");
    let (_, changed) = send(&world, &path, MediaType::MergePatch, &status, as_manager("controller"))
        .await
        .unwrap();
    assert_eq!(owners(&changed), ["controller Update status", "kubectl Update"]);
    let entries = changed["metadata"]["managedFields"].as_array().unwrap();
    let of = |manager: &str| &entries.iter().find(|entry| entry["manager"] == manager).unwrap()["fieldsV1"];
    assert_eq!(
        of("controller"),
        &json!({"f:status": {"f:replicas": {}}}),
        "what status takes back is not owned"
    );
    assert!(of("kubectl")["f:spec"]["f:replicas"].is_object());
    let scale = json!({"spec": {"replicas": 7}});
    let path = format!("{WEB}/scale");
    send(&world, &path, MediaType::MergePatch, &scale, as_manager("hpa"))
        .await
        .unwrap();
    let scaled = world.get(WEB).await.unwrap();
    assert_eq!(
        owners(&scaled),
        ["controller Update status", "hpa Update scale", "kubectl Update"]
    );
    let scale =
        json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 8}});
    let error = apply(&world, &path, &scale, as_manager("other")).await.unwrap_err();
    assert_eq!(
        error.message(),
        "Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using autoscaling/v1: .spec.replicas"
    );
    apply(&world, &path, &scale, forced("other")).await.unwrap();
    let scaled = world.get(WEB).await.unwrap();
    assert_eq!(
        (&scaled["spec"]["replicas"], &owners(&scaled)[0]),
        (&json!(8), &"other Apply scale".to_owned())
    );
    let error = apply(&world, WEB, &web(Some(2)), as_manager("third"))
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains(r#"conflict with "other" with subresource "scale": .spec.replicas"#),
        "{error}"
    );
}

#[tokio::test]
async fn entries_are_kept_changed_and_forgotten_as_the_client_says() {
    let world = World::new().await;
    let (_, made) = apply(&world, CONFIG, &config(json!({"a": "1"})), as_manager("one"))
        .await
        .unwrap();
    let same = world.update(CONFIG, config(json!({"a": "1"}))).await.unwrap();
    assert_eq!(same, made, "leaving the entries out changes nothing");
    let taken = json!([{"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "two"}]);
    let (_, renamed) = send(&world, CONFIG, MediaType::JsonPatch, &taken, as_manager("x"))
        .await
        .unwrap();
    assert_eq!(owners(&renamed), ["two Apply"]);
    let status_less = json!({"metadata": {"managedFields": [{}]}});
    let (_, forgotten) = send(&world, CONFIG, MediaType::MergePatch, &status_less, as_manager("x"))
        .await
        .unwrap();
    assert_eq!(forgotten["metadata"].get("managedFields"), None);
    let updated = world.update(CONFIG, config(json!({"a": "3"}))).await.unwrap();
    assert!(
        owners(&updated).is_empty(),
        "what nobody tracks stays untracked until it is applied"
    );
    let (_, applied) = apply(&world, CONFIG, &config(json!({"b": "1"})), as_manager("one"))
        .await
        .unwrap();
    assert_eq!(owners(&applied), ["one Apply", "before-first-apply Update"]);
    let mut emptied = applied;
    emptied["metadata"]["managedFields"] = json!([]);
    let emptied = world.update(CONFIG, emptied).await.unwrap();
    assert!(owners(&emptied).is_empty());
}

#[tokio::test]
async fn owners_in_other_versions_are_heeded() {
    let world = World::new().await;
    let path = "autoscaling/v2/horizontalpodautoscalers/default/h";
    let v2 = |most: i64| {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
            "spec": {"maxReplicas": most, "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}})
    };
    let (code, _) = apply(&world, path, &v2(3), as_manager("one")).await.unwrap();
    assert_eq!(code, 201);
    let v1 = json!({"spec": {"maxReplicas": 5}});
    let older = "autoscaling/v1/horizontalpodautoscalers/default/h";
    send(&world, older, MediaType::MergePatch, &v1, as_manager("two"))
        .await
        .unwrap();
    let error = apply(&world, path, &v2(3), as_manager("one")).await.unwrap_err();
    assert_eq!(
        error.message(),
        r#"Apply failed with 1 conflict: conflict with "two" using autoscaling/v1: .spec.maxReplicas"#
    );
    let v1 = json!({"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"maxReplicas": 5, "minReplicas": 2,
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}});
    let (_, changed) = apply(&world, older, &v1, as_manager("one")).await.unwrap();
    assert_eq!(changed["spec"]["minReplicas"], 2);
    assert_eq!(
        owners(&changed),
        ["one Apply", "two Update"],
        "an applier is one, whichever version it uses"
    );
}

#[tokio::test]
async fn custom_resources_merge_by_their_schema() {
    let world = World::new().await;
    crate::custom_resources::define(&world, crate::custom_resources::widgets()).await;
    let path = "example.com/v1/widgets/default/a";
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec});
    let first = widget(json!({"color": "red", "ports": [{"port": 80}]}));
    let (code, made) = apply(&world, path, &first, as_manager("one")).await.unwrap();
    assert_eq!((code, &made["spec"]["size"]), (201, &json!(3)));
    let second = widget(json!({"ports": [{"port": 443}]}));
    let (_, merged) = apply(&world, path, &second, as_manager("two")).await.unwrap();
    let ports = merged["spec"]["ports"].as_array().unwrap();
    assert_eq!(ports.len(), 2, "a list by keys holds what both applied: {merged}");
    let other = widget(json!({"color": "blue"}));
    let conflict = apply(&world, path, &other, as_manager("two")).await.unwrap_err();
    assert!(conflict.message().contains(".spec.color"), "{conflict}");
    let none = widget(json!({"color": "red"}));
    let (_, left) = apply(&world, path, &none, as_manager("one")).await.unwrap();
    assert_eq!(left["spec"]["ports"][0]["port"], 443, "what its owner leaves out goes");
    let status =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "status": {"phase": "On"}});
    let (_, told) = apply(&world, &format!("{path}/status"), &status, as_manager("three"))
        .await
        .unwrap();
    assert_eq!(told["status"]["phase"], "On");
    assert!(
        owners(&told).iter().any(|owner| owner.contains("three")),
        "{:?}",
        owners(&told)
    );
}
