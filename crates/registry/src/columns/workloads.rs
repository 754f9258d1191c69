//! Columns of kinds that keep pods.

use jiff::Timestamp;
use kube_types::dynamic::{Map, Value};

use super::pods::template_containers;
use super::{
    AGE, Column, NAME, Printer, age, at, duration, integer, labels, list, name, number, selector, since, string,
};
use super::{text, truth, wide};

type Node = Map<String, Value>;

const CONTAINERS: Column = wide("Containers", "Names of each container in the template.");
const IMAGES: Column = wide("Images", "Images referenced by each container in the template.");
const SELECTOR: Column = wide("Selector", "Labels that the pods must have to be counted.");
const DESIRED: Column = integer("Desired", "Number of desired pods.");
const CURRENT: Column = integer("Current", "Number of present pods.");
const TEMPLATE: &[&str] = &["spec", "template", "spec", "containers"];

fn status(object: &Node, field: &str) -> Value {
    number(object, &["status", field]).into()
}

/// Cells that wide output shows of kinds with a template and a selector.
fn template_cells(object: &Node) -> [Value; 3] {
    let [names, images] = template_containers(object, TEMPLATE);
    [names, images, selector(at(object, &["spec", "selector"])).into()]
}

/// Deployments.
pub static DEPLOYMENTS: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", "Number of the pod with ready state"),
        integer(
            "Up-to-date",
            "Total number of non-terminated pods targeted by this deployment that have the desired template spec.",
        ),
        integer(
            "Available",
            "Total number of available pods targeted by this deployment.",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let ready = format!(
            "{}/{}",
            number(object, &["status", "readyReplicas"]),
            number(object, &["spec", "replicas"])
        );
        let mut cells = vec![
            name(object),
            ready.into(),
            status(object, "updatedReplicas"),
            status(object, "availableReplicas"),
            age(object, now),
        ];
        cells.extend(template_cells(object));
        cells
    },
};

