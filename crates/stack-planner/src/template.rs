//! A template as CloudFormation reads it: sections, resources, and the checks that need no values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph;
use crate::node::Node;
use crate::yaml;

/// A template.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Template {
    /// A sentence.
    pub description: Option<String>,
    /// Parameters in order.
    pub parameters: Vec<Parameter>,
    /// Mappings: name, first key, second key, value.
    pub mappings: Node,
    /// Conditions by name, not evaluated.
    pub conditions: Node,
    /// Resources in order.
    pub resources: Vec<Resource>,
    /// Outputs in order.
    pub outputs: Vec<Output>,
    /// Macros that it asks for.
    pub transforms: Vec<String>,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type, for example `String` or `List<Number>`.
    pub kind: String,
    /// The value when none is given.
    pub default: Option<String>,
    /// The values that it may have.
    pub allowed: Vec<String>,
    /// Bounds of its length.
    pub length: (Option<i64>, Option<i64>),
    /// Bounds of its value.
    pub value: (Option<i64>, Option<i64>),
    /// A sentence.
    pub description: Option<String>,
    /// What is said when a constraint is broken.
    pub constraint: Option<String>,
    /// Whether its value is not shown.
    pub no_echo: bool,
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Resource {
    /// Its name in the template.
    pub name: String,
    /// For example `AWS::EC2::VPC`.
    pub kind: String,
    /// Properties, not evaluated.
    pub properties: Node,
    /// Resources that must be there before it.
    pub depends_on: Vec<String>,
    /// The condition under which it is made.
    pub condition: Option<String>,
    /// `Delete`, `Retain` or `Snapshot`.
    pub deletion_policy: Option<String>,
    /// `Retain` keeps the old one when it is replaced.
    pub replace_policy: Option<String>,
    /// How an update goes about it, not evaluated.
    pub update_policy: Node,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Its value, not evaluated.
    pub value: Node,
    /// A sentence.
    pub description: Option<String>,
    /// The name of its export, not evaluated.
    pub export: Option<Node>,
    /// The condition under which it is there.
    pub condition: Option<String>,
}

/// Why a text is no template. `Display` is the message of `ValidationError`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// Neither JSON nor YAML.
    #[error("Template format error: {0}")]
    Format(String),
    /// A reference to nothing.
    #[error("Template format error: Unresolved resource dependencies [{}] in the {section} block of the template", names.join(", "))]
    Unresolved {
        /// What is referred to.
        names: Vec<String>,
        /// `Resources` or `Outputs`.
        section: &'static str,
    },
    /// Resources that wait for each other.
    #[error("Circular dependency between resources: [{}]", .0.join(", "))]
    Circular(Vec<String>),
    /// A parameter's value is missing or not allowed.
    #[error("{0}")]
    Parameter(String),
}

fn format<T>(message: impl Into<String>) -> Result<T, TemplateError> {
    Err(TemplateError::Format(message.into()))
}

const SECTIONS: &[&str] = &[
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Transform",
    "Resources",
    "Outputs",
    "Hooks",
];

const ATTRIBUTES: &[&str] = &[
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "UpdatePolicy",
    "CreationPolicy",
    "Metadata",
];

