//! When claims hold and whom they make.

use super::*;

fn claims() -> Claims {
    Claims {
        aud: vec!["https://kubernetes.default.svc".into(), "vault".into()],
        exp: 2000,
        iat: 1000,
        iss: "https://issuer".into(),
        jti: "id-1".into(),
        kubernetes: Kubernetes {
            namespace: "ns".into(),
            pod: Some(Reference {
                name: "p".into(),
                uid: "pu".into(),
            }),
            node: Some(Reference {
                name: "n".into(),
                uid: String::new(),
            }),
            secret: None,
            serviceaccount: Reference {
                name: "sa".into(),
                uid: "su".into(),
            },
        },
        nbf: 1000,
        sub: "system:serviceaccount:ns:sa".into(),
    }
}

fn check(claims: &Claims, audience: &str, now: i64) -> Result<Vec<String>, ClaimsError> {
    claims.check(
        "https://issuer",
        &[audience.to_owned()],
        Timestamp::from_second(now).unwrap(),
    )
}

#[test]
fn issuer_time_subject_and_audience_are_checked() {
    let good = claims();
    assert_eq!(check(&good, "vault", 1500), Ok(vec!["vault".to_owned()]));
    assert_eq!(check(&good, "vault", 2011), Err(ClaimsError::Expired));
    assert_eq!(check(&good, "vault", 989), Err(ClaimsError::NotYetValid));
    assert!(matches!(check(&good, "other", 1500), Err(ClaimsError::Audience { .. })));
    let issuer = Claims {
        iss: "https://elsewhere".into(),
        ..claims()
    };
    assert!(matches!(
        check(&issuer, "vault", 1500),
        Err(ClaimsError::OtherIssuer(_))
    ));
    let subject = Claims {
        sub: "system:serviceaccount:ns:admin".into(),
        ..claims()
    };
    assert!(matches!(check(&subject, "vault", 1500), Err(ClaimsError::Subject(_))));
}

#[test]
fn the_user_has_upstreams_name_groups_and_extras() {
    let user = claims().user();
    assert_eq!(user.name, "system:serviceaccount:ns:sa");
    assert_eq!(user.uid.as_deref(), Some("su"));
    assert_eq!(
        user.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:ns",
            "system:authenticated"
        ]
    );
    assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=id-1"]);
    assert_eq!(user.extra["authentication.kubernetes.io/pod-uid"], ["pu"]);
    assert_eq!(user.extra["authentication.kubernetes.io/node-name"], ["n"]);
    assert!(!user.extra.contains_key("authentication.kubernetes.io/node-uid"));
}

#[test]
fn claims_are_written_as_upstream_writes_them() {
    let text = serde_json::to_string(&claims()).unwrap();
    assert!(
        text.contains(r#""kubernetes.io":{"namespace":"ns","node":{"name":"n","uid":""},"pod":{"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), claims());
}
