//! Pods and what upstream says about them.

use super::*;

/// A pod's spec as JSON, the level, and the sentence.
fn violation(level: &str, spec: &str) -> String {
    let spec: PodSpec = serde_json::from_str(spec).unwrap();
    let labels = [("pod-security.kubernetes.io/enforce".to_owned(), level.to_owned())];
    let policy = Policy::of_labels(&labels.into_iter().collect());
    policy.enforce.violation(&BTreeMap::new(), &spec).unwrap_or_default()
}

const PLAIN: &str = r#"{"containers":[{"name":"a","image":"i"}]}"#;

#[test]
fn an_ordinary_pod_is_baseline_and_not_restricted() {
    assert_eq!(violation("privileged", PLAIN), "");
    assert_eq!(violation("baseline", PLAIN), "");
    assert_eq!(
        violation("restricted", PLAIN),
        "\"restricted:latest\": allowPrivilegeEscalation != false (container \"a\" must set \
         securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"a\" must set \
         securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"a\" must set \
         securityContext.runAsNonRoot=true), seccompProfile (pod or container \"a\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
}

#[test]
fn a_careful_pod_is_restricted() {
    let spec = r#"{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
        "containers":[{"name":"a","image":"i","securityContext":{"allowPrivilegeEscalation":false,
            "capabilities":{"drop":["ALL"],"add":["NET_BIND_SERVICE"]}}}],
        "volumes":[{"name":"v","emptyDir":{}}]}"#;
    assert_eq!(violation("restricted", spec), "");
}

#[test]
fn each_rule_of_baseline_has_its_words() {
    for (spec, wanted) in [
        (
            r#"{"hostNetwork":true,"hostPID":true,"containers":[]}"#,
            "host namespaces (hostNetwork=true, hostPID=true)",
        ),
        (
            r#"{"containers":[{"name":"a","securityContext":{"privileged":true}},
                {"name":"b","securityContext":{"privileged":true}}]}"#,
            "privileged (containers \"a\", \"b\" must not set securityContext.privileged=true)",
        ),
        (
            r#"{"containers":[{"name":"a","securityContext":{"capabilities":{"add":["NET_ADMIN"]}}}]}"#,
            "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in \
             securityContext.capabilities.add)",
        ),
        (
            r#"{"containers":[],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#,
            "hostPath volumes (volume \"v\")",
        ),
        (
            r#"{"containers":[{"name":"a","ports":[{"containerPort":80,"hostPort":8080}]}]}"#,
            "hostPort (container \"a\" uses hostPort 8080)",
        ),
        (
            r#"{"containers":[{"name":"a","securityContext":{"seccompProfile":{"type":"Unconfined"}}}]}"#,
            "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            r#"{"containers":[],"securityContext":{"sysctls":[{"name":"kernel.msgmax","value":"1"}]}}"#,
            "forbidden sysctls (kernel.msgmax)",
        ),
    ] {
        assert_eq!(
            violation("baseline", spec),
            format!("\"baseline:latest\": {wanted}"),
            "{spec}"
        );
    }
}