impl Template {
    /// Reads a template, JSON or YAML with its short forms, and checks what can be checked without values.
    ///
    /// # Errors
    /// CloudFormation's messages.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let root = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text)
                .map_err(|error| TemplateError::Format(format!("JSON not well-formed. ({error})")))?,
            false => {
                yaml::parse(text).map_err(|error| TemplateError::Format(format!("YAML not well-formed. ({error})")))?
            }
        };
        let Node::Map(sections) = &root else {
            return format("unsupported structure.");
        };
        let unknown: Vec<&str> = sections
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !SECTIONS.contains(name))
            .collect();
        if !unknown.is_empty() {
            return Err(TemplateError::Parameter(format!(
                "Invalid template property or properties [{}]",
                unknown.join(", ")
            )));
        }
        let section = |name: &str| root.get(name).cloned().unwrap_or_default();
        let template = Self {
            description: section("Description").scalar(),
            parameters: section("Parameters")
                .entries()
                .iter()
                .map(|(name, node)| parameter(name, node))
                .collect::<Result<_, _>>()?,
            mappings: section("Mappings"),
            conditions: section("Conditions"),
            resources: section("Resources")
                .entries()
                .iter()
                .map(|(name, node)| resource(name, node))
                .collect::<Result<_, _>>()?,
            outputs: section("Outputs")
                .entries()
                .iter()
                .map(|(name, node)| output(name, node))
                .collect::<Result<_, _>>()?,
            transforms: texts(&section("Transform")),
        };
        if template.resources.is_empty() {
            return format("At least one Resources member must be defined.");
        }
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), TemplateError> {
        let known = |name: &str| {
            name.starts_with("AWS::")
                || self.parameters.iter().any(|known| known.name == name)
                || self.resource(name).is_some()
        };
        let mut missing: Vec<String> = Vec::new();
        for resource in &self.resources {
            let named = graph::references(&resource.properties)
                .into_iter()
                .chain(resource.depends_on.iter().cloned());
            missing.extend(named.filter(|name| !known(name)));
        }
        let section = if missing.is_empty() { "Outputs" } else { "Resources" };
        if missing.is_empty() {
            let named = self.outputs.iter().flat_map(|output| graph::references(&output.value));
            missing.extend(named.filter(|name| !known(name)));
        }
        if !missing.is_empty() {
            missing.sort();
            missing.dedup();
            return Err(TemplateError::Unresolved {
                names: missing,
                section,
            });
        }
        let conditions = self.resources.iter().filter_map(|resource| resource.condition.as_ref());
        for name in conditions.chain(self.outputs.iter().filter_map(|output| output.condition.as_ref())) {
            if self.conditions.get(name).is_none() {
                return format(format!(
                    "Unresolved condition dependency {name} in the Resources block of the template"
                ));
            }
        }
        graph::order(self).map(drop)
    }

    /// The resource of that name.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }

    /// The value of every parameter: given, kept from before, or the default.
    ///
    /// # Errors
    /// When one is missing, unknown or breaks a constraint.
    pub fn values(&self, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, TemplateError> {
        let refuse = |message: String| Err(TemplateError::Parameter(message));
        let unknown: Vec<&str> = given
            .keys()
            .map(String::as_str)
            .filter(|name| !self.parameters.iter().any(|known| known.name == *name))
            .collect();
        if !unknown.is_empty() {
            return refuse(format!(
                "Parameters: [{}] do not exist in the template",
                unknown.join(", ")
            ));
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for parameter in &self.parameters {
            match given.get(&parameter.name).or(parameter.default.as_ref()) {
                Some(value) => {
                    parameter.check(value).map_err(TemplateError::Parameter)?;
                    values.insert(parameter.name.clone(), value.clone());
                }
                None => missing.push(parameter.name.as_str()),
            }
        }
        if !missing.is_empty() {
            return refuse(format!("Parameters: [{}] must have values", missing.join(", ")));
        }
        Ok(values)
    }

    /// The capability that a template needs, with the types that ask for it.
    #[must_use]
    pub fn capability(&self) -> Option<(&'static str, Vec<&str>)> {
        let of_iam: Vec<&Resource> = self
            .resources
            .iter()
            .filter(|resource| resource.kind.starts_with("AWS::IAM::"))
            .collect();
        if of_iam.is_empty() {
            return None;
        }
        let names = [
            "RoleName",
            "UserName",
            "GroupName",
            "ManagedPolicyName",
            "InstanceProfileName",
        ];
        let named = of_iam
            .iter()
            // These name what is there, and have no names of their own.
            .filter(|resource| {
                !matches!(
                    resource.kind.as_str(),
                    "AWS::IAM::AccessKey" | "AWS::IAM::UserToGroupAddition"
                )
            })
            .any(|resource| names.iter().any(|name| resource.properties.get(name).is_some()));
        let mut kinds: Vec<&str> = of_iam.iter().map(|resource| resource.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Some((
            if named {
                "CAPABILITY_NAMED_IAM"
            } else {
                "CAPABILITY_IAM"
            },
            kinds,
        ))
    }
}

impl Parameter {
    /// Whether its value is a list, written with commas.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.kind == "CommaDelimitedList" || self.kind.starts_with("List<") || self.kind.contains("::List<")
    }

    fn check(&self, value: &str) -> Result<(), String> {
        let refuse = |default: String| {
            Err(self.constraint.clone().map_or(default.clone(), |text| {
                format!("Parameter {} failed to satisfy constraint: {text}", self.name)
            }))
        };
        let parts: Vec<&str> = if self.is_list() {
            value.split(',').map(str::trim).collect()
        } else {
            vec![value]
        };
        for part in parts {
            if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| allowed == part) {
                return refuse(format!("Parameter '{}' must be one of AllowedValues", self.name));
            }
            let number = part.parse::<f64>().ok();
            if self.kind.contains("Number") {
                let Some(number) = number else {
                    return Err(format!("Parameter '{}' must be a number.", self.name));
                };
                if self.value.0.is_some_and(|min| number < min as f64)
                    || self.value.1.is_some_and(|max| number > max as f64)
                {
                    return refuse(format!("Parameter '{}' must be a number within its bounds", self.name));
                }
            }
            let length = i64::try_from(part.chars().count()).unwrap_or(i64::MAX);
            if self.length.0.is_some_and(|min| length < min) {
                return refuse(format!(
                    "Parameter '{}' must contain at least {} characters",
                    self.name,
                    self.length.0.unwrap_or(0)
                ));
            }
            if self.length.1.is_some_and(|max| length > max) {
                return refuse(format!(
                    "Parameter '{}' must contain at most {} characters",
                    self.name,
                    self.length.1.unwrap_or(0)
                ));
            }
        }
        Ok(())
    }
}

