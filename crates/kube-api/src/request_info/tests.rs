//! Table tests of the reading of paths.

use super::*;

fn read(line: &str) -> RequestInfo {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
    RequestInfo::read(&method.parse().unwrap(), path, &query)
}

/// Request line | verb group namespace resource name subresource rest, with `-` for what is absent.
const RESOURCES: &[&str] = &[
    "GET /api/v1/pods | list - - pods - - -",
    "GET /api/v1/pods?watch=true | watch - - pods - - -",
    "GET /api/v1/pods?watch=0 | list - - pods - - -",
    "GET /api/v1/watch/namespaces/a/pods | watch - a pods - - -",
    "GET /api/v1/watch/namespaces/a/pods/p | watch - a pods p - -",
    "GET /api/v1/namespaces | list - - namespaces - - -",
    "GET /api/v1/namespaces/a | get - a namespaces a - -",
    "PUT /api/v1/namespaces/a/finalize | update - a namespaces a finalize -",
    "PATCH /api/v1/namespaces/a/status | patch - a namespaces a status -",
    "DELETE /api/v1/namespaces/a/pods | deletecollection - a pods - - -",
    "DELETE /api/v1/namespaces/a/pods/p | delete - a pods p - -",
    "POST /apis/apps/v1/namespaces/a/deployments | create apps a deployments - - -",
    "GET /apis/apps/v1/namespaces/a/deployments/d/scale | get apps a deployments d scale -",
    "GET /api/v1/namespaces/a/pods/p:80/proxy/x/y/ | get - a pods p:80 proxy /x/y/",
    "GET /api/v1/nodes/n/proxy/ | get - - nodes n proxy /",
    "GET /api/v1/pods?fieldSelector=metadata.name=x | list - - pods x - -",
    "GET /api/v1/namespaces/a/services/https:s:web/proxy | get - a services https:s:web proxy -",
];

#[test]
fn paths_are_read_as_upstream_reads_them() {
    for row in RESOURCES {
        let (line, wanted) = row.split_once(" | ").unwrap();
        let info = read(line);
        let parts = [
            &info.verb,
            &info.group,
            &info.namespace,
            &info.resource,
            &info.name,
            &info.subresource,
            &info.rest,
        ];
        let seen: Vec<&str> = parts
            .iter()
            .map(|part| if part.is_empty() { "-" } else { part.as_str() })
            .collect();
        assert_eq!(seen.join(" "), wanted, "{line}");
        assert!(info.is_resource, "{line}");
    }
}

#[test]
fn what_is_no_resource_keeps_path_and_method() {
    for (line, verb) in [
        ("GET /", "get"),
        ("GET /api", "get"),
        ("GET /api/v1", "get"),
        ("GET /apis/apps/v1", "get"),
        ("POST /healthz", "post"),
        ("GET /openapi/v3/api/v1", "get"),
    ] {
        let info = read(line);
        assert!(!info.is_resource && info.verb == verb, "{line}: {info:?}");
    }
}

#[test]
fn a_selected_name_is_authorized_but_does_not_make_an_object_request() {
    let info = read("GET /api/v1/namespaces/a/secrets?fieldSelector=metadata.name=x");
    assert_eq!(
        (info.name.as_str(), info.names_object(), info.scope()),
        ("x", false, "namespace")
    );
    let info = read("GET /api/v1/pods?watch=1&fieldSelector=metadata.name=x");
    assert_eq!((info.name.as_str(), info.names_object()), ("x", false));
    assert!(read("GET /api/v1/watch/namespaces/a/pods/x").names_object());
    assert!(read("GET /api/v1/pods?watch=1").is_long_running());
    assert!(read("GET /api/v1/namespaces/a/pods/p/log").is_long_running());
    assert!(!read("GET /api/v1/namespaces/a/pods/p").is_long_running());
}
