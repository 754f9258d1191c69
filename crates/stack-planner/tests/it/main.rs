//! A fuzz target: CloudFormation's templates, from text to values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use fuzz::Corpus;
use stack_planner::{Node, Pseudo, Resources, Scope, Template, diff, graph};

const YAML: &[u8] = br#"
AWSTemplateFormatVersion: '2010-09-09'
Parameters:
  Name: {Type: String, Default: demo, AllowedPattern: '[a-z]+', MaxLength: 9}
  Count: {Type: Number, Default: 3, MinValue: 1}
  Zones: {Type: CommaDelimitedList, Default: 'a, b,c'}
Mappings:
  M: {k: {v: mapped}}
Conditions:
  Yes: !Equals [!Ref Name, demo]
  Both: !And [!Condition Yes, !Not [!Condition Yes]]
Resources:
  V: {Type: 'AWS::EC2::VPC', Properties: {CidrBlock: 10.0.0.0/16, Tags: [{Key: Name, Value: !Sub '${Name}-${AWS::Region}'}]}}
  S:
    Type: AWS::EC2::Subnet
    Condition: Yes
    DependsOn: V
    Properties:
      VpcId: !Ref V
      CidrBlock: !Select [0, !Cidr [!GetAtt V.CidrBlock, 4, 8]]
      AvailabilityZone: !Select [!FindInMap [M, k, v], !GetAZs '']
      Other: !If [Both, !Ref 'AWS::NoValue', !Join ['-', !Split [',', 'a,b']]]
Outputs:
  Out: {Value: !ImportValue s::Out, Export: {Name: x}}
"#;
const JSON: &[u8] = br#"{"Resources": {"A": {"Type": "AWS::IAM::Role", "Properties": {"P": {"Fn::Sub": ["${x}", {"x": {"Ref": "B"}}]}}},
    "B": {"Type": "AWS::IAM::Role", "DependsOn": ["A"], "Properties": {"Q": {"Fn::Base64": {"Fn::Transform": {}}}}}}}"#;
const WORDS: &[&str] = &[
    "!Ref ",
    "!Sub ",
    "!GetAtt ",
    "!If ",
    "!Select ",
    "!Cidr ",
    "Fn::",
    "${",
    "}",
    "AWS::NoValue",
    "AWS::Region",
    "Condition: ",
    "DependsOn: ",
    "Resources:",
    "Type: ",
    "\n  ",
    "[",
    "]",
    "- ",
    "!Split ",
    "!FindInMap ",
    "&a ",
    "*a",
];

struct World;

impl Resources for World {
    fn reference(&self, name: &str) -> Option<Node> {
        Some(Node::text(format!("id-of-{name}")))
    }

    fn attribute(&self, _name: &str, attribute: &str) -> Option<Node> {
        Some(Node::text(if attribute == "CidrBlock" {
            "10.0.0.0/16"
        } else {
            attribute
        }))
    }

    fn import(&self, name: &str) -> Option<String> {
        (name == "s::Out").then(|| "in".to_owned())
    }
}

#[test]
fn templates_are_answered_from_text_to_values() {
    let corpus = Corpus {
        inputs: &[YAML, JSON],
        words: WORDS,
    };
    let pseudo = Pseudo {
        account: "111122223333".into(),
        region: "r-1".into(),
        stack_name: "s".into(),
        stack_id: "arn:s".into(),
        zones: vec!["r-1a".into(), "r-1b".into()],
    };
    fuzz::run("templates", corpus, |bytes| {
        let template = match Template::parse(&String::from_utf8_lossy(bytes)) {
            Err(error) => return error.to_string(),
            Ok(template) => template,
        };
        let order = graph::order(&template);
        let parameters = match template.values(&BTreeMap::new()) {
            Err(error) => return error.to_string(),
            Ok(parameters) => parameters,
        };
        let scope = Scope {
            template: &template,
            parameters: &parameters,
            pseudo: &pseudo,
            resources: &World,
        };
        let mut said = match order {
            Err(error) => error.to_string(),
            Ok(order) => format!("{} in order", order.len().min(4)),
        };
        for name in graph::dependencies(&template).keys() {
            let Some(resource) = template.resource(name) else {
                continue;
            };
            match scope.value(&resource.properties) {
                Err(error) => said.push_str(&error.to_string()),
                Ok(value) => assert!(diff::differing(&value, &value).is_empty()),
            }
        }
        said
    });
}
