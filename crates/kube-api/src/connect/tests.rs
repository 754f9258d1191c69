//! Table tests of containers, ports and parameters.

use super::locate::*;
use super::*;

fn pod(json: &str) -> Pod {
    serde_json::from_str(json).unwrap()
}

fn query(text: &str) -> Vec<(String, String)> {
    crate::api::query_pairs(text)
}

#[test]
fn containers_are_chosen_with_upstreams_messages() {
    let one = pod(r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}],"initContainers":[{"name":"i"}]}}"#);
    let two = pod(
        r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"},{"name":"b"}],"initContainers":[{"name":"i"}]}}"#,
    );
    assert_eq!(container(&one, "").unwrap(), "a");
    assert_eq!(container(&one, "i").unwrap(), "i");
    assert_eq!(
        container(&one, "x").unwrap_err().message(),
        "container x is not valid for pod p"
    );
    assert_eq!(
        container(&two, "").unwrap_err().message(),
        "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
    );
    let done = pod(r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Failed"}}"#);
    assert_eq!(
        running_container(&done, "").unwrap_err().message(),
        "cannot exec into a container in a completed pod; current phase is Failed"
    );
}

#[test]
fn parameters_are_spelt_as_agents_do() {
    let asked = query("command=sh&command=-c&command=echo+a%26b&container=c&stdin=true&stdout=true&tty=false");
    assert_eq!(
        stream_query(&asked),
        "input=1&output=1&command=sh&command=%2Dc&command=echo%20a%26b"
    );
    assert_eq!(port_query(&query("ports=80&ports=8080&pretty=true")), "port=80%2C8080");
    assert_eq!(port_query(&query("")), "");
    assert_eq!(
        log_query(&query("container=c&follow=true&tailLines=5")),
        "follow=true&tailLines=5"
    );
}

#[test]
fn log_options_are_checked() {
    assert!(check_log_options(&query("tailLines=0&follow=true"), "p").is_ok());
    let error = check_log_options(&query("tailLines=-1"), "p").unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (
            422,
            "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"
        )
    );
    assert_eq!(check_log_options(&query("tailLines=x"), "p").unwrap_err().code(), 400);
    assert_eq!(
        check_log_options(&query("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z"), "p")
            .unwrap_err()
            .code(),
        422
    );
}

#[test]
fn proxy_names_have_optional_scheme_and_port() {
    for (text, scheme, name, port) in [
        ("web", "", "web", ""),
        ("web:80", "", "web", "80"),
        ("https:web:443", "https", "web", "443"),
        ("http:web:", "http", "web", ""),
    ] {
        assert_eq!(
            ProxyName::parse(text, "services").unwrap(),
            ProxyName { scheme, name, port }
        );
    }
    for text in ["", "ftp:web:21", ":80", "a:b:c:d"] {
        let refused = ProxyName::parse(text, "services").unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (400, format!("invalid service request {text:?}").as_str())
        );
    }
}

#[test]
fn addresses_come_from_status() {
    let node: Node = serde_json::from_str(
        r#"{"status":{"addresses":[{"type":"Hostname","address":"n"},{"type":"InternalIP","address":"10.0.0.5"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10251}}}}"#,
    )
    .unwrap();
    assert_eq!(locate::agent_address(&node).unwrap().to_string(), "10.0.0.5:10251");
    let with_port =
        pod(r#"{"spec":{"containers":[{"name":"a","ports":[{"containerPort":8080}]}]},"status":{"podIP":"10.0.0.6"}}"#);
    assert_eq!(
        pod_address(&with_port, &ProxyName::parse("p", "pods").unwrap())
            .unwrap()
            .to_string(),
        "10.0.0.6:8080"
    );
    assert_eq!(
        pod_address(&with_port, &ProxyName::parse("p:90", "pods").unwrap())
            .unwrap()
            .to_string(),
        "10.0.0.6:90"
    );
}
