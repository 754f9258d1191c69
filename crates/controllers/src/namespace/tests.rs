//! A namespace is emptied in order and let go at the end.

use k8s_openapi::api::core::v1::{NamespaceSpec, NamespaceStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::*;

fn namespace(deleting: bool) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some("shop".into()),
            deletion_timestamp: deleting.then_some(Time(Timestamp::UNIX_EPOCH)),
            ..ObjectMeta::default()
        },
        spec: Some(NamespaceSpec {
            finalizers: Some(vec!["kubernetes".into()]),
        }),
        status: Some(NamespaceStatus {
            phase: Some("Active".into()),
            conditions: None,
        }),
    }
}

fn resource(plural: &str) -> ResourceName {
    ResourceName {
        group: String::new(),
        version: "v1".into(),
        plural: plural.into(),
        kind: String::new(),
    }
}

fn contents(counts: &[(&str, usize, usize)]) -> Contents {
    let remaining = counts.iter().map(|(plural, count, deleting)| {
        (
            resource(plural),
            Remaining {
                count: *count,
                deleting: *deleting,
                finalizers: BTreeMap::new(),
            },
        )
    });
    Contents {
        remaining: remaining.collect(),
        failures: BTreeMap::new(),
    }
}

/// The collections that a plan deletes, and whether it finalizes.
fn done(plan: &Plan) -> (Vec<&str>, bool) {
    let collections = plan.steps.iter().filter_map(|step| match &step.change {
        Change::DeleteCollection { resource, .. } => Some(resource.plural.as_str()),
        _ => None,
    });
    let finalizes = plan.steps.iter().any(|step| matches!(step.change, Change::Finalize(_)));
    (collections.collect(), finalizes)
}

#[test]
fn pods_go_before_everything_else_and_the_namespace_last() {
    let now = Timestamp::UNIX_EPOCH;
    let plan_for = |counts: &[(&str, usize, usize)]| plan_deletion(&namespace(true), &contents(counts), now);
    assert_eq!(
        done(&plan_for(&[("configmaps", 2, 0), ("pods", 3, 0)])),
        (vec!["pods"], false)
    );
    assert_eq!(
        done(&plan_for(&[("configmaps", 2, 0), ("pods", 3, 3)])),
        (vec![], false),
        "they are going"
    );
    assert_eq!(
        done(&plan_for(&[("configmaps", 2, 0), ("services", 1, 1)])),
        (vec!["configmaps"], false)
    );
    assert_eq!(done(&plan_for(&[("configmaps", 0, 0)])), (vec![], true));
    assert_eq!(plan_deletion(&namespace(false), &contents(&[]), now), Plan::nothing());
}

#[test]
fn what_remains_is_told() {
    let plan = plan_deletion(
        &namespace(true),
        &contents(&[("services", 1, 1)]),
        Timestamp::UNIX_EPOCH,
    );
    let Some(Change::UpdateStatus(plan::AnyObject::Namespace(told))) = plan.steps.last().map(|step| &step.change)
    else {
        panic!("the status is told: {plan:?}");
    };
    let conditions = told.status.as_ref().unwrap().conditions.as_ref().unwrap();
    let remaining = conditions
        .iter()
        .find(|condition| condition.type_ == "NamespaceContentRemaining")
        .unwrap();
    assert_eq!(
        remaining.message.as_deref(),
        Some("Some resources are remaining: services has 1 resource instances")
    );
}
