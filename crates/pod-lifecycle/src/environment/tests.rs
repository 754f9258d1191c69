//! Environments of containers, and the errors that hold one back.

use super::*;

fn check(container: &str, expected: Result<&str, &str>) {
    let pod: Pod =
        serde_json::from_str(r#"{"metadata":{"name":"p","namespace":"n"},"spec":{"containers":[]}}"#).unwrap();
    let container: Container = serde_json::from_str(container).unwrap();
    let objects = Objects {
        config_maps: [(
            "m".to_owned(),
            serde_json::from_str(r#"{"data":{"a":"1","b":"$(X)","bad=":"2"}}"#).unwrap(),
        )]
        .into(),
        secrets: [(
            "s".to_owned(),
            serde_json::from_str(r#"{"data":{"k":"dg=="}}"#).unwrap(),
        )]
        .into(),
    };
    let services = [("WEB_SERVICE_HOST".to_owned(), "10.1.1.1".to_owned())].into();
    let sources = Sources {
        pod: &pod,
        objects: &objects,
        services: &services,
        addresses: &Addresses::default(),
        node: &BTreeMap::new(),
    };
    let found = variables(&container, &sources)
        .map(|list| {
            list.iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .map_err(|error| error.to_string());
    assert_eq!(
        found,
        expected.map(str::to_owned).map_err(str::to_owned),
        "{container:?}"
    );
}

#[test]
fn variables_see_those_before_them() {
    check(
        r#"{"name":"c","env":[{"name":"X","value":"x"},{"name":"Y","value":"$(X)$(WEB_SERVICE_HOST)$(Z)"},{"name":"Z"},{"name":"P","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]}"#,
        Ok("X=x Y=x10.1.1.1$(Z) Z= P=p WEB_SERVICE_HOST=10.1.1.1"),
    );
}

#[test]
fn maps_and_secrets_are_imported_and_overridden() {
    check(
        r#"{"name":"c","envFrom":[{"configMapRef":{"name":"m"},"prefix":"M_"},{"secretRef":{"name":"s"}},{"configMapRef":{"name":"none","optional":true}}],"env":[{"name":"M_a","value":"over"},{"name":"WEB_SERVICE_HOST","value":"mine"}]}"#,
        Ok("M_a=over M_b=$(X) k=v WEB_SERVICE_HOST=mine"),
    );
}

#[test]
fn what_is_missing_is_named() {
    let one = |source: &str| format!(r#"{{"name":"c","env":[{{"name":"A","valueFrom":{source}}}]}}"#);
    check(
        &one(r#"{"configMapKeyRef":{"name":"m","key":"zz"}}"#),
        Err("couldn't find key zz in ConfigMap n/m"),
    );
    check(
        &one(r#"{"configMapKeyRef":{"name":"x","key":"zz"}}"#),
        Err("configmap \"x\" not found"),
    );
    check(
        &one(r#"{"secretKeyRef":{"name":"s","key":"zz"}}"#),
        Err("couldn't find key zz in Secret n/s"),
    );
    check(
        &one(r#"{"secretKeyRef":{"name":"x","key":"zz","optional":true}}"#),
        Ok("WEB_SERVICE_HOST=10.1.1.1"),
    );
    check(
        r#"{"name":"c","envFrom":[{"secretRef":{"name":"x"}}]}"#,
        Err("secret \"x\" not found"),
    );
}
