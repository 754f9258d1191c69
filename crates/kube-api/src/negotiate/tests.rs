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
    for (accept, form, yaml) in [
        ("application/json", Form::Object, false),
        ("*/*", Form::Object, false),
        ("application/yaml", Form::Object, true),
        (
            "application/vnd.kubernetes.protobuf,application/json",
            Form::Object,
            false,
        ),
        (
            TABLE,
            Form::Table {
                include: IncludeObject::Metadata,
            },
            false,
        ),
        (
            "application/json;as=Table;v=v7;g=meta.k8s.io,application/json",
            Form::Object,
            false,
        ),
        ("application/json;q=0.5,application/yaml", Form::Object, true),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Form::PartialObjectList,
            false,
        ),
        ("application/json;stream=watch", Form::Object, false),
    ] {
        let found = negotiate(&headers(accept), &[]).unwrap();
        assert_eq!((found.form, found.wire.yaml), (form, yaml), "{accept}");
    }
    let refused = negotiate(&headers("application/vnd.kubernetes.protobuf"), &[]).unwrap_err();
    assert_eq!(refused.code(), 406);
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
