//! Keeps the FlowSchemas and priority levels that every cluster has, takes changes of them up, and lends seats.
//!
//! Source: `controlplane/../flowcontrol/rest/storage_flowcontrol.go`, `ensurer/strategy.go`, `apf_controller.go`.

use std::time::Duration;

use flow_control::bootstrap::{self, AUTO_UPDATE, MANDATORY};
use flow_control::levels::{self, Limits};
use futures::future::join_all;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use kube_types::GroupVersionResource;
use kube_types::dynamic::{Object, Value, json};
use registry::{Context, RequestBody, StatusError, Target, WriteOptions};
use supervision::Restart;

use super::SEATS;
use crate::api::KubeApi;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const SCHEMAS: &str = "flowschemas";
const LEVELS: &str = "prioritylevelconfigurations";
/// How often everything is looked at when nothing is seen to change.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often seats are shared out anew.
const PERIOD: Duration = Duration::from_secs(10);
const RESTART: Restart = Restart::always().pauses(Duration::from_millis(20), Duration::from_secs(2));

/// Starts the tasks, until the API's supervisor is cancelled.
pub(crate) fn start(api: &KubeApi) {
    let tasks = &api.0.supervisor;
    let keeping = api.clone();
    tasks.spawn_restarting("flow schemas", RESTART, move || keep(keeping.clone()));
    let lending = api.clone();
    tasks.spawn_until_cancelled("seats of priority levels", async move {
        loop {
            supervision::sleep(PERIOD).await;
            share_out(&lending);
        }
    });
}

async fn keep(api: KubeApi) -> Result<(), StatusError> {
    let registry = &api.0.registry;
    let stored = |plural: &str| {
        let changes = registry.changes(GROUP, plural);
        changes.ok_or_else(|| StatusError::internal(format!("{plural} are not served")))
    };
    let (mut schemas, mut levels) = (stored(SCHEMAS)?, stored(LEVELS)?);
    loop {
        schemas.borrow_and_update();
        levels.borrow_and_update();
        ensure(&api, LEVELS, &bootstrap::levels()).await;
        ensure(&api, SCHEMAS, &bootstrap::schemas()).await;
        configure(&api);
        mark(&api).await;
        let changed = async {
            tokio::select! {
                changed = schemas.changed() => changed.is_ok(),
                changed = levels.changed() => changed.is_ok(),
            }
        };
        // Whether something changed or the time is over, the next thing is to look.
        if let Ok(false) = tokio::time::timeout(LOOK_AGAIN, changed).await {
            return Ok(());
        }
    }
}

fn configure(api: &KubeApi) {
    let registry = &api.0.registry;
    let schemas: Vec<FlowSchema> = typed(&registry.objects(GROUP, SCHEMAS, None));
    let levels: Vec<PriorityLevelConfiguration> = typed(&registry.objects(GROUP, LEVELS, None));
    if !levels.is_empty() {
        api.0.fairness.configure(&schemas, &levels);
    }
}

fn typed<T: serde::de::DeserializeOwned + k8s_openapi::Resource>(objects: &[Object]) -> Vec<T> {
    let live = objects.iter().filter(|object| !object.is_deleting());
    live.filter_map(|object| object.to_typed().ok()).collect()
}

/// Makes what is missing, and what is kept as it was made.
async fn ensure<T: serde::Serialize>(api: &KubeApi, plural: &str, wanted: &[T]) {
    let present = api.0.registry.objects(GROUP, plural, None);
    join_all(wanted.iter().map(|wanted| async {
        let outcome = match Object::from_typed(wanted) {
            Ok(wanted) => ensure_one(api, plural, &present, wanted).await,
            Err(error) => Err(StatusError::internal(error)),
        };
        match outcome {
            Ok(()) => {}
            // Another API server was faster, or somebody changed it meanwhile: then it is looked at again.
            Err(error) if error.reason() == "AlreadyExists" || error.is_conflict() => {}
            Err(error) => tracing::warn!(plural, %error, "an object of priority and fairness is not kept"),
        }
    }))
    .await;
}

async fn ensure_one(api: &KubeApi, plural: &str, present: &[Object], wanted: Object) -> Result<(), StatusError> {
    let gvr = GroupVersionResource::new(GROUP, "v1", plural);
    let name = wanted.name().unwrap_or_default().to_owned();
    let options = WriteOptions::default();
    let Some(there) = present.iter().find(|object| object.name() == Some(name.as_str())) else {
        let body = RequestBody::json(Value::Object(wanted.0).to_string());
        let target = Target::collection(gvr, None);
        api.0.registry.create(&own_context(), &target, body, options).await?;
        return Ok(());
    };
    let Some(changed) = corrected(there, &wanted) else {
        return Ok(());
    };
    let body = RequestBody::json(Value::Object(changed.0).to_string());
    let target = Target::object(gvr, None, &name);
    api.0.registry.update(&own_context(), &target, body, options).await?;
    Ok(())
}

