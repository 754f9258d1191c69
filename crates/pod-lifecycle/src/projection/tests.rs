//! Files of volumes, and the errors that hold a pod in ContainerCreating.

use super::*;

fn check(volume: &str, expected: Result<&str, &str>) {
    check_for(r#"{"containers":[]}"#, volume, expected);
}

fn check_for(spec: &str, volume: &str, expected: Result<&str, &str>) {
    let json = format!(r#"{{"metadata":{{"name":"p","labels":{{"a":"b"}}}},"spec":{spec}}}"#);
    let pod: Pod = serde_json::from_str(&json).unwrap();
    let volume: Volume = serde_json::from_str(&format!(r#"{{"name":"v",{volume}}}"#)).unwrap();
    let objects = Objects {
        config_maps: [(
            "m".to_owned(),
            serde_json::from_str(r#"{"data":{"a":"1"},"binaryData":{"b":"Mg=="}}"#).unwrap(),
        )]
        .into(),
        secrets: [(
            "s".to_owned(),
            serde_json::from_str(r#"{"data":{"k":"dg=="}}"#).unwrap(),
        )]
        .into(),
    };
    let request = TokenRequest {
        audience: "sts".to_owned(),
        expiration_seconds: 600,
    };
    let tokens = [(request, Ok("ey".to_owned()))].into();
    let inputs = Inputs {
        pod: &pod,
        objects: &objects,
        tokens: &tokens,
        addresses: &Addresses::default(),
        node: &BTreeMap::new(),
    };
    let line = |(path, file): (&String, &File)| {
        format!(
            "{path}:{:o}:{}{}",
            file.mode,
            String::from_utf8_lossy(&file.data),
            file.owner.map(|uid| format!("@{uid}")).unwrap_or_default()
        )
    };
    let found = files(&volume, &inputs)
        .map(|files| files.iter().map(line).collect::<Vec<_>>().join(" "))
        .map_err(|error| error.to_string());
    assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{volume:?}");
}

#[test]
fn config_maps_and_secrets() {
    check(r#""configMap":{"name":"m"}"#, Ok("a:644:1 b:644:2"));
    check(
        r#""configMap":{"name":"m","defaultMode":256,"items":[{"key":"a","path":"x/y","mode":511}]}"#,
        Ok("x/y:777:1"),
    );
    check(
        r#""configMap":{"name":"m","items":[{"key":"zz","path":"x"}]}"#,
        Err("references non-existent config key: zz"),
    );
    check(r#""configMap":{"name":"none"}"#, Err("configmap \"none\" not found"));
    check(r#""configMap":{"name":"none","optional":true}"#, Ok(""));
    check(r#""secret":{"secretName":"s","defaultMode":256}"#, Ok("k:400:v"));
    check(
        r#""secret":{"secretName":"s","items":[{"key":"k","path":"../x"}]}"#,
        Err("invalid path: ../x"),
    );
}

#[test]
fn projected_sources() {
    let token = r#""projected":{"sources":[{"serviceAccountToken":{"path":"token","audience":"sts","expirationSeconds":600}},{"configMap":{"name":"m","items":[{"key":"a","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}}]}}]}"#;
    check(token, Ok("ca.crt:644:1 labels:644:a=\"b\" token:644:ey"));
    check_for(
        r#"{"securityContext":{"runAsUser":7},"containers":[{"name":"c"}]}"#,
        token,
        Ok("ca.crt:644:1 labels:644:a=\"b\" token:600:ey@7"),
    );
    check(
        r#""projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}"#,
        Err("failed to fetch token: not requested yet"),
    );
}
