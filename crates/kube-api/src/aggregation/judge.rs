//! Whether an aggregated API server can be there at all, judged from its Service and EndpointSlices, and the condition that
//! says so. Source: `controllers/status/remote`.

use kube_types::api::core::v1::Service;
use kube_types::api::discovery::v1::EndpointSlice;
use kube_types::dynamic::{Object, Value, json};

use super::Backend;

/// The condition `Available` without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub status: &'static str,
    pub reason: &'static str,
    pub message: String,
}

impl Verdict {
    pub fn passed() -> Self {
        Self {
            status: "True",
            reason: "Passed",
            message: "all checks passed".to_owned(),
        }
    }

    pub fn failed(reason: &'static str, message: String) -> Self {
        Self {
            status: "False",
            reason,
            message,
        }
    }
}

/// Why the server cannot be there; `None` when it must be asked.
pub(super) fn obstacle(backend: &Backend, service: Option<&Service>, slices: &[EndpointSlice]) -> Option<Verdict> {
    let (name, namespace, port) = (&backend.service, &backend.namespace, backend.port);
    let failed = |reason, message| Some(Verdict::failed(reason, message));
    let Some(service) = service else {
        return failed(
            "ServiceNotFound",
            format!("service/{name} in {namespace:?} is not present"),
        );
    };
    let spec = service.spec.as_ref();
    let kind = spec.and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
    if kind != "ClusterIP" {
        return None;
    }
    let mut ports = spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    let Some(found) = ports.find(|one| one.port == i32::from(port)) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {port}");
        return failed("ServicePortError", message);
    };
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return failed("EndpointsNotFound", message);
    }
    let port_name = found.name.as_deref().unwrap_or_default();
    if !slices.iter().any(|slice| has_ready(slice, port_name)) {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name {port_name:?}"
        );
        return failed("MissingEndpoints", message);
    }
    None
}

fn has_ready(slice: &EndpointSlice, port_name: &str) -> bool {
    let ready = slice.endpoints.iter().flatten().any(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let mut ports = slice.ports.iter().flatten();
    ready && ports.any(|port| port.name.as_deref().unwrap_or_default() == port_name && port.port.is_some())
}

/// Whether an APIService is said to be available.
pub(super) fn is_available(service: &Object) -> bool {
    available(service).is_some_and(|condition| condition["status"] == "True")
}

fn available(service: &Object) -> Option<&Value> {
    let conditions = service.0.get("status")?.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Available")
}

/// The APIService with the verdict as its condition; `None` when it says so already.
pub(super) fn with_verdict(service: &Object, verdict: &Verdict, now: &str) -> Option<Object> {
    let old = available(service);
    let is = |field: &str, text: &str| old.is_some_and(|old| old[field] == *text);
    if is("status", verdict.status) && is("reason", verdict.reason) && is("message", &verdict.message) {
        return None;
    }
    // The time is that of the last change of the status, not of the words.
    let since = match old {
        Some(old) if old["status"] == verdict.status => old["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    let condition = json!({"type": "Available", "status": verdict.status, "lastTransitionTime": since,
        "reason": verdict.reason, "message": verdict.message});
    let mut changed = service.clone();
    let status = changed.0.entry("status").or_insert_with(|| json!({}));
    let mut conditions: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "Available");
    conditions.push(condition);
    status["conditions"] = conditions.into();
    Some(changed)
}
