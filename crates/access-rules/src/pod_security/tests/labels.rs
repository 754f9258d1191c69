//! What labels mean, which updates matter, and what is said of pods that are there already.

use super::*;

fn read(labels: &[(&str, &str)]) -> (String, Vec<String>) {
    let labels = labels
        .iter()
        .map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), (*value).to_owned()));
    let (policy, errors) = Policy::of_labels(&labels.collect());
    let shown = |error: &LabelError| format!("{}={}: {}", error.label, error.value, error.problem);
    (
        format!("{} {} {}", policy.enforce, policy.audit, policy.warn),
        errors.iter().map(shown).collect(),
    )
}

#[test]
fn labels_name_a_standard_for_each_purpose() {
    for (labels, wanted) in [
        (&[][..], "privileged:latest privileged:latest privileged:latest"),
        (
            &[("enforce", "baseline")],
            "baseline:latest privileged:latest baseline:latest",
        ),
        (
            &[("warn", "restricted")],
            "privileged:latest privileged:latest restricted:latest",
        ),
        (
            &[("audit", "baseline")],
            "privileged:latest baseline:latest privileged:latest",
        ),
        (
            &[("enforce", "baseline"), ("warn", "restricted")],
            "baseline:latest privileged:latest restricted:latest",
        ),
        (
            &[("enforce", "restricted"), ("warn", "baseline")],
            "restricted:latest privileged:latest baseline:latest",
        ),
        (
            &[("enforce", "baseline"), ("enforce-version", "v1.22")],
            "baseline:v1.22 privileged:latest baseline:v1.22",
        ),
        (
            &[
                ("enforce", "baseline"),
                ("enforce-version", "v1.22"),
                ("warn-version", "latest"),
            ],
            "baseline:v1.22 privileged:latest baseline:latest",
        ),
        (
            &[("enforce", "baseline"), ("warn-version", "v1.23")],
            "baseline:latest privileged:latest baseline:v1.23",
        ),
        (
            &[("enforce", "baseline"), ("warn", "privileged")],
            "baseline:latest privileged:latest privileged:latest",
        ),
        (
            &[("enforce-version", "v1.9")],
            "privileged:v1.9 privileged:latest privileged:latest",
        ),
        (
            &[
                ("enforce", "baseline"),
                ("enforce-version", "v1.1000"),
                ("audit-version", "v1.0"),
            ],
            "baseline:v1.1000 privileged:v1.0 baseline:v1.1000",
        ),
    ] {
        assert_eq!(read(labels), (wanted.to_owned(), Vec::new()), "{labels:?}");
    }
}

#[test]
fn a_wrong_label_is_the_strictest_where_pods_are_refused_and_nothing_elsewhere() {
    let level = "must be one of privileged, baseline, restricted";
    let version = "must be \"latest\" or \"v1.x\"";
    let error =
        |label: &str, value: &str, problem: &str| format!("pod-security.kubernetes.io/{label}={value}: {problem}");
    let (policy, errors) = read(&[("enforce", "strict")]);
    assert_eq!(policy, "restricted:latest privileged:latest privileged:latest");
    assert_eq!(errors, [error("enforce", "strict", level)]);
    let (policy, errors) = read(&[
        ("warn-version", "v1.01"),
        ("warn", "Baseline"),
        ("audit-version", "1.20"),
        ("audit", ""),
        ("enforce-version", "v2.0"),
        ("enforce", "baseline"),
    ]);
    assert_eq!(policy, "baseline:latest privileged:latest privileged:latest");
    assert_eq!(
        errors,
        [
            error("enforce-version", "v2.0", version),
            error("audit", "", level),
            error("audit-version", "1.20", version),
            error("warn", "Baseline", level),
            error("warn-version", "v1.01", version),
        ]
    );
    for wrong in [
        "",
        "v1",
        "v1.",
        "v1.+1",
        "v1.1.0",
        "v1.x",
        "V1.1",
        "v1.9223372036854775808",
        "v1.00",
    ] {
        assert_eq!(read(&[("warn-version", wrong)]).1.len(), 1, "{wrong}");
    }
    assert_eq!(read(&[("warn-version", "v1.9223372036854775807")]).1.len(), 0);
}

