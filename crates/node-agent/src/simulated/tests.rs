//! How long containers of simulated nodes live.

use super::*;

fn check(pod: &str, container: &str, expected: Option<&str>) {
    let pod: Pod = serde_json::from_str(pod).unwrap();
    let found = spec::find(pod.spec.as_ref().unwrap(), container).unwrap().into_owned();
    assert_eq!(life(&pod, &found).map(|(_, seconds)| seconds).as_deref(), expected);
}

#[test]
fn what_is_meant_to_end_ends() {
    let service = r#"{"spec":{"initContainers":[{"name":"init"},{"name":"sidecar","restartPolicy":"Always"}],
        "containers":[{"name":"main"}]}}"#;
    check(service, "init", Some("0"));
    check(service, "sidecar", None);
    check(service, "main", None);
    let job = r#"{"spec":{"restartPolicy":"Never","containers":[{"name":"main"}]}}"#;
    check(job, "main", Some("0"));
    let long = r#"{"metadata":{"annotations":{"simulation.ondol.dev/runs-for-seconds":"60"}},
        "spec":{"restartPolicy":"OnFailure","containers":[{"name":"main"}]}}"#;
    check(long, "main", Some("60"));
}
