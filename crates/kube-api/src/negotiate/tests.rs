//! Table tests of `Accept`.

use http::HeaderValue;

use super::*;

fn headers(accept: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
    headers
}

#[test]
fn the_first_form_that_is_served_is_taken() {
    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    let table = Form::Table {
        include: IncludeObject::Metadata,
    };
    for (accept, form, written) in [
        ("application/json", Form::Object, Written::Json),
        ("*/*", Form::Object, Written::Json),
        ("application/yaml", Form::Object, Written::Yaml),
        (&format!("{PROTOBUF},application/json"), Form::Object, Written::Protobuf),
        ("application/cbor,application/json", Form::Object, Written::Json),
        (TABLE, table, Written::Json),
        (
            &format!("{PROTOBUF};as=Table;v=v1;g=meta.k8s.io,{TABLE}"),
            table,
            Written::Json,
        ),
        (
            "application/json;as=Table;v=v7;g=meta.k8s.io,application/json",
            Form::Object,
            Written::Json,
        ),
        ("application/json;q=0.5,application/yaml", Form::Object, Written::Yaml),
        (
            &format!("{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Form::PartialObjectList,
            Written::Protobuf,
        ),
        ("application/json;stream=watch", Form::Object, Written::Json),
    ] {
        let found = negotiate(&headers(accept), &[], ANYTHING).unwrap();
        assert_eq!((found.form, found.wire.written), (form, written), "{accept}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_what_could() {
    let offer = |protobuf, stream| Offer { protobuf, stream };
    for (accept, offer, message) in [
        (
            "application/cbor",
            ANYTHING,
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        ),
        (
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
            ANYTHING,
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        ),
        (
            "application/yaml,application/json",
            offer(true, true),
            "only the following media types are accepted: application/json;stream=watch, \
             application/vnd.kubernetes.protobuf;stream=watch",
        ),
        (
            "application/vnd.kubernetes.protobuf",
            offer(false, false),
            "only the following media types are accepted: application/json, application/yaml, \
             application/vnd.kubernetes.protobuf",
        ),
    ] {
        let refused = negotiate(&headers(accept), &[], offer).unwrap_err();
        assert_eq!((refused.code(), refused.message()), (406, message), "{accept}");
    }
    // A kind without a protobuf form is served in the next one that the client reads.
    let accept = headers("application/vnd.kubernetes.protobuf,application/json");
    let found = negotiate(&accept, &[], offer(false, false)).unwrap();
    assert_eq!(found.wire.written, Written::Json);
}

#[test]
fn aggregated_discovery_is_asked_for_by_version() {
    const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    for (accept, version) in [
        (format!("{V2},{BETA},application/json"), Some("v2")),
        (format!("{BETA},application/json"), Some("v2beta1")),
        ("application/json".to_owned(), None),
        (format!("application/json,{V2}"), None),
    ] {
        assert_eq!(aggregated_discovery(&headers(&accept)), version, "{accept}");
    }
}
