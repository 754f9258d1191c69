//! Pods, and what upstream says about them at each version. What is expected was compared with upstream's own evaluator.

mod labels;
mod pods;

use super::*;

/// The security context that no check of the level restricted has anything against, with some fields of its own.
fn careful(own: &str) -> String {
    let fields = [
        ("allowPrivilegeEscalation", "false"),
        ("runAsNonRoot", "true"),
        ("capabilities", r#"{"drop":["ALL"]}"#),
        ("seccompProfile", r#"{"type":"RuntimeDefault"}"#),
    ];
    let kept = fields
        .into_iter()
        .filter(|(name, _)| !own.contains(&format!("\"{name}\"")));
    let kept = kept.map(|(name, value)| format!("\"{name}\":{value}"));
    let own = Some(own.to_owned()).filter(|own| !own.is_empty());
    format!("{{{}}}", kept.chain(own).collect::<Vec<_>>().join(","))
}

/// A container with a careful security context.
fn container(name: &str, own: &str) -> String {
    format!(r#"{{"name":"{name}","securityContext":{}}}"#, careful(own))
}

/// The violations at each version, as the version from which on it is so and the text; `latest` is the last.
fn told(level: Level, annotations: &[(&str, &str)], spec: &str) -> Vec<(u64, String)> {
    let spec: PodSpec = serde_json::from_str(spec).unwrap();
    let annotations = annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let annotations: BTreeMap<String, String> = annotations.collect();
    let at = |version| {
        let violations = Standard { level, version }.violations(&annotations, &spec);
        violations.map(|violations| violations.details()).unwrap_or_default()
    };
    let mut changes: Vec<(u64, String)> = Vec::new();
    for minor in 0..=36 {
        let now = at(Version::Minor(minor));
        if changes.last().is_none_or(|(_, before)| *before != now) {
            changes.push((minor, now));
        }
    }
    for newer in [Version::Minor(37), Version::Minor(1000), Version::Latest] {
        assert_eq!(at(newer), at(Version::Minor(36)), "{newer}");
    }
    changes
}

#[track_caller]
fn check(level: Level, annotations: &[(&str, &str)], spec: &str, wanted: &[(u64, &str)]) {
    let wanted: Vec<(u64, String)> = wanted
        .iter()
        .map(|(since, text)| (*since, (*text).to_owned()))
        .collect();
    assert_eq!(told(level, annotations, spec), wanted, "{level}: {spec}");
}

#[track_caller]
fn baseline(spec: &str, wanted: &[(u64, &str)]) {
    check(Level::Baseline, &[], spec, wanted);
}

#[track_caller]
fn restricted(spec: &str, wanted: &[(u64, &str)]) {
    check(Level::Restricted, &[], spec, wanted);
}

#[test]
fn checks_are_told_by_level_and_name_and_each_has_its_own() {
    let key = |row: &checks::Row| (row.level, row.id);
    assert!(checks::ROWS.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
    for row in checks::ROWS {
        assert!(
            row.forms.windows(2).all(|pair| pair[0].0 < pair[1].0) && !row.forms.is_empty(),
            "{}",
            row.id
        );
        let stricter = row
            .overrides
            .map(|id| checks::ROWS.iter().find(|other| other.id == id).unwrap());
        assert!(stricter.is_none_or(|other| row.level == Level::Restricted && other.level == Level::Baseline));
    }
}

#[test]
fn everything_is_allowed_to_the_privileged() {
    let spec = r#"{"hostNetwork":true,"containers":[{"name":"a","securityContext":{"privileged":true}}]}"#;
    check(Level::Privileged, &[], spec, &[(0, "")]);
}

#[test]
fn an_ordinary_pod_is_baseline_and_with_the_years_less_restricted() {
    let spec = r#"{"containers":[{"name":"a","image":"i"}]}"#;
    let escalation = "allowPrivilegeEscalation != false (container \"a\" must set \
        securityContext.allowPrivilegeEscalation=false)";
    let capabilities = "unrestricted capabilities (container \"a\" must set \
        securityContext.capabilities.drop=[\"ALL\"])";
    let root = "runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true)";
    let seccomp = "seccompProfile (pod or container \"a\" must set securityContext.seccompProfile.type to \
        \"RuntimeDefault\" or \"Localhost\")";
    baseline(spec, &[(0, "")]);
    restricted(
        spec,
        &[
            (0, root),
            (8, &[escalation, root].join(", ")),
            (19, &[escalation, root, seccomp].join(", ")),
            (22, &[escalation, capabilities, root, seccomp].join(", ")),
        ],
    );
}

#[test]
fn a_violation_has_its_sentence_and_its_reasons() {
    let standard = Standard {
        level: Level::Baseline,
        version: Version::Minor(30),
    };
    let spec = PodSpec {
        host_network: Some(true),
        host_pid: Some(true),
        volumes: Some(vec![k8s_openapi::api::core::v1::Volume {
            name: "v".to_owned(),
            host_path: Some(Default::default()),
            ..Default::default()
        }]),
        ..PodSpec::default()
    };
    let violations = standard.violations(&BTreeMap::new(), &spec).unwrap();
    assert_eq!(violations.reasons(), "host namespaces, hostPath volumes");
    assert_eq!(
        standard.sentence(&violations),
        "PodSecurity \"baseline:v1.30\": host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume \
         \"v\")"
    );
}
