//! Kinds that run pods: apps, batch, autoscaling, policy.

use std::borrow::Cow;

use super::{FieldPath, ResourceKind, ScalePaths, SelectableField, kind};
use crate::columns::{core as columns, workloads};

pub(super) fn kinds() -> Vec<ResourceKind> {
    vec![
        controller_revisions(),
        daemon_sets(),
        deployments(),
        replica_sets(),
        stateful_sets(),
        horizontal_pod_autoscalers_v2(),
        horizontal_pod_autoscalers_v1(),
        cron_jobs(),
        jobs(),
        pod_disruption_budgets(),
    ]
}

fn controller_revisions() -> ResourceKind {
    kind("apps", "v1", "ControllerRevision", "controllerrevisions").printer(&workloads::CONTROLLER_REVISIONS)
}

fn daemon_sets() -> ResourceKind {
    kind("apps", "v1", "DaemonSet", "daemonsets")
        .short(&["ds"])
        .category("all")
        .status()
        .printer(&workloads::DAEMON_SETS)
}

fn deployments() -> ResourceKind {
    kind("apps", "v1", "Deployment", "deployments")
        .short(&["deploy"])
        .category("all")
        .scale(ScalePaths::Selector)
        .status()
        .printer(&workloads::DEPLOYMENTS)
}

fn replica_sets() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[SelectableField {
        name: Cow::Borrowed("status.replicas"),
        path: FieldPath::BuiltIn(&["status", "replicas"]),
        absent: "0",
    }];
    kind("apps", "v1", "ReplicaSet", "replicasets")
        .short(&["rs"])
        .category("all")
        .fields(FIELDS)
        .scale(ScalePaths::Selector)
        .status()
        .printer(&workloads::REPLICA_SETS)
}

fn stateful_sets() -> ResourceKind {
    kind("apps", "v1", "StatefulSet", "statefulsets")
        .short(&["sts"])
        .category("all")
        .scale(ScalePaths::Selector)
        .status()
        .printer(&workloads::STATEFUL_SETS)
}

fn horizontal_pod_autoscalers_v2() -> ResourceKind {
    kind(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .category("all")
    .status()
    .printer(&workloads::HORIZONTAL_POD_AUTOSCALERS)
}

/// The older view: what it cannot say is kept in annotations, as upstream.
fn horizontal_pod_autoscalers_v1() -> ResourceKind {
    kind(
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
    )
    .short(&["hpa"])
    .category("all")
    .stored_as("autoscaling", "v2")
    .status()
    .printer(&workloads::HORIZONTAL_POD_AUTOSCALERS)
}

fn cron_jobs() -> ResourceKind {
    kind("batch", "v1", "CronJob", "cronjobs")
        .short(&["cj"])
        .category("all")
        .status()
        .printer(&workloads::CRON_JOBS)
}

fn jobs() -> ResourceKind {
    const FIELDS: &[SelectableField] = &[SelectableField {
        name: Cow::Borrowed("status.successful"),
        path: FieldPath::BuiltIn(&["status", "succeeded"]),
        absent: "0",
    }];
    kind("batch", "v1", "Job", "jobs")
        .category("all")
        .fields(FIELDS)
        .status()
        .printer(&workloads::JOBS)
}

fn pod_disruption_budgets() -> ResourceKind {
    kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
        .short(&["pdb"])
        .status()
        .printer(&columns::POD_DISRUPTION_BUDGETS)
}
