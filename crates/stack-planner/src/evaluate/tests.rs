//! Functions as a table: what is written, what comes out.

use super::*;

const TEMPLATE: &str = r#"
Parameters:
  Name: {Type: String, Default: demo}
  Zones: {Type: CommaDelimitedList, Default: 'a, b,c'}
Mappings:
  M: {k: {v: mapped}}
Conditions:
  Yes: !Equals [!Ref Name, demo]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Condition No]
  Any: !Or [!Condition Yes, !Condition No]
Resources:
  V: {Type: 'AWS::EC2::VPC'}
"#;

struct World;

impl Resources for World {
    fn reference(&self, name: &str) -> Option<Node> {
        (name == "V").then(|| Node::text("vpc-1"))
    }

    fn attribute(&self, name: &str, attribute: &str) -> Option<Node> {
        match (name, attribute) {
            ("V", "CidrBlock") => Some(Node::text("10.0.0.0/16")),
            ("V", "A.B") => Some(Node::text("deep")),
            _ => None,
        }
    }

    fn import(&self, name: &str) -> Option<String> {
        (name == "s::Out").then(|| "in".to_owned())
    }
}

fn evaluated(text: &str) -> Result<Node> {
    let template = Template::parse(TEMPLATE).unwrap();
    let parameters = template.values(&BTreeMap::new()).unwrap();
    let pseudo = Pseudo {
        account: "111122223333".into(),
        region: "r-1".into(),
        stack_name: "s".into(),
        stack_id: "arn:s".into(),
        zones: vec!["r-1a".into(), "r-1b".into()],
    };
    let scope = Scope {
        template: &template,
        parameters: &parameters,
        pseudo: &pseudo,
        resources: &World,
    };
    scope.value(&serde_json::from_str(text).unwrap())
}