#[test]
fn pods_are_looked_at_again_when_more_is_asked_for() {
    let standard = |level, version| Standard { level, version };
    let (old, new) = (Version::Minor(20), Version::Latest);
    for (before, after, again) in [
        (standard(Level::Privileged, new), standard(Level::Baseline, new), true),
        (standard(Level::Baseline, new), standard(Level::Restricted, new), true),
        (standard(Level::Restricted, new), standard(Level::Baseline, new), false),
        (standard(Level::Baseline, new), standard(Level::Baseline, new), false),
        (standard(Level::Baseline, old), standard(Level::Baseline, new), true),
        (standard(Level::Baseline, new), standard(Level::Baseline, old), true),
        (standard(Level::Restricted, old), standard(Level::Baseline, new), true),
        (standard(Level::Baseline, old), standard(Level::Privileged, new), false),
    ] {
        assert_eq!(after.asks_more_than(&before), again, "{before} to {after}");
    }
}

#[test]
fn only_containers_and_images_are_significant() {
    let old = r#"{"initContainers":[{"name":"i","image":"1"}],"containers":[{"name":"a","image":"1"}],
        "ephemeralContainers":[{"name":"e","image":"1"},{"name":"f","image":"1"}]}"#;
    let read = |text: &str| -> PodSpec { serde_json::from_str(text).unwrap() };
    for (from, to, significant) in [
        ("", "", false),
        (
            r#"{"initC"#,
            r#"{"nodeName":"n","activeDeadlineSeconds":5,"initC"#,
            false,
        ),
        (r#""a","image":"1""#, r#""a","image":"2""#, true),
        (r#""i","image":"1""#, r#""i","image":"2""#, true),
        (r#""f","image":"1""#, r#""f","image":"2""#, true),
        (r#","image":"1"}],"#, r#","image":"1"},{"name":"b"}],"#, true),
        (r#"[{"name":"e","image":"1"},"#, "[", false),
        (r#"[{"name":"e""#, r#"[{"name":"g","image":"1"},{"name":"e""#, true),
        (
            r#"{"name":"e","image":"1"},{"name":"f","image":"1"}"#,
            r#"{"name":"f","image":"1"},{"name":"e","image":"1"}"#,
            false,
        ),
        (
            r#""name":"a","image":"1""#,
            r#""name":"a","image":"1","resources":{"limits":{"cpu":"1"}}"#,
            false,
        ),
    ] {
        let new = old.replacen(from, to, 1);
        assert_eq!(is_significant_update(&read(old), &read(&new)), significant, "{new}");
    }
}

#[test]
fn pods_that_are_there_are_counted_by_what_they_break() {
    let pod = |name: &str, spec: &str| ExistingPod {
        name: name.to_owned(),
        annotations: BTreeMap::new(),
        spec: serde_json::from_str(spec).unwrap(),
    };
    let network = r#"{"hostNetwork":true,"containers":[]}"#;
    let both = r#"{"hostNetwork":true,"containers":[{"name":"a","securityContext":{"privileged":true}}]}"#;
    let process = r#"{"hostPID":true,"containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":1}]}]}"#;
    let baseline = Standard {
        level: Level::Baseline,
        version: Version::Latest,
    };
    let pods = [
        pod("m", network),
        pod("good", r#"{"containers":[]}"#),
        pod("d", both),
        pod("b", network),
        pod("c", network),
        pod("a", process),
        pod("z", process),
    ];
    let header = "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"";
    let lines = [
        "a (and 1 other pod): host namespaces, hostPort",
        "b (and 2 other pods): host namespaces",
        "d: host namespaces, privileged",
    ];
    assert_eq!(
        baseline.warnings_of_existing("ns", &pods, pods.len()),
        [&[header][..], &lines].concat()
    );
    let first = "new PodSecurity enforce level only checked against the first 2 of 9 existing pods";
    assert_eq!(
        baseline.warnings_of_existing("ns", &pods[..2], 9),
        [first, header, "m: host namespaces"]
    );
    assert_eq!(baseline.warnings_of_existing("ns", &pods[1..2], 3).len(), 1);
    assert_eq!(baseline.warnings_of_existing("ns", &pods[1..2], 1), [""; 0]);
}

#[test]
fn one_pod_of_each_controller_comes_first() {
    let pods = vec![("a", "x"), ("b", "x"), ("c", ""), ("d", "y"), ("e", "x"), ("f", "")];
    let controller = |pod: &(&str, &str)| Some(pod.1.to_owned()).filter(|uid| !uid.is_empty());
    let names: Vec<&str> = one_of_each_controller_first(pods, controller)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["a", "c", "d", "f", "b", "e"]);
}
