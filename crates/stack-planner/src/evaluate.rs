//! Intrinsic functions: values of a template to values without functions.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;

use crate::graph::variables;
use crate::node::Node;
use crate::template::Template;

/// What `AWS::…` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pseudo {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The stack's name.
    pub stack_name: String,
    /// The stack's ARN.
    pub stack_id: String,
    /// The region's zones, for `Fn::GetAZs`.
    pub zones: Vec<String>,
}

/// What is outside of the template: resources that are there, and exports of other stacks.
pub trait Resources {
    /// The physical id behind `Ref`; `None` when the resource is not there yet.
    fn reference(&self, name: &str) -> Option<Node>;
    /// An attribute behind `Fn::GetAtt`.
    fn attribute(&self, name: &str, attribute: &str) -> Option<Node>;
    /// An export's value.
    fn import(&self, name: &str) -> Option<String>;
}

/// Everything that functions may ask for.
pub struct Scope<'a> {
    /// The template.
    pub template: &'a Template,
    /// Values of its parameters.
    pub parameters: &'a BTreeMap<String, String>,
    /// Pseudo parameters.
    pub pseudo: &'a Pseudo,
    /// The world.
    pub resources: &'a dyn Resources,
}

/// Why a value cannot be had. `Display` is CloudFormation's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EvaluateError(pub String);

type Result<T> = std::result::Result<T, EvaluateError>;

fn refuse<T>(message: impl Into<String>) -> Result<T> {
    Err(EvaluateError(message.into()))
}