/// The object as it shall be; `None` when it is so, or when it belongs to whoever changed it.
fn corrected(there: &Object, wanted: &Object) -> Option<Object> {
    let mandatory = MANDATORY.contains(&there.name().unwrap_or_default());
    let annotation = there.annotations().get(AUTO_UPDATE).cloned();
    let spec = wanted.0.get("spec")?;
    // An object without the annotation is the server's as long as nobody has changed its spec.
    let untouched = there.0.get("metadata")?.get("generation").and_then(Value::as_i64) == Some(1);
    let kept = match annotation.as_deref() {
        _ if mandatory => true,
        Some("true") => true,
        Some(_) => false,
        None => untouched,
    };
    let mut changed = there.clone();
    if kept {
        // Of an exempt level everybody may say how much it lends.
        if there.name() == Some("exempt") && there.0.get("spec")?.get("exempt").is_some() {
            changed.0.insert("spec".to_owned(), there.0["spec"].clone());
        } else {
            changed.0.insert("spec".to_owned(), spec.clone());
        }
    }
    if mandatory || annotation.is_none() {
        let value = if kept { "true" } else { "false" };
        let annotations = changed.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
        annotations[AUTO_UPDATE] = value.into();
    }
    (changed != *there).then_some(changed)
}

/// Says on each schema whether its priority level exists.
async fn mark(api: &KubeApi) {
    let registry = &api.0.registry;
    let levels = registry.objects(GROUP, LEVELS, None);
    let now = api.0.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    for schema in registry.objects(GROUP, SCHEMAS, None) {
        let level = schema.0["spec"]["priorityLevelConfiguration"]["name"]
            .as_str()
            .unwrap_or_default();
        let exists = levels.iter().any(|known| known.name() == Some(level));
        let Some(marked) = marked(&schema, level, exists, &now) else {
            continue;
        };
        let name = schema.name().unwrap_or_default();
        let target = Target::object(GroupVersionResource::new(GROUP, "v1", SCHEMAS), None, name);
        let body = RequestBody::json(Value::Object(marked.0).to_string());
        let target = target.with_subresource("status");
        match registry
            .update(&own_context(), &target, body, WriteOptions::default())
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) => tracing::warn!(name, %error, "the status of a FlowSchema is not written"),
        }
    }
}

/// The schema with its condition; `None` when it says so already.
fn marked(schema: &Object, level: &str, exists: bool, now: &str) -> Option<Object> {
    let (status, reason, message) = if exists {
        let message =
            format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists");
        ("False", "Found", message)
    } else {
        let message = format!(
            "This FlowSchema references the PriorityLevelConfiguration object named {level:?} but there is no such object"
        );
        ("True", "NotFound", message)
    };
    let conditions = schema
        .0
        .get("status")
        .and_then(|status| status["conditions"].as_array());
    let old = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == "Dangling"));
    if old.is_some_and(|old| old["status"] == status && old["message"] == *message) {
        return None;
    }
    let condition = json!({"type": "Dangling", "status": status, "lastTransitionTime": now, "reason": reason,
        "message": message});
    let mut changed = schema.clone();
    changed
        .0
        .insert("status".to_owned(), json!({"conditions": [condition]}));
    Some(changed)
}

/// Lets levels that want more have what others do not use.
fn share_out(api: &KubeApi) {
    let fairness = &api.0.fairness;
    let settings = fairness.settings.load_full();
    let now = fairness.now();
    let limited: Vec<_> = settings.levels.values().filter(|entry| !entry.level.exempt).collect();
    let mut demands = Vec::new();
    let mut highs = Vec::new();
    for entry in &limited {
        let mut state = entry.lock();
        let demand = state.take_demand(now);
        state.smooth = levels::smoothed(state.smooth, &demand);
        demands.push(state.smooth);
        highs.push(demand.high);
    }
    let limits: Vec<Limits> = limited.iter().map(|entry| entry.limits).collect();
    let seats = levels::share_out(&limits, &demands, SEATS);
    for ((entry, seats), high) in limited.iter().zip(seats).zip(highs) {
        let mut state = entry.lock();
        state.queues.set_seats(seats.max(1));
        state.go_on(now);
        drop(state);
        fairness.metrics.adjusted(&entry.level.name, seats, high);
    }
}

fn own_context() -> Context {
    Context::for_user(access_rules::User::master("system:apiserver"))
}
