//! Fuzz targets: what clients send in each of AWS's protocols, before anybody knows who they are.

use aws_types::shapes::{self, Service};
use fuzz::Corpus;

use super::route::{self, HttpRequest};
use super::{DecodeError, Decoded, check, query};

/// What was understood is checked by the model; an answer of either is one.
fn checked(service: &Service, decoded: Result<Decoded, DecodeError>) -> String {
    match decoded {
        Ok(decoded) => {
            assert!(decoded.input.is_object(), "an input has members");
            let shape = service.operations[&*decoded.operation].input.as_deref();
            let problem = shape.and_then(|shape| check::request(service, shape, &decoded.input).err());
            let problem = problem.map_or_else(|| "fine".to_owned(), |problem| problem.to_string());
            format!("{} {problem}", decoded.operation)
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn forms_of_the_query_protocols_are_answered() {
    let corpus = Corpus {
        inputs: &[
            b"Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=2&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b%20c",
            b"Action=DescribeInstances&Filter.1.Name=tag%3Aa&Filter.1.Value.1=b&Filter.1.Value.2=c&MaxResults=5",
            b"Action=CreateRole&RoleName=a&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=a&Tags.member.1.Value=b",
            b"Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A0%3Arole%2Fa&DurationSeconds=900",
            b"Action=CreateStack&StackName=a&Parameters.member.1.ParameterKey=k&Capabilities.member.1=CAPABILITY_IAM",
        ],
        words: &[".1", ".member.1", "&", "=", "%", "Action=", ".999999999999", "true", "-1", "Tag.1.Key=", "+"],
    };
    let services = ["ec2", "iam", "sts", "cloudformation", "autoscaling"].map(|name| shapes::service(name).unwrap());
    fuzz::run("AWS forms", corpus, |bytes| {
        let form = query::parameters(bytes);
        services
            .map(|service| checked(service, query::decode(service, &form)))
            .join("; ")
    });
}

#[test]
fn rest_requests_are_answered() {
    let corpus = Corpus {
        inputs: &[
            b"POST /clusters  {\"name\": \"a\", \"roleArn\": \"arn:aws:iam::0:role/r\", \"resourcesVpcConfig\": {\"subnetIds\": [\"subnet-1\"]}}",
            b"GET /clusters/a/node-groups maxResults=5&nextToken=x ",
            b"DELETE /tags/arn%3Aaws%3Aeks%3A%3A0%3Acluster%2Fa tagKeys=a&tagKeys=b ",
            b"POST /clusters/a/identity-provider-configs/associate  {\"oidc\": {\"requiredClaims\": {\"a\": \"b\"}}}",
        ],
        words: &["%2F", "/", "?", "&", "null", "1e999", "\\u0000", "{", "["],
    };
    let service = shapes::service("eks").unwrap();
    fuzz::run("AWS REST", corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(4, ' ');
        let mut next = || parts.next().unwrap_or_default();
        let request = HttpRequest {
            method: next(),
            path: next(),
            query: next(),
            body: next().as_bytes(),
        };
        checked(service, route::decode(service, &request))
    });
}

#[test]
fn json_requests_are_answered() {
    let corpus = Corpus {
        inputs: &[
            b"TrentService.Encrypt {\"KeyId\": \"a\", \"Plaintext\": \"YQ==\", \"EncryptionContext\": {\"a\": \"b\"}}",
            b"TrentService.CreateKey {\"Tags\": [{\"TagKey\": \"a\", \"TagValue\": \"b\"}], \"MultiRegion\": true}",
            b"TrentService.ListKeys {\"Limit\": 5}",
        ],
        words: &["null", "1e999", "-0", "\\ud800", "{", "[", "\"KeyId\":", "."],
    };
    let service = shapes::service("kms").unwrap();
    fuzz::run("AWS JSON", corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (target, body) = text.split_once(' ').unwrap_or((&text, ""));
        checked(service, route::decode_target(service, target, body.as_bytes()))
    });
}