fn texts(node: &Node) -> Vec<String> {
    match node {
        Node::List(items) => items.iter().filter_map(Node::scalar).collect(),
        other => other.scalar().into_iter().collect(),
    }
}

fn parameter(name: &str, node: &Node) -> Result<Parameter, TemplateError> {
    let text = |member: &str| node.get(member).and_then(Node::scalar);
    let number = |member: &str| text(member).and_then(|text| text.parse().ok());
    let Some(kind) = text("Type") else {
        return format(format!(
            "Every Parameters object must contain a Type member. (Parameters.{name})"
        ));
    };
    let default = node.get("Default").map(|value| match value {
        Node::List(_) => texts(value).join(","),
        other => other.scalar().unwrap_or_default(),
    });
    Ok(Parameter {
        name: name.to_owned(),
        kind,
        default,
        allowed: node.get("AllowedValues").map(texts).unwrap_or_default(),
        length: (number("MinLength"), number("MaxLength")),
        value: (number("MinValue"), number("MaxValue")),
        description: text("Description"),
        constraint: text("ConstraintDescription"),
        no_echo: text("NoEcho").as_deref() == Some("true"),
    })
}

fn resource(name: &str, node: &Node) -> Result<Resource, TemplateError> {
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) || name.is_empty() {
        return format(format!("Resource name {name} is non alphanumeric."));
    }
    let text = |member: &str| node.get(member).and_then(Node::scalar);
    let Some(kind) = text("Type") else {
        return format(format!(
            "[/Resources/{name}] Every Resources object must contain a Type member."
        ));
    };
    if let Some((unknown, _)) = node
        .entries()
        .iter()
        .find(|(member, _)| !ATTRIBUTES.contains(&member.as_str()))
    {
        return Err(TemplateError::Parameter(format!(
            "Invalid template resource property '{unknown}'"
        )));
    }
    Ok(Resource {
        name: name.to_owned(),
        kind,
        properties: node.get("Properties").cloned().unwrap_or(Node::Map(Vec::new())),
        depends_on: node.get("DependsOn").map(texts).unwrap_or_default(),
        condition: text("Condition"),
        deletion_policy: text("DeletionPolicy"),
        replace_policy: text("UpdateReplacePolicy"),
        update_policy: node.get("UpdatePolicy").cloned().unwrap_or_default(),
    })
}

fn output(name: &str, node: &Node) -> Result<Output, TemplateError> {
    let Some(value) = node.get("Value") else {
        return format(format!(
            "Every Outputs member must contain a Value object. (Outputs.{name})"
        ));
    };
    Ok(Output {
        name: name.to_owned(),
        value: value.clone(),
        description: node.get("Description").and_then(Node::scalar),
        export: node.get("Export").and_then(|export| export.get("Name")).cloned(),
        condition: node.get("Condition").and_then(Node::scalar),
    })
}
