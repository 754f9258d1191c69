//! Which toleration tolerates which taint.

use super::*;

fn taint(key: &str, value: &str, effect: &str) -> Taint {
    Taint {
        key: key.into(),
        value: Some(value.into()),
        effect: effect.into(),
        time_added: None,
    }
}

fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Toleration {
        key: text(key),
        operator: text(operator),
        value: text(value),
        effect: text(effect),
        toleration_seconds: None,
    }
}

#[test]
fn tolerations_match_taints_as_upstream_does() {
    let spot = || taint("spot", "yes", "NoSchedule");
    for (toleration, taint, expected) in [
        (toleration("spot", "Exists", "", ""), spot(), true),
        (toleration("spot", "Exists", "", "NoExecute"), spot(), false),
        (toleration("spot", "Equal", "yes", "NoSchedule"), spot(), true),
        (toleration("spot", "", "yes", ""), spot(), true),
        (toleration("spot", "", "no", ""), spot(), false),
        (toleration("other", "Exists", "", ""), spot(), false),
        (toleration("", "Exists", "", ""), spot(), true),
        (toleration("", "", "", ""), spot(), false),
        (toleration("", "", "yes", ""), spot(), true),
        (toleration("spot", "In", "yes", ""), spot(), false),
        (
            toleration("sla", "Gt", "900", ""),
            taint("sla", "950", "NoSchedule"),
            true,
        ),
        (
            toleration("sla", "Lt", "900", ""),
            taint("sla", "950", "NoSchedule"),
            false,
        ),
        (
            toleration("sla", "Lt", "many", ""),
            taint("sla", "950", "NoSchedule"),
            false,
        ),
    ] {
        assert_eq!(tolerates(&toleration, &taint), expected, "{toleration:?} and {taint:?}");
    }
}

#[test]
fn the_first_taint_that_nothing_tolerates_is_named() {
    let taints = [
        taint("soft", "", "PreferNoSchedule"),
        taint("a", "", "NoSchedule"),
        taint("b", "", "NoExecute"),
    ];
    let tolerations = [toleration("a", "Exists", "", "")];
    let found = first_untolerated(&taints, &tolerations, &[Effect::NoSchedule, Effect::NoExecute]);
    assert_eq!(found.map(|taint| taint.key.as_str()), Some("b"));
    assert_eq!(first_untolerated(&taints, &tolerations, &[Effect::NoSchedule]), None);
}
