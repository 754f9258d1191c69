//! Policies as tables: document, request, answer.

use super::*;

fn facts(pairs: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::new();
    for (key, value) in pairs {
        facts.entry(key.to_lowercase()).or_default().push((*value).to_owned());
    }
    facts
}

fn statement(rest: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{{{rest}}}}}"#)
}

fn allows(rest: &str, action: &str, resource: &str, pairs: &[(&str, &str)]) -> bool {
    let document = Document::identity(&statement(rest)).expect(rest);
    let facts = facts(pairs);
    let request = Request {
        action,
        resource,
        facts: &facts,
    };
    verdict(&[document], &request) == Some(Effect::Allow)
}

const ARN: &str = "arn:aws:eks:r:1:cluster/a";

/// Statement, action, resource, whether it is allowed.
const ACTIONS: &[(&str, &str, &str, bool)] = &[
    (
        r#""Effect":"Allow","Action":"*","Resource":"*""#,
        "eks:ListClusters",
        "*",
        true,
    ),
    (
        r#""Effect":"Allow","Action":"eks:Describe*","Resource":"*""#,
        "eks:DescribeCluster",
        ARN,
        true,
    ),
    (
        r#""Effect":"Allow","Action":"EKS:describe*","Resource":"*""#,
        "eks:DescribeCluster",
        ARN,
        true,
    ),
    (
        r#""Effect":"Allow","Action":"eks:List?","Resource":"*""#,
        "eks:ListClusters",
        "*",
        false,
    ),
    (
        r#""Effect":"Allow","Action":["sts:*","eks:*"],"Resource":"arn:aws:eks:*:*:cluster/a""#,
        "eks:DeleteCluster",
        ARN,
        true,
    ),
    (
        r#""Effect":"Allow","Action":"eks:*","Resource":"arn:aws:eks:*:*:cluster/b""#,
        "eks:DeleteCluster",
        ARN,
        false,
    ),
    (
        r#""Effect":"Allow","NotAction":"iam:*","Resource":"*""#,
        "eks:DeleteCluster",
        ARN,
        true,
    ),
    (
        r#""Effect":"Allow","NotAction":"iam:*","Resource":"*""#,
        "iam:GetUser",
        "*",
        false,
    ),
    (
        r#""Effect":"Allow","Action":"*","NotResource":"arn:aws:eks:r:1:cluster/a""#,
        "eks:DeleteCluster",
        ARN,
        false,
    ),
    (
        r#""Effect":"Allow","Action":"*","NotResource":"arn:aws:eks:r:1:cluster/b""#,
        "eks:DeleteCluster",
        ARN,
        true,
    ),
];

#[test]
fn actions_and_resources_have_wildcards_and_opposites() {
    for (rest, action, resource, wanted) in ACTIONS {
        assert_eq!(
            allows(rest, action, resource, &[]),
            *wanted,
            "{rest} {action} {resource}"
        );
    }
}

