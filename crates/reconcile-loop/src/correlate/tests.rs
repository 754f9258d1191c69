//! Repetitions are counted and floods are cut.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ObjectReference;

use super::*;

fn event(message: &str) -> EventRecord {
    let regarding = ObjectReference {
        name: Some("web".into()),
        ..ObjectReference::default()
    };
    EventRecord::warning(regarding, "FailedCreate", message)
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

#[test]
fn a_repetition_raises_the_count_of_the_first() {
    let mut correlator = Correlator::default();
    let Verdict::Create { name } = correlator.judge("c", &event("no"), start()) else {
        panic!("the first is new")
    };
    assert!(name.starts_with("web."), "{name}");
    let later = start() + SignedDuration::from_secs(60);
    let expected = Verdict::Count {
        name,
        count: 2,
        first: Time(start()),
    };
    assert_eq!(correlator.judge("c", &event("no"), later), expected);
    assert!(matches!(
        correlator.judge("c", &event("other"), later),
        Verdict::Create { .. }
    ));
}

#[test]
fn a_repetition_after_ten_minutes_is_a_new_event() {
    let mut correlator = Correlator::default();
    correlator.judge("c", &event("no"), start());
    let later = start() + SignedDuration::from_secs(601);
    assert!(matches!(
        correlator.judge("c", &event("no"), later),
        Verdict::Create { .. }
    ));
}

#[test]
fn more_than_a_burst_about_one_object_is_dropped_until_time_passes() {
    let mut correlator = Correlator::default();
    let verdicts: Vec<Verdict> = (0..30).map(|_| correlator.judge("c", &event("no"), start())).collect();
    assert_eq!(verdicts.iter().filter(|verdict| **verdict != Verdict::Drop).count(), 25);
    let later = start() + SignedDuration::from_secs(300);
    assert_ne!(correlator.judge("c", &event("no"), later), Verdict::Drop);
    assert_eq!(correlator.judge("c", &event("no"), later), Verdict::Drop);
}