impl Scope<'_> {
    /// A value with every function replaced by what it gives; members that are `AWS::NoValue` are left out.
    ///
    /// # Errors
    /// When a function's arguments cannot be.
    pub fn value(&self, node: &Node) -> Result<Node> {
        Ok(self.optional(node)?.unwrap_or_default())
    }

    /// Whether a condition of the template holds.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub fn condition(&self, name: &str) -> Result<bool> {
        match self.template.conditions.get(name) {
            Some(node) => self.truth(node),
            None => refuse(format!("Template error: unresolved condition {name}")),
        }
    }

    /// Whether something with an optional condition is there.
    ///
    /// # Errors
    /// When the condition cannot be evaluated.
    pub fn is_there(&self, condition: Option<&str>) -> Result<bool> {
        condition.map_or(Ok(true), |name| self.condition(name))
    }

    fn truth(&self, node: &Node) -> Result<bool> {
        match node.single() {
            Some(("Condition", Node::Text(name))) => self.condition(name),
            Some(("Fn::Equals", Node::List(sides))) => match &sides[..] {
                [left, right] => {
                    let (left, right) = (self.value(left)?, self.value(right)?);
                    Ok(left == right || (left.scalar().is_some() && left.scalar() == right.scalar()))
                }
                _ => refuse("Template error: every Fn::Equals object requires a list of 2 string parameters."),
            },
            Some(("Fn::And", parts)) => parts
                .items()
                .iter()
                .try_fold(true, |all, part| Ok(all && self.truth(part)?)),
            Some(("Fn::Or", parts)) => parts
                .items()
                .iter()
                .try_fold(false, |any, part| Ok(any || self.truth(part)?)),
            Some(("Fn::Not", parts)) => match parts.items() {
                [part] => Ok(!self.truth(part)?),
                _ => refuse("Template error: Fn::Not requires a list of one condition."),
            },
            _ => match self.value(node)?.scalar().as_deref() {
                Some("true") => Ok(true),
                Some("false") => Ok(false),
                _ => refuse("Template error: a condition must be true or false"),
            },
        }
    }

    /// `None` is `AWS::NoValue`.
    fn optional(&self, node: &Node) -> Result<Option<Node>> {
        if let Some((name, arguments)) = node.single()
            && (name == "Ref" || name == "Condition" || name.starts_with("Fn::"))
            && let Some(value) = self.function(name, arguments)?
        {
            return Ok(value);
        }
        Ok(Some(match node {
            Node::List(items) => {
                let values: Vec<Option<Node>> = items.iter().map(|item| self.optional(item)).collect::<Result<_>>()?;
                Node::List(values.into_iter().flatten().collect())
            }
            Node::Map(entries) => {
                let mut values = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    if let Some(value) = self.optional(value)? {
                        values.push((key.clone(), value));
                    }
                }
                Node::Map(values)
            }
            scalar => scalar.clone(),
        }))
    }

    /// `None` when the name is no function, so that the map stands for itself.
    fn function(&self, name: &str, arguments: &Node) -> Result<Option<Option<Node>>> {
        let value = match name {
            "Ref" => return self.reference(arguments).map(Some),
            "Fn::If" => return self.choose(arguments).map(Some),
            "Fn::GetAtt" => self.attribute(arguments)?,
            "Fn::Sub" => self.substitute(arguments)?,
            "Fn::Join" => self.join(arguments)?,
            "Fn::Split" => self.split(arguments)?,
            "Fn::Select" => self.select(arguments)?,
            "Fn::FindInMap" => self.find_in_map(arguments)?,
            "Fn::ImportValue" => {
                let export = self.text(arguments, name)?;
                match self.resources.import(&export) {
                    Some(value) => Node::Text(value),
                    None => return refuse(format!("No export named {export} found.")),
                }
            }
            "Fn::Base64" => Node::Text(STANDARD.encode(self.text(arguments, name)?)),
            "Fn::Cidr" => self.cidr(arguments)?,
            "Fn::GetAZs" => {
                let region = self.value(arguments)?.scalar().unwrap_or_default();
                let own = region.is_empty() || region == self.pseudo.region;
                let zones = if own { self.pseudo.zones.clone() } else { Vec::new() };
                Node::List(zones.into_iter().map(Node::Text).collect())
            }
            "Fn::Length" => {
                let list = self.value(arguments)?;
                Node::Integer(i64::try_from(list.items().len()).unwrap_or(i64::MAX))
            }
            "Fn::ToJsonString" => {
                let value = self.value(arguments)?;
                Node::Text(serde_json::to_string(&value).map_err(|error| EvaluateError(error.to_string()))?)
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => {
                Node::Bool(self.truth(&Node::Map(vec![(name.to_owned(), arguments.clone())]))?)
            }
            // `Condition` is a member of many maps (IAM's policies), and a function only within conditions.
            "Condition" => return Ok(None),
            _ => {
                return refuse(format!(
                    "Template error: instance of {name} is not a known intrinsic function"
                ));
            }
        };
        Ok(Some(Some(value)))
    }

    fn text(&self, node: &Node, function: &str) -> Result<String> {
        match self.value(node)?.scalar() {
            Some(text) => Ok(text),
            None => refuse(format!("Template error: {function} requires a string")),
        }
    }

    fn reference(&self, name: &Node) -> Result<Option<Node>> {
        let name = name.as_text().unwrap_or_default();
        let pseudo = self.pseudo;
        let value = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::AccountId" => Node::text(&*pseudo.account),
            "AWS::Region" => Node::text(&*pseudo.region),
            "AWS::StackName" => Node::text(&*pseudo.stack_name),
            "AWS::StackId" => Node::text(&*pseudo.stack_id),
            "AWS::Partition" => Node::text("aws"),
            "AWS::URLSuffix" => Node::text("amazonaws.com"),
            "AWS::NotificationARNs" => Node::List(Vec::new()),
            _ => match self.template.parameters.iter().find(|known| known.name == name) {
                Some(parameter) => {
                    let value = self.parameters.get(name).cloned().unwrap_or_default();
                    if parameter.is_list() {
                        let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
                        Node::List(parts.map(Node::text).collect())
                    } else {
                        Node::Text(value)
                    }
                }
                None => match self.resources.reference(name) {
                    Some(value) => value,
                    None => return refuse(format!("Unresolved resource dependency {name}")),
                },
            },
        };
        Ok(Some(value))
    }

    fn attribute(&self, arguments: &Node) -> Result<Node> {
        let (name, attribute) = match arguments {
            Node::Text(dotted) => dotted
                .split_once('.')
                .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
                .unwrap_or_default(),
            Node::List(items) => match &items[..] {
                [name, attribute] => (self.text(name, "Fn::GetAtt")?, self.text(attribute, "Fn::GetAtt")?),
                _ => {
                    return refuse(
                        "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute",
                    );
                }
            },
            _ => return refuse("Template error: Fn::GetAtt object requires a string or a list"),
        };
        match self.resources.attribute(&name, &attribute) {
            Some(value) => Ok(value),
            None => refuse(format!(
                "Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            )),
        }
    }

    fn substitute(&self, arguments: &Node) -> Result<Node> {
        let (text, own) = match arguments {
            Node::Text(text) => (text.clone(), Vec::new()),
            Node::List(items) => {
                let text = items.first().and_then(Node::as_text).unwrap_or_default().to_owned();
                let mut own = Vec::new();
                for (name, value) in items.get(1).map(Node::entries).unwrap_or_default() {
                    own.push((name.clone(), self.text(value, "Fn::Sub")?));
                }
                (text, own)
            }
            _ => {
                return refuse(
                    "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments.",
                );
            }
        };
        let mut out = text.clone();
        for name in variables(&text) {
            let value = match own.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => value.clone(),
                None => {
                    let node = match name.split_once('.') {
                        Some(_) => self.attribute(&Node::text(&*name))?,
                        None => self.reference(&Node::text(&*name))?.unwrap_or_default(),
                    };
                    node.scalar().ok_or_else(|| {
                        EvaluateError(format!("Template error: variable {name} in Fn::Sub is no string"))
                    })?
                }
            };
            out = out.replace(&format!("${{{name}}}"), &value);
        }
        Ok(Node::Text(out.replace("${!", "${")))
    }

    fn join(&self, arguments: &Node) -> Result<Node> {
        let [delimiter, values] = arguments.items() else {
            return refuse(
                "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined",
            );
        };
        let delimiter = self.text(delimiter, "Fn::Join")?;
        let values = self.value(values)?;
        let parts: Option<Vec<String>> = values.items().iter().map(Node::scalar).collect();
        parts.map(|parts| Node::Text(parts.join(&delimiter))).ok_or_else(|| {
            EvaluateError("Template error: every Fn::Join object requires a list of strings to be joined".to_owned())
        })
    }

    fn split(&self, arguments: &Node) -> Result<Node> {
        let [delimiter, text] = arguments.items() else {
            return refuse(
                "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split",
            );
        };
        let (delimiter, text) = (self.text(delimiter, "Fn::Split")?, self.text(text, "Fn::Split")?);
        Ok(Node::List(text.split(&*delimiter).map(Node::text).collect()))
    }

    fn select(&self, arguments: &Node) -> Result<Node> {
        let [index, list] = arguments.items() else {
            return refuse("Template error: every Fn::Select object requires two parameters, an index and a list");
        };
        let index = self.text(index, "Fn::Select")?;
        let list = self.value(list)?;
        let chosen = index
            .parse::<usize>()
            .ok()
            .and_then(|index| list.items().get(index).cloned());
        chosen.ok_or_else(|| {
            EvaluateError(format!(
                "Template error: Fn::Select cannot select nonexistent value at index {index}"
            ))
        })
    }

    fn find_in_map(&self, arguments: &Node) -> Result<Node> {
        let [map, first, second, options @ ..] = arguments.items() else {
            return refuse(
                "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value",
            );
        };
        let (map, first, second) = (
            self.text(map, "Fn::FindInMap")?,
            self.text(first, "Fn::FindInMap")?,
            self.text(second, "Fn::FindInMap")?,
        );
        let found = self
            .template
            .mappings
            .get(&map)
            .and_then(|map| map.get(&first))
            .and_then(|keys| keys.get(&second));
        let default = options.first().and_then(|options| options.get("DefaultValue"));
        match (found, default) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(default)) => self.value(default),
            (None, None) => refuse(format!(
                "Template error: Unable to get mapping for {map}::{first}::{second}"
            )),
        }
    }

    fn choose(&self, arguments: &Node) -> Result<Option<Node>> {
        let [condition, yes, no] = arguments.items() else {
            return refuse("Template error: Fn::If requires a list argument with three elements");
        };
        let name = condition.as_text().unwrap_or_default();
        self.optional(if self.condition(name)? { yes } else { no })
    }

    /// Blocks of a block: how many, and how many bits each has.
    fn cidr(&self, arguments: &Node) -> Result<Node> {
        let [block, count, rest @ ..] = arguments.items() else {
            return refuse("Template error: every Fn::Cidr object requires two parameters, (1) ipBlock and (2) count");
        };
        let (block, count) = (self.text(block, "Fn::Cidr")?, self.text(count, "Fn::Cidr")?);
        let bits = rest.first().map(|bits| self.text(bits, "Fn::Cidr")).transpose()?;
        let wrong = || {
            EvaluateError(format!(
                "Template error: Fn::Cidr cannot cut {count} blocks out of {block}"
            ))
        };
        let net: IpNet = block.parse().map_err(|_no_block| wrong())?;
        let count: usize = count.parse().map_err(|_no_number| wrong())?;
        let width = if net.addr().is_ipv4() { 32 } else { 128 };
        let default = if width == 32 { 8 } else { 64 };
        let bits = bits.map_or(Ok(default), |bits| bits.parse::<u8>().map_err(|_no_number| wrong()))?;
        let prefix = u8::try_from(width)
            .unwrap_or(u8::MAX)
            .checked_sub(bits)
            .ok_or_else(wrong)?;
        let blocks: Vec<Node> = net
            .subnets(prefix)
            .map_err(|_too_small| wrong())?
            .take(count)
            .map(|net| Node::Text(net.to_string()))
            .collect();
        if blocks.len() < count {
            Err(wrong())
        } else {
            Ok(Node::List(blocks))
        }
    }
}

#[cfg(test)]
mod tests;
