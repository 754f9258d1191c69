//! What a pod spec says when the client does not. Source: `pkg/apis/core/v1/defaults.go`.

use kube_types::dynamic::{Value, json};

use super::CONTAINER_LISTS;
use crate::tree::{Node, child_mut, default, ensure, flag, items_mut, text};

/// Mode of files in volumes: 0644.
const FILE_MODE: i64 = 0o644;

/// Fills the spec of a pod or template.
pub fn spec(spec: &mut Node) {
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    ensure(spec, "securityContext");
    default(spec, "schedulerName", "default-scheduler");
    // Two names of one field.
    let account = [text(spec, "serviceAccountName"), text(spec, "serviceAccount")];
    let account = account
        .iter()
        .find(|name| !name.is_empty())
        .map(|name| (*name).to_owned());
    if let Some(account) = account {
        spec.insert("serviceAccountName".to_owned(), account.as_str().into());
        spec.insert("serviceAccount".to_owned(), account.into());
    }
    let host_network = flag(spec, "hostNetwork");
    for list in CONTAINER_LISTS.iter().chain(&["ephemeralContainers"]) {
        for each in items_mut(spec, list) {
            container(each);
            if host_network {
                for port in items_mut(each, "ports") {
                    let number = port.get("containerPort").cloned().unwrap_or(Value::Null);
                    default(port, "hostPort", number);
                }
            }
        }
    }
    for each in items_mut(spec, "volumes") {
        volume(each);
    }
}

fn container(container: &mut Node) {
    ensure(container, "resources");
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let policy = pull_policy(text(container, "image"));
    default(container, "imagePullPolicy", policy);
    for port in items_mut(container, "ports") {
        default(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(field) = child_mut(variable, "valueFrom").and_then(|from| child_mut(from, "fieldRef")) {
            default(field, "apiVersion", "v1");
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(check) = child_mut(container, name) {
            probe(check);
        }
    }
    for name in ["postStart", "preStop"] {
        let hook = child_mut(container, "lifecycle").and_then(|lifecycle| child_mut(lifecycle, name));
        if let Some(get) = hook.and_then(|hook| child_mut(hook, "httpGet")) {
            http_get(get);
        }
    }
}

/// An image without a tag, or with `latest`, may mean another one tomorrow.
fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None | Some((_, "latest" | "")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn probe(probe: &mut Node) {
    default(probe, "timeoutSeconds", 1);
    default(probe, "periodSeconds", 10);
    default(probe, "successThreshold", 1);
    default(probe, "failureThreshold", 3);
    if let Some(get) = child_mut(probe, "httpGet") {
        http_get(get);
    }
    if let Some(call) = child_mut(probe, "grpc") {
        default(call, "service", "");
    }
}

fn http_get(get: &mut Node) {
    default(get, "path", "/");
    default(get, "scheme", "HTTP");
}

fn volume(volume: &mut Node) {
    if volume.keys().all(|field| field == "name") {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
    for (source, field, value) in [
        ("secret", "defaultMode", Value::from(FILE_MODE)),
        ("configMap", "defaultMode", FILE_MODE.into()),
        ("downwardAPI", "defaultMode", FILE_MODE.into()),
        ("projected", "defaultMode", FILE_MODE.into()),
        ("iscsi", "iscsiInterface", "default".into()),
        ("rbd", "pool", "rbd".into()),
        ("rbd", "user", "admin".into()),
        ("rbd", "keyring", "/etc/ceph/keyring".into()),
    ] {
        if let Some(node) = child_mut(volume, source) {
            default(node, field, value);
        }
    }
    if let Some(path) = child_mut(volume, "hostPath") {
        // Of the empty text and none, the empty text is what upstream writes.
        path.entry("type").or_insert_with(|| "".into());
    }
    if let Some(files) = child_mut(volume, "downwardAPI") {
        downward(files);
    }
    if let Some(projected) = child_mut(volume, "projected") {
        for source in items_mut(projected, "sources") {
            if let Some(token) = child_mut(source, "serviceAccountToken") {
                default(token, "expirationSeconds", 3600);
            }
            if let Some(files) = child_mut(source, "downwardAPI") {
                downward(files);
            }
        }
    }
    if let Some(claim) = crate::tree::at_mut(volume, &["ephemeral", "volumeClaimTemplate", "spec"]) {
        default(claim, "volumeMode", "Filesystem");
    }
}

fn downward(files: &mut Node) {
    for item in items_mut(files, "items") {
        if let Some(field) = child_mut(item, "fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
}

/// A limit without a request is a request too. Source: `SetDefaults_Pod`.
pub fn requests_from_limits(spec: &mut Node) {
    for list in CONTAINER_LISTS {
        for container in items_mut(spec, list) {
            let Some(resources) = child_mut(container, "resources") else {
                continue;
            };
            let Some(limits) = crate::tree::child(resources, "limits").cloned() else {
                continue;
            };
            let requests = ensure(resources, "requests");
            for (name, limit) in limits {
                requests.entry(name).or_insert(limit);
            }
        }
    }
}