/// What is written, what comes out.
const CASES: &[(&str, &str)] = &[
    (r#"{"Ref":"Name"}"#, r#""demo""#),
    (r#"{"Ref":"Zones"}"#, r#"["a","b","c"]"#),
    (r#"{"Ref":"V"}"#, r#""vpc-1""#),
    (r#"{"Ref":"AWS::Region"}"#, r#""r-1""#),
    (
        r#"{"a":{"Ref":"AWS::NoValue"},"b":[1,{"Ref":"AWS::NoValue"}]}"#,
        r#"{"b":[1]}"#,
    ),
    (r#"{"Fn::GetAtt":["V","CidrBlock"]}"#, r#""10.0.0.0/16""#),
    (r#"{"Fn::GetAtt":"V.A.B"}"#, r#""deep""#),
    (
        r#"{"Fn::Sub":"${AWS::StackName}/${V}/${V.CidrBlock}/${!x}"}"#,
        r#""s/vpc-1/10.0.0.0/16/${x}""#,
    ),
    (r#"{"Fn::Sub":["${A}-${Name}",{"A":{"Ref":"V"}}]}"#, r#""vpc-1-demo""#),
    (r#"{"Fn::Join":[",",["a",{"Ref":"Name"},1]]}"#, r#""a,demo,1""#),
    (r#"{"Fn::Split":[",","a,b"]}"#, r#"["a","b"]"#),
    (r#"{"Fn::Select":["1",{"Ref":"Zones"}]}"#, r#""b""#),
    (r#"{"Fn::Select":[0,{"Fn::GetAZs":""}]}"#, r#""r-1a""#),
    (r#"{"Fn::FindInMap":["M","k","v"]}"#, r#""mapped""#),
    (r#"{"Fn::FindInMap":["M","k","x",{"DefaultValue":"d"}]}"#, r#""d""#),
    (r#"{"Fn::If":["Yes","y","n"]}"#, r#""y""#),
    (r#"{"Fn::If":["Both","y","n"]}"#, r#""n""#),
    (r#"{"a":{"Fn::If":["No","y",{"Ref":"AWS::NoValue"}]}}"#, "{}"),
    (r#"{"Fn::If":["Any","y","n"]}"#, r#""y""#),
    (r#"{"Fn::ImportValue":{"Fn::Sub":"${AWS::StackName}::Out"}}"#, r#""in""#),
    (r#"{"Fn::Base64":"hi"}"#, r#""aGk=""#),
    (
        r#"{"Fn::Cidr":["10.0.0.0/16",2,"13"]}"#,
        r#"["10.0.0.0/19","10.0.32.0/19"]"#,
    ),
    (r#"{"Fn::Cidr":["fd00::/56",1]}"#, r#"["fd00::/64"]"#),
    (r#"{"Fn::Length":{"Ref":"Zones"}}"#, "3"),
    (r#"{"Fn::ToJsonString":{"a":{"Ref":"Name"}}}"#, r#""{\"a\":\"demo\"}""#),
    (
        r#"{"Condition":{"StringEquals":{"a":{"Ref":"Name"}}}}"#,
        r#"{"Condition":{"StringEquals":{"a":"demo"}}}"#,
    ),
];

#[test]
fn functions_give_what_cloudformation_gives() {
    for (text, wanted) in CASES {
        let wanted: Node = serde_json::from_str(wanted).unwrap();
        assert_eq!(evaluated(text), Ok(wanted), "{text}");
    }
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    for (text, part) in [
        (
            r#"{"Fn::GetAtt":["V","Nothing"]}"#,
            "does not support attribute type Nothing",
        ),
        (r#"{"Fn::ImportValue":"x"}"#, "No export named x found."),
        (
            r#"{"Fn::FindInMap":["M","k","x"]}"#,
            "Unable to get mapping for M::k::x",
        ),
        (r#"{"Fn::Select":[9,{"Ref":"Zones"}]}"#, "nonexistent value at index 9"),
        (r#"{"Fn::Join":[","]}"#, "Fn::Join"),
        (r#"{"Fn::Cidr":["10.0.0.0/24",9,"7"]}"#, "Fn::Cidr"),
        (r#"{"Fn::Unknown":"x"}"#, "not a known intrinsic function"),
        (r#"{"Fn::If":["Absent","a","b"]}"#, "unresolved condition Absent"),
    ] {
        let error = evaluated(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn templates_are_checked_before_anything_is_made() {
    for (text, part) in [
        ("{", "JSON not well-formed"),
        ("a: [", "YAML not well-formed"),
        ("Resources: {}", "At least one Resources member"),
        ("Nothing: 1", "Invalid template property or properties [Nothing]"),
        ("Resources: {A: {}}", "must contain a Type member"),
        (
            "Resources: {A: {Type: T, Properties: {X: !Ref B}}}",
            "Unresolved resource dependencies [B] in the Resources block",
        ),
        (
            "Resources: {A: {Type: T}}\nOutputs: {O: {Value: !GetAtt C.Arn}}",
            "Unresolved resource dependencies [C] in the Outputs block",
        ),
        (
            "Resources: {A: {Type: T, DependsOn: B}, B: {Type: T, Properties: {X: !Ref A}}}",
            "Circular dependency between resources: [A, B]",
        ),
        (
            "Resources: {A: {Type: T, Condition: C}}",
            "Unresolved condition dependency C",
        ),
        ("Resources: {A-B: {Type: T}}", "non alphanumeric"),
        (
            "Resources: {A: {Type: T, Propertys: {}}}",
            "Invalid template resource property 'Propertys'",
        ),
    ] {
        let error = Template::parse(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn parameters_are_checked() {
    let text = "Parameters: {A: {Type: String, AllowedValues: [x, y]}, N: {Type: Number, Default: 3, MaxValue: 5}, L: {Type: String, Default: '', MaxLength: 2}}\nResources: {R: {Type: T}}";
    let template = Template::parse(text).unwrap();
    let check = |pairs: &[(&str, &str)]| {
        let given = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        template.values(&given).map_err(|error| error.to_string())
    };
    assert_eq!(check(&[("A", "x")]).unwrap()["N"], "3");
    for (pairs, part) in [
        (&[][..], "Parameters: [A] must have values"),
        (&[("A", "z")], "must be one of AllowedValues"),
        (&[("A", "x"), ("N", "9")], "within its bounds"),
        (&[("A", "x"), ("N", "many")], "must be a number"),
        (&[("A", "x"), ("L", "abc")], "at most 2"),
        (&[("A", "x"), ("B", "1")], "do not exist in the template"),
    ] {
        let error = check(pairs).expect_err(part);
        assert!(error.contains(part), "{pairs:?}: {error}");
    }
}