#[test]
fn conditions_compare_what_the_request_says() {
    let key = [
        ("aws:RequestedRegion", "us-east-1"),
        ("n", "5"),
        ("aws:SourceIp", "10.1.2.3"),
        ("secure", "true"),
        ("when", "2026-01-02T00:00:00Z"),
        ("role", "arn:aws:iam::1:role/a"),
        ("aws:TagKeys", "a"),
        ("aws:TagKeys", "b"),
        ("aws:username", "kim"),
    ];
    for (condition, wanted) in [
        (r#"{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}"#, true),
        (r#"{"StringEquals":{"AWS:requestedregion":["x","us-east-1"]}}"#, true),
        (r#"{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}}"#, false),
        (r#"{"StringNotEquals":{"aws:RequestedRegion":["x","y"]}}"#, true),
        (r#"{"StringLike":{"aws:RequestedRegion":"us-*"}}"#, true),
        (r#"{"StringEquals":{"absent":"x"}}"#, false),
        (r#"{"StringNotEquals":{"absent":"x"}}"#, true),
        (r#"{"StringEqualsIfExists":{"absent":"x"}}"#, true),
        (r#"{"Null":{"absent":true}}"#, true),
        (r#"{"Null":{"n":"true"}}"#, false),
        (r#"{"NumericLessThan":{"n":6}}"#, true),
        (r#"{"NumericGreaterThanEquals":{"n":"6"}}"#, false),
        (r#"{"Bool":{"secure":true}}"#, true),
        (r#"{"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}}"#, true),
        (r#"{"NotIpAddress":{"aws:SourceIp":["10.1.0.0/16"]}}"#, false),
        (r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#, false),
        (r#"{"DateGreaterThan":{"when":"2026-01-01"}}"#, true),
        (r#"{"DateLessThan":{"when":"2026-01-01T00:00:00Z"}}"#, false),
        (r#"{"ArnLike":{"role":"arn:aws:iam::*:role/*"}}"#, true),
        (r#"{"ArnLike":{"role":"arn:*role/a"}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#, true),
        (r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#, false),
        (r#"{"ForAllValues:StringEquals":{"absent":["a"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["a"]}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"absent":["a"]}}"#, false),
        (r#"{"StringEquals":{"aws:username":"${aws:username}"}}"#, true),
        (r#"{"StringEquals":{"n":"5"},"Bool":{"secure":"false"}}"#, false),
    ] {
        let rest = format!(r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{condition}"#);
        assert_eq!(allows(&rest, "a:B", "*", &key), wanted, "{condition}");
    }
}

#[test]
fn variables_are_filled_in_resources() {
    let rest = r#""Effect":"Allow","Action":"*","Resource":"arn:aws:iam::1:user/${aws:username}""#;
    assert!(allows(
        rest,
        "iam:GetUser",
        "arn:aws:iam::1:user/kim",
        &[("aws:username", "kim")]
    ));
    assert!(!allows(
        rest,
        "iam:GetUser",
        "arn:aws:iam::1:user/lee",
        &[("aws:username", "kim")]
    ));
    assert!(!allows(rest, "iam:GetUser", "arn:aws:iam::1:user/lee", &[]));
    let rest = r#""Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::x/${aws:PrincipalTag/team, 'none'}/${*}""#;
    assert!(allows(rest, "s3:GetObject", "arn:aws:s3:::x/none/*", &[]));
}

#[test]
fn every_kind_of_policy_must_allow_and_none_may_deny() {
    let all = r#""Effect":"Allow","Action":"*","Resource":"*""#;
    let only_eks = r#""Effect":"Allow","Action":"eks:*","Resource":"*""#;
    let no_delete = r#""Effect":"Deny","Action":"eks:Delete*","Resource":"*""#;
    let read = |rest: &&str| Document::identity(&statement(rest)).unwrap();
    let check =
        |identity: &[&str], boundary: Option<&str>, session: Option<&[&str]>, action: &str, wanted: Decision| {
            let policies = Policies {
                identity: identity.iter().map(read).collect(),
                boundary: boundary.as_ref().map(read),
                session: session.map(|texts| texts.iter().map(read).collect()),
            };
            let facts = Facts::new();
            let request = Request {
                action,
                resource: "*",
                facts: &facts,
            };
            assert_eq!(
                policies.decide(&request),
                wanted,
                "{identity:?} {boundary:?} {session:?} {action}"
            );
        };
    check(&[], None, None, "eks:X", Decision::ImplicitDeny(IDENTITY));
    check(&[all], None, None, "eks:X", Decision::Allowed);
    check(
        &[all, no_delete],
        None,
        None,
        "eks:DeleteX",
        Decision::ExplicitDeny(IDENTITY),
    );
    check(&[all], Some(only_eks), None, "eks:X", Decision::Allowed);
    check(&[all], Some(only_eks), None, "ec2:X", Decision::ImplicitDeny(BOUNDARY));
    check(
        &[all],
        None,
        Some(&[only_eks]),
        "ec2:X",
        Decision::ImplicitDeny(SESSION),
    );
    check(
        &[only_eks],
        None,
        Some(&[all]),
        "ec2:X",
        Decision::ImplicitDeny(IDENTITY),
    );
    check(
        &[all],
        None,
        Some(&[no_delete]),
        "eks:DeleteX",
        Decision::ExplicitDeny(SESSION),
    );
    check(&[all], None, Some(&[]), "eks:X", Decision::ImplicitDeny(SESSION));
}

#[test]
fn trust_policies_name_principals() {
    let trusts = |principal: &str, asked: Principal<'_>, pairs: &[(&str, &str)]| {
        let text = statement(&format!(
            r#""Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"sts:ExternalId":"7"}}}}"#
        ));
        let facts = facts(pairs);
        let request = Request {
            action: "sts:AssumeRole",
            resource: "*",
            facts: &facts,
        };
        trust(&Document::trust(&text).unwrap(), asked, &request) == Some(Effect::Allow)
    };
    let kim = Principal::Aws {
        arn: "arn:aws:iam::111111111111:user/kim",
        role: None,
        account: "111111111111",
    };
    let session = Principal::Aws {
        arn: "arn:aws:sts::111111111111:assumed-role/r/s",
        role: Some("arn:aws:iam::111111111111:role/r"),
        account: "111111111111",
    };
    let id = [("sts:ExternalId", "7")];
    for (principal, asked, wanted) in [
        (r#"{"AWS":"arn:aws:iam::111111111111:root"}"#, kim, true),
        (r#"{"AWS":"111111111111"}"#, kim, true),
        (r#"{"AWS":"222222222222"}"#, kim, false),
        (r#"{"AWS":["arn:aws:iam::111111111111:user/kim"]}"#, kim, true),
        (r#"{"AWS":"arn:aws:iam::111111111111:role/r"}"#, session, true),
        (r#""*""#, kim, true),
        (r#"{"Service":"eks.amazonaws.com"}"#, kim, false),
        (
            r#"{"Service":["ec2.amazonaws.com","eks.amazonaws.com"]}"#,
            Principal::Service("eks.amazonaws.com"),
            true,
        ),
        (
            r#"{"Federated":"arn:aws:iam::1:oidc-provider/x"}"#,
            Principal::Federated("arn:aws:iam::1:oidc-provider/x"),
            true,
        ),
    ] {
        assert_eq!(trusts(principal, asked, &id), wanted, "{principal} {asked:?}");
    }
    assert!(!trusts(r#""*""#, kim, &[]), "the condition must hold too");
}

#[test]
fn malformed_documents_are_refused() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"Version":"2012-10-17","Statement":[]}"#,
        r#"{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        &statement(r#""Effect":"Maybe","Action":"*","Resource":"*""#),
        &statement(r#""Effect":"Allow","Resource":"*""#),
        &statement(r#""Effect":"Allow","Action":"*","NotAction":"*","Resource":"*""#),
        &statement(r#""Effect":"Allow","Action":"*""#),
        &statement(r#""Effect":"Allow","Action":"everything","Resource":"*""#),
        &statement(r#""Effect":"Allow","Action":"*","Resource":"*","Principal":"*""#),
        &statement(r#""Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringSame":{"a":"b"}}"#),
        &statement(r#""Effect":"Allow","Action":"*","Resource":"*","Unknown":1"#),
    ] {
        assert!(Document::identity(text).is_err(), "{text}");
    }
    assert!(Document::trust(&statement(r#""Effect":"Allow","Action":"sts:AssumeRole""#)).is_err());
}

fn of(rest: &str) -> String {
    statement(&format!(r#""Effect":"Allow",{rest}"#))
}

fn refused_with(cases: &[(String, &str)]) {
    for (text, sentence) in cases {
        let refused = Document::identity(text).expect_err(text);
        assert_eq!(refused.to_string(), *sentence, "{text}");
    }
}

#[test]
fn a_policy_is_refused_for_the_first_of_its_faults() {
    refused_with(&[
        ("no JSON".to_owned(), "Syntax errors in policy."),
        (
            of(r#""Action":"s3:A","Resource":{"a":"b"}"#),
            "Syntax errors in policy.",
        ),
        (
            of(r#""Action":"s3:A","NotAction":[],"Resource":"*""#),
            "Syntax errors in policy.",
        ),
        (
            of(r#""Action":"s3:A","Resource":"*","Condition":{"x":{"a":"1"}}"#),
            "Syntax errors in policy.",
        ),
        (
            statement(r#""Effect":"denY","Resource":"*""#),
            "The policy failed legacy parsing",
        ),
        (
            of(r#""Resource":"arn:aws:s3::example_bucket""#),
            "The policy failed legacy parsing",
        ),
        (
            of(r#""Action":"a","Resource":"*","Condition":{"DateLessThan":{"a":"234-13"}}"#),
            "The policy failed legacy parsing",
        ),
        (
            of(r#""Action":[],"Resource":"nowhere""#),
            "Policy statement must contain actions.",
        ),
        (
            of(r#""Action":"s:3:A","Resource":"nowhere""#),
            "Resource nowhere must be in ARN format or \"*\".",
        ),
    ]);
}

#[test]
fn a_policy_is_refused_for_its_resource() {
    refused_with(&[
        (
            of(r#""Action":"s3:A","Resource":["arn:error:s3:::b","arn:error:s3::b"]"#),
            "Partition \"error\" is not valid for resource \"arn:error:s3:::b\".",
        ),
        (
            of(r#""Action":"s3:A","Resource":"a:b""#),
            "Partition \"b\" is not valid for resource \"arn:b:*:*:*:*\".",
        ),
        (
            of(r#""Action":"s3:A","Resource":"arn:aws""#),
            "Resource vendor must be fully qualified and cannot contain regexes.",
        ),
        (
            of(r#""Action":"s3:A","Resource":"arn:aws:iam:us-east-1::role/r""#),
            "IAM resource arn:aws:iam:us-east-1::role/r cannot contain region information.",
        ),
        (
            of(r#""Action":"s3:A","Resource":"arn:aws:s3:us-east-1::b""#),
            "Resource arn:aws:s3:us-east-1::b can not contain region information.",
        ),
    ]);
}

#[test]
fn a_policy_is_refused_for_its_action_principal_or_lack_of_resources() {
    refused_with(&[
        (
            of(r#""Action":"a""#),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (
            of(r#""Action":"s3:List:Bucket","Resource":"*""#),
            "Actions/Condition can contain only one colon.",
        ),
        (of(r#""Action":"a a:B","Resource":"*""#), "Vendor a a is not valid"),
        (
            of(r#""Action":"s3:A","Resource":"*","Principal":"*""#),
            "Policy document should not specify a principal.",
        ),
        (
            of(r#""Action":"s3:A","Resource":[]"#),
            "Policy statement must contain resources.",
        ),
    ]);
}

#[test]
fn statement_ids_are_unique_and_resources_may_be_null() {
    let of = |statements: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let one = r#"{"Sid":"a","Effect":"Allow","Action":"kms:CreateGrant","Resource":["arn:aws:kms:*:1:key/*",null]}"#;
    assert!(Document::identity(&of(one)).is_ok());
    let refused = Document::identity(&of(&format!("{one},{one}"))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Statement IDs (SID) in a single policy must be unique."
    );
}

#[test]
fn a_managed_policy_has_the_newer_version() {
    let rest = r#""Statement":{"Effect":"Allow","Action":"*","Resource":"*"}"#;
    let older = format!("{{{rest}}}");
    assert!(Document::identity(&older).is_ok());
    let refused = Document::managed(&older).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Policy document must be version 2012-10-17 or greater."
    );
    assert!(Document::managed(&format!(r#"{{"Version":"2012-10-17",{rest}}}"#)).is_ok());
}

#[test]
fn a_trust_policy_is_about_assuming_roles() {
    let of = |action: &str| statement(&format!(r#""Effect":"Allow","Principal":"*","Action":"{action}""#));
    assert!(Document::trust(&of("sts:AssumeRole")).is_ok());
    let refused = Document::trust(&of("s3:ListBucket")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "AssumeRole policy may only specify STS AssumeRole actions."
    );
}
