//! Jobs, cron jobs and disruption budgets.

use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::pod::{defaults, validate};
use crate::rules::Rules;
use crate::tree::{Node, at, at_mut, child, child_mut, default, ensure, flag, int, text};
use crate::workload::{empty_selector, ensure_template_labels, immutable, not_negative, selector};

#[cfg(test)]
mod tests;

pub(crate) static JOB: Rules = Rules {
    defaults: |job| {
        if let Some(spec) = child_mut(&mut job.0, "spec") {
            job_defaults(spec);
        }
    },
    prepare_create: label_by_uid,
    validate: |job, errors| {
        let empty = Node::new();
        let spec = child(&job.0, "spec").unwrap_or(&empty);
        if spec.get("selector").is_none() {
            errors.required("spec.selector", "");
        }
        selector(spec.get("selector"), "spec.selector", errors);
        job_spec(spec, "spec", errors);
    },
    validate_update: |new, old, errors| {
        immutable(
            new,
            old,
            &["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"],
            errors,
        );
        let suspended = child(&old.0, "spec").is_some_and(|spec| flag(spec, "suspend"));
        if !suspended {
            immutable(new, old, &["template"], errors);
        }
        let indexed = child(&new.0, "spec").is_some_and(|spec| text(spec, "completionMode") == "Indexed");
        if !indexed {
            immutable(new, old, &["completions"], errors);
        }
    },
    generation: true,
    status: true,
    orphan_by_default: true,
    ..Rules::NAMED
};

fn job_defaults(spec: &mut Node) {
    if let Some(pod) = at_mut(spec, &["template", "spec"]) {
        // A job's pods are not meant to run for ever; which of the two other policies is meant must be said.
        let given = text(pod, "restartPolicy").to_owned();
        defaults::spec(pod);
        if given.is_empty() {
            pod.insert("restartPolicy".to_owned(), "Always".into());
        }
    }
    if int(spec, "completions").is_none() && int(spec, "parallelism").is_none() {
        spec.insert("completions".to_owned(), 1.into());
    }
    default(spec, "parallelism", 1);
    let per_index = spec.contains_key("backoffLimitPerIndex");
    default(spec, "backoffLimit", if per_index { i64::from(i32::MAX) } else { 6 });
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    let replacement = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    default(spec, "podReplacementPolicy", replacement);
    default(spec, "manualSelector", false);
}

/// A job selects its pods by its own uid. Source: `jobStrategy.generateSelector`.
fn label_by_uid(job: &mut Object) {
    let (uid, name) = (
        job.uid().unwrap_or_default().to_owned(),
        job.name().unwrap_or_default().to_owned(),
    );
    if child(&job.0, "spec").is_some_and(|spec| flag(spec, "manualSelector")) {
        return;
    }
    if let Some(labels) = ensure_template_labels(job) {
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("job-name", &name),
        ] {
            labels.insert(key.to_owned(), value.as_str().into());
        }
    }
    if let Some(spec) = child_mut(&mut job.0, "spec") {
        let selector = spec.entry("selector").or_insert_with(empty_selector);
        if let Some(selector) = selector.as_object_mut() {
            ensure(selector, "matchLabels").insert("batch.kubernetes.io/controller-uid".to_owned(), uid.into());
        }
    }
}

fn job_spec(spec: &Node, path: &str, errors: &mut Errors) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ] {
        if let Some(number) = int(spec, field).filter(|number| *number < 0) {
            errors.invalid(format!("{path}.{field}"), number, "must be greater than or equal to 0");
        }
    }
    let mode = text(spec, "completionMode");
    if !matches!(mode, "NonIndexed" | "Indexed") {
        errors.not_supported(format!("{path}.completionMode"), mode, &["NonIndexed", "Indexed"]);
    }
    if mode == "Indexed" && int(spec, "completions").is_none() {
        errors.required(format!("{path}.completions"), "when completion mode is Indexed");
    }
    let empty = Node::new();
    let template = child(spec, "template").unwrap_or(&empty);
    validate::template(template, &format!("{path}.template"), errors);
    let restart = child(template, "spec").map_or("", |pod| text(pod, "restartPolicy"));
    if !matches!(restart, "OnFailure" | "Never") {
        let field = format!("{path}.template.spec.restartPolicy");
        if restart == "Always" {
            errors.push(
                crate::field::Kind::Required,
                field,
                None,
                "valid values: \"OnFailure\", \"Never\"",
            );
        } else {
            errors.not_supported(field, restart, &["OnFailure", "Never"]);
        }
    }
}

pub(crate) static CRON_JOB: Rules = Rules {
    // Names of the jobs get eleven more characters.
    name: |name, prefix| {
        let mut problems = crate::names::with_prefix(crate::names::dns_subdomain, name, prefix);
        if name.len() > 52 {
            problems.push("must be no more than 52 characters".to_owned());
        }
        problems
    },
    defaults: |cron| {
        let Some(spec) = child_mut(&mut cron.0, "spec") else {
            return;
        };
        default(spec, "concurrencyPolicy", "Allow");
        default(spec, "suspend", false);
        default(spec, "successfulJobsHistoryLimit", 3);
        default(spec, "failedJobsHistoryLimit", 1);
        if let Some(pod) = at_mut(spec, &["jobTemplate", "spec", "template", "spec"]) {
            defaults::spec(pod);
        }
    },
    validate: cron_job,
    generation: true,
    status: true,
    ..Rules::NAMED
};

fn cron_job(cron: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&cron.0, "spec").unwrap_or(&empty);
    match text(spec, "schedule") {
        "" => errors.required("spec.schedule", ""),
        schedule => {
            if let Some(problem) = schedule_problem(schedule) {
                errors.invalid("spec.schedule", schedule, problem);
            }
        }
    }
    let policies = ["Allow", "Forbid", "Replace"];
    let policy = text(spec, "concurrencyPolicy");
    if !policies.contains(&policy) {
        errors.not_supported("spec.concurrencyPolicy", policy, &policies);
    }
    not_negative(
        spec,
        &[
            "startingDeadlineSeconds",
            "successfulJobsHistoryLimit",
            "failedJobsHistoryLimit",
        ],
        errors,
    );
    let mut job = at(spec, &["jobTemplate", "spec"]).cloned().unwrap_or_default();
    // The rest is filled when a job is made.
    default(&mut job, "completionMode", "NonIndexed");
    job_spec(&job, "spec.jobTemplate.spec", errors);
}

/// Five fields, or one of the named schedules.
fn schedule_problem(schedule: &str) -> Option<String> {
    if schedule.contains("TZ") {
        return Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(name) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let sound = known.contains(&name) || name.starts_with("every ");
        return (!sound).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields = schedule.split_whitespace().count();
    (fields != 5).then(|| format!("expected exactly 5 fields, found {fields}: [{schedule}]"))
}

pub(crate) static POD_DISRUPTION_BUDGET: Rules = Rules {
    validate: |budget, errors| {
        let empty = Node::new();
        let spec = child(&budget.0, "spec").unwrap_or(&empty);
        if spec.contains_key("minAvailable") && spec.contains_key("maxUnavailable") {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.invalid("spec", Value::Object(spec.clone()), detail);
        }
        selector(spec.get("selector"), "spec.selector", errors);
    },
    generation: true,
    status: true,
    unconditional_update: false,
    ..Rules::NAMED
};