/// Replica sets.
pub static REPLICA_SETS: Printer = Printer {
    columns: &[
        NAME,
        DESIRED,
        CURRENT,
        integer("Ready", "Number of ready pods."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| replicas(object, now, selector(at(object, &["spec", "selector"]))),
};

/// Replication controllers.
pub static REPLICATION_CONTROLLERS: Printer = Printer {
    columns: REPLICA_SETS.columns,
    cells: |object, now| replicas(object, now, labels(at(object, &["spec", "selector"]))),
};

fn replicas(object: &Node, now: Timestamp, selector: String) -> Vec<Value> {
    let [names, images] = template_containers(object, TEMPLATE);
    vec![
        name(object),
        number(object, &["spec", "replicas"]).into(),
        status(object, "replicas"),
        status(object, "readyReplicas"),
        age(object, now),
        names,
        images,
        selector.into(),
    ]
}

/// Stateful sets.
pub static STATEFUL_SETS: Printer = Printer {
    columns: &[
        NAME,
        text("Ready", "Number of the pod with ready state"),
        AGE,
        CONTAINERS,
        IMAGES,
    ],
    cells: |object, now| {
        let ready = format!(
            "{}/{}",
            number(object, &["status", "readyReplicas"]),
            number(object, &["spec", "replicas"])
        );
        let [names, images] = template_containers(object, TEMPLATE);
        vec![name(object), ready.into(), age(object, now), names, images]
    },
};

/// Daemon sets.
pub static DAEMON_SETS: Printer = Printer {
    columns: &[
        NAME,
        DESIRED,
        CURRENT,
        integer("Ready", "Number of nodes that run a ready pod."),
        integer("Up-to-date", "Number of nodes that run a pod of the present template."),
        integer("Available", "Number of nodes that run an available pod."),
        text("Node Selector", "Labels that a node must have."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let mut cells = vec![
            name(object),
            status(object, "desiredNumberScheduled"),
            status(object, "currentNumberScheduled"),
            status(object, "numberReady"),
            status(object, "updatedNumberScheduled"),
            status(object, "numberAvailable"),
            labels(at(object, &["spec", "template", "spec", "nodeSelector"])).into(),
            age(object, now),
        ];
        cells.extend(template_cells(object));
        cells
    },
};

/// Jobs.
pub static JOBS: Printer = Printer {
    columns: &[
        NAME,
        text("Status", "Status of the job."),
        text("Completions", "Pods that have succeeded, of those wanted."),
        text("Duration", "Time required to complete the job."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let mut cells = vec![
            name(object),
            job_status(object).into(),
            completions(object).into(),
            job_duration(object, now).into(),
        ];
        cells.push(age(object, now));
        cells.extend(template_cells(object));
        cells
    },
};

fn has_condition(object: &Node, kind: &str) -> bool {
    list(object, &["status", "conditions"])
        .iter()
        .any(|c| c["type"] == kind && c["status"] == "True")
}

fn job_status(job: &Node) -> &'static str {
    let known = [("Complete", "Complete"), ("Failed", "Failed")];
    if let Some((_, shown)) = known.iter().find(|(kind, _)| has_condition(job, kind)) {
        return shown;
    }
    if !string(job, &["metadata", "deletionTimestamp"]).is_empty() {
        return "Terminating";
    }
    let later = [
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ];
    later
        .iter()
        .find(|(kind, _)| has_condition(job, kind))
        .map_or("Running", |(_, shown)| shown)
}

fn completions(job: &Node) -> String {
    let succeeded = number(job, &["status", "succeeded"]);
    match at(job, &["spec", "completions"]).and_then(Value::as_i64) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None => match number(job, &["spec", "parallelism"]) {
            0 | 1 => format!("{succeeded}/1"),
            parallel => format!("{succeeded}/1 of {parallel}"),
        },
    }
}

fn job_duration(job: &Node, now: Timestamp) -> String {
    let time = |field: &str| string(job, &["status", field]).parse::<Timestamp>().ok();
    match (time("startTime"), time("completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => duration(end.unwrap_or(now).as_second() - start.as_second()),
    }
}

/// Cron jobs.
pub static CRON_JOBS: Printer = Printer {
    columns: &[
        NAME,
        text("Schedule", "When jobs are made, in cron's form."),
        text("Timezone", "Time zone of the schedule."),
        text("Suspend", "Whether no jobs are made for now."),
        integer("Active", "Number of running jobs."),
        text("Last Schedule", "Time since the last job was made."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let zone = string(object, &["spec", "timeZone"]);
        let last = at(object, &["status", "lastScheduleTime"]);
        let suspended = if truth(object, &["spec", "suspend"]) {
            "True"
        } else {
            "False"
        };
        let [names, images] = template_containers(
            object,
            &["spec", "jobTemplate", "spec", "template", "spec", "containers"],
        );
        vec![
            name(object),
            string(object, &["spec", "schedule"]).into(),
            if zone.is_empty() { "<none>" } else { zone }.into(),
            suspended.into(),
            list(object, &["status", "active"]).len().into(),
            last.map_or_else(|| "<none>".to_owned(), |last| since(Some(last), now))
                .into(),
            age(object, now),
            names,
            images,
            selector(at(object, &["spec", "jobTemplate", "spec", "selector"])).into(),
        ]
    },
};

/// Autoscalers.
pub static HORIZONTAL_POD_AUTOSCALERS: Printer = Printer {
    columns: &[
        NAME,
        text("Reference", "What is scaled."),
        text("Targets", "Present and wanted metrics."),
        text("MinPods", "Fewest replicas."),
        text("MaxPods", "Most replicas."),
        text("Replicas", "Present replicas."),
        AGE,
    ],
    cells: |object, now| {
        let target = ["kind", "name"].map(|field| string(object, &["spec", "scaleTargetRef", field]));
        let least = at(object, &["spec", "minReplicas"]).and_then(Value::as_i64);
        vec![
            name(object),
            target.join("/").into(),
            metrics(object).into(),
            least
                .map_or_else(|| "<unset>".to_owned(), |least| least.to_string())
                .into(),
            number(object, &["spec", "maxReplicas"]).into(),
            status(object, "currentReplicas"),
            age(object, now),
        ]
    },
};

/// Resource metrics as `cpu: 10%/50%`; two are shown, the others counted. Source: `formatHPAMetrics`.
fn metrics(object: &Node) -> String {
    let wanted = list(object, &["spec", "metrics"]);
    let current = list(object, &["status", "currentMetrics"]);
    let shown: Vec<String> = wanted
        .iter()
        .map(|metric| {
            let resource = &metric["resource"];
            let name = resource["name"].as_str().unwrap_or("metric");
            let now = current
                .iter()
                .find(|c| c["resource"]["name"] == resource["name"])
                .map(|c| &c["resource"]["current"]);
            let of = |usage: Option<&Value>, field: &str| usage.and_then(|usage| usage.get(field)).cloned();
            match of(Some(&resource["target"]), "averageUtilization") {
                Some(target) => {
                    let now = of(now, "averageUtilization").map_or("<unknown>".to_owned(), |now| format!("{now}%"));
                    format!("{name}: {now}/{target}%")
                }
                None => {
                    let plain =
                        |value: Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or("<unknown>").to_owned();
                    let target = plain(of(Some(&resource["target"]), "averageValue"));
                    format!("{name}: {}/{target}", plain(of(now, "averageValue")))
                }
            }
        })
        .collect();
    match shown.len() {
        0 => "<none>".to_owned(),
        1 | 2 => shown.join(", "),
        count => format!("{} + {} more...", shown[..2].join(", "), count - 2),
    }
}

/// Controller revisions.
pub static CONTROLLER_REVISIONS: Printer = Printer {
    columns: &[
        NAME,
        text("Controller", "What the revision is of."),
        text("Revision", "Number of the revision."),
        AGE,
    ],
    cells: |object, now| {
        let owner = list(object, &["metadata", "ownerReferences"])
            .iter()
            .find(|owner| owner["controller"] == true);
        let controller = owner.map_or_else(
            || "<none>".to_owned(),
            |owner| {
                let group = owner["apiVersion"]
                    .as_str()
                    .and_then(|version| version.split_once('/'))
                    .map(|(group, _)| group);
                let kind = owner["kind"].as_str().unwrap_or_default().to_lowercase();
                let name = owner["name"].as_str().unwrap_or_default();
                group.map_or_else(|| format!("{kind}/{name}"), |group| format!("{kind}.{group}/{name}"))
            },
        );
        vec![
            name(object),
            controller.into(),
            number(object, &["revision"]).into(),
            age(object, now),
        ]
    },
};

/// Pod templates.
pub static POD_TEMPLATES: Printer = Printer {
    columns: &[
        NAME,
        text("Containers", "Names of each container in the template."),
        text("Images", "Images referenced by each container in the template."),
        text("Pod Labels", "The labels for the pod template."),
    ],
    cells: |object, _| {
        let [names, images] = template_containers(object, &["template", "spec", "containers"]);
        vec![
            name(object),
            names,
            images,
            labels(at(object, &["template", "metadata", "labels"])).into(),
        ]
    },
};
