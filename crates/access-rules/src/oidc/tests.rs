//! Which tokens hold, and whom they name.

use super::*;

fn provider() -> Provider {
    Provider {
        issuer_url: "https://id.test".to_owned(),
        client_id: "cluster".to_owned(),
        username_claim: None,
        username_prefix: None,
        groups_claim: Some("groups".to_owned()),
        groups_prefix: Some("oidc:".to_owned()),
        required_claims: BTreeMap::new(),
        authority_pem: None,
    }
}

fn user(provider: &Provider, changed: &str) -> Result<User, OidcError> {
    let mut claims: Claims = serde_json::from_str(
        r#"{"iss":"https://id.test","aud":["other","cluster"],"exp":2000000000,"nbf":1,"sub":"42","email":"a@b",
            "groups":["dev","ops"],"team":"core"}"#,
    )
    .unwrap();
    claims.extend(serde_json::from_str::<Claims>(changed).unwrap());
    claims.retain(|_, claim| *claim != Claim::Nothing);
    provider.user(&claims, Timestamp::from_second(1_900_000_000).unwrap())
}

#[test]
fn claims_name_the_user_and_the_groups() {
    let found = user(&provider(), "{}").unwrap();
    assert_eq!(found.name, "https://id.test#42");
    assert_eq!(found.groups, ["oidc:dev", "oidc:ops", "system:authenticated"]);
    let named = |claim: &str, prefix: Option<&str>| Provider {
        username_claim: Some(claim.to_owned()),
        username_prefix: prefix.map(str::to_owned),
        ..provider()
    };
    for (claim, prefix, name) in [
        ("email", None, "a@b"),
        ("email", Some("mail:"), "mail:a@b"),
        ("sub", Some("-"), "42"),
        ("team", None, "https://id.test#core"),
    ] {
        assert_eq!(user(&named(claim, prefix), "{}").unwrap().name, name);
    }
    let one = user(&provider(), r#"{"groups":"dev"}"#).unwrap();
    assert_eq!(one.groups, ["oidc:dev", "system:authenticated"]);
}

#[test]
fn a_token_that_does_not_hold_is_refused_with_the_reason() {
    let required = Provider {
        required_claims: BTreeMap::from([("team".to_owned(), "core".to_owned())]),
        ..provider()
    };
    let mail = Provider {
        username_claim: Some("email".to_owned()),
        ..provider()
    };
    for (provider, changed, problem) in [
        (&required, "{}", ""),
        (
            &required,
            r#"{"team":"edge"}"#,
            "oidc: required claim team value does not match. Got = edge, want = core",
        ),
        (
            &required,
            r#"{"team":null}"#,
            "oidc: parse required claim \"team\": claim not present",
        ),
        (
            &required,
            r#"{"sub":7}"#,
            "oidc: parse username claims \"sub\": not a text",
        ),
        (
            &required,
            r#"{"iss":"https://other"}"#,
            "oidc: token was issued by \"https://other\"",
        ),
        (
            &required,
            r#"{"aud":"other"}"#,
            "oidc: verify token: expected audience \"cluster\" got [\"other\"]",
        ),
        (
            &required,
            r#"{"exp":1900000000}"#,
            "oidc: verify token: token is expired (Token Expiry: 2030-03-17T17:46:40Z)",
        ),
        (&required, r#"{"exp":null}"#, "oidc: verify token: exp is no time"),
        (
            &required,
            r#"{"nbf":1900000301}"#,
            "oidc: verify token: current time before the nbf (not before) time",
        ),
        (&mail, r#"{"email_verified":false}"#, "oidc: email not verified"),
        (&mail, r#"{"email_verified":true}"#, ""),
    ] {
        let said = user(provider, changed).err().map(|error| error.to_string());
        assert_eq!(said.unwrap_or_default(), problem, "{changed}");
    }
}
