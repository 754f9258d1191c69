//! The published service models as tables: operations, members, wire names, required members, enumerations.
//!
//! The tables below `shapes/` are written by `cargo xtask aws-shapes` and hold no prose. They are parsed when a service is
//! first spoken to, so services that nobody uses cost no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::OnceLock;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

macro_rules! tables {
    ($($name:literal),* $(,)?) => {
        /// The names of all services that have a table: botocore's, which differ from signing names where two services share one.
        pub const SERVICES: &[&str] = &[$($name),*];

        /// The table of that name.
        pub fn service(name: &str) -> Option<&'static Service> {
            match name {
                $($name => {
                    static TABLE: OnceLock<Service> = OnceLock::new();
                    let text = include_str!(concat!("../shapes/", $name, ".json"));
                    let parse = || serde_json::from_str(text).expect("the tables are written by xtask and parsed by a test");
                    Some(TABLE.get_or_init(parse))
                })*
                _ => None,
            }
        }
    };
}

tables!(
    "eks",
    "eks-auth",
    "sts",
    "iam",
    "ec2",
    "cloudformation",
    "autoscaling",
    "elb",
    "elbv2",
    "ssm",
    "kms",
    "ecr",
    "sqs",
    "events",
    "cloudtrail",
    "acm",
    "pricing",
    "resourcegroupstaggingapi",
    "logs",
    "service-quotas",
);

/// The table of the service that signs by this name. The two load balancing services share a name and differ in the version
/// that their requests carry.
pub fn table_of(signing_name: &str, version: Option<&str>) -> Option<&'static str> {
    let name = match signing_name {
        "elasticloadbalancing" if version == Some("2012-06-01") => "elb",
        "elasticloadbalancing" => "elbv2",
        "servicequotas" => "service-quotas",
        "tagging" => "resourcegroupstaggingapi",
        other => other,
    };
    SERVICES.iter().find(|known| **known == name).copied()
}

/// One service's model.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The protocol and its names.
    pub metadata: Metadata,
    /// Operations that the service has and for which no shapes are kept.
    pub other_operations: BTreeSet<Box<str>>,
    /// The operations.
    pub operations: BTreeMap<Box<str>, Operation>,
    shapes: BTreeMap<Box<str>, Shape>,
}

impl Service {
    /// A shape by name. Names come from the same table, so an unknown one is a defect of the table.
    pub fn shape(&self, name: &str) -> &Shape {
        self.shapes
            .get(name)
            .expect("every named shape is in the table (tested)")
    }

    /// A shape by name, if the table has it: for names that do not come from the table, such as errors.
    pub fn find_shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

/// How a service speaks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The wire protocol.
    pub protocol: Protocol,
    /// The version that query protocols name in `Version`.
    pub api_version: Box<str>,
    /// The namespace of XML answers.
    pub xml_namespace: Option<Box<str>>,
    /// The prefix of `X-Amz-Target`, without the dot.
    pub target_prefix: Option<Box<str>>,
    /// `1.0` or `1.1`.
    pub json_version: Option<Box<str>>,
}

/// A wire protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Form parameters in, XML out.
    Query,
    /// EC2's dialect of query.
    Ec2,
    /// A JSON document in the body, the operation in `X-Amz-Target`.
    Json,
    /// Method and path choose the operation.
    RestJson,
    /// Like REST-JSON, with XML bodies.
    RestXml,
}

/// One operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// HTTP method.
    pub method: Box<str>,
    /// Path, with `{label}` segments.
    pub uri: Box<str>,
    /// The request's shape.
    pub input: Option<Box<str>>,
    /// The answer's shape.
    pub output: Option<Box<str>>,
    /// The element around the answer in the query protocol.
    pub result_wrapper: Option<Box<str>>,
    /// Shapes of its errors.
    #[serde(default)]
    pub errors: Vec<Box<str>>,
}

/// One type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Structures: the members in the model's order.
    #[serde(default)]
    pub members: Members,
    /// Structures: members that must be there.
    #[serde(default)]
    pub required: Vec<Box<str>>,
    /// Lists: the element.
    pub member: Option<Member>,
    /// Maps: the key.
    pub key: Option<Member>,
    /// Maps: the value.
    pub value: Option<Member>,
    /// Strings: the allowed values.
    #[serde(rename = "enum", default)]
    pub values: Vec<Box<str>>,
    /// Least length, size or value.
    pub min: Option<f64>,
    /// Greatest length, size or value.
    pub max: Option<f64>,
    /// Lists and maps without an element around them.
    #[serde(default)]
    pub flattened: bool,
    /// Timestamps: a format other than the protocol's own.
    pub timestamp_format: Option<Box<str>>,
    /// Errors: code and status.
    pub error: Option<ErrorTrait>,
    /// Whether it is an error.
    #[serde(default)]
    pub exception: bool,
}

/// What kind of value a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the model's own")]
pub enum Kind {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Timestamp,
    Blob,
}

/// The members of a structure, in order.
#[derive(Debug, Default)]
pub struct Members(pub Vec<(Box<str>, Member)>);

/// A reference to a shape, and where it travels.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The shape's name.
    pub shape: Box<str>,
    /// Where it travels if not in the body.
    pub location: Option<Location>,
    /// Its name on the wire if not its own.
    pub location_name: Option<Box<str>>,
    /// Its name in EC2 requests.
    pub query_name: Option<Box<str>>,
}

/// Where a member travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// A segment of the path.
    Uri,
    /// The query string.
    Querystring,
    /// A header.
    Header,
    /// Every header with a prefix.
    Headers,
    /// The HTTP status.
    StatusCode,
}

/// How an error is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorTrait {
    /// The code, if it is not the shape's name.
    pub code: Option<Box<str>>,
    /// The HTTP status.
    pub http_status_code: Option<u16>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of members")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Ordered)
    }
}

#[cfg(test)]
mod tests;
