//! Answers of EKS as AWS's SDK for Go writes them down, which is how eksctl prints them: first letters large, required members
//! before the others, and every member there, null when it has no value.

use aws_types::shapes::{self, Kind, Member, Service, Shape};
use aws_types::time::Time;
use serde::{Serialize, Serializer};
use stack_planner::Node;

use super::plain;
use crate::session::CommandError;

/// A list of answers of that shape.
///
/// # Errors
/// When one cannot be written.
pub fn list<T: Serialize>(shape: &str, answers: &[T]) -> Result<Node, CommandError> {
    let service = shapes::service("eks").expect("EKS has a table");
    let items = answers
        .iter()
        .map(|answer| written(service, shape, Some(&plain(answer)?)))
        .collect::<Result<_, CommandError>>()?;
    Ok(Node::List(items))
}

fn written(service: &Service, name: &str, value: Option<&Node>) -> Result<Node, CommandError> {
    let shape = service.shape(name);
    let value = match value {
        None | Some(Node::Null) => return Ok(absent(name, shape)),
        Some(value) => value,
    };
    Ok(match (shape.kind, value) {
        (Kind::Structure, value) => structure(service, shape, value)?,
        (Kind::List, Node::List(items)) => {
            let element = element(shape.member.as_ref(), name)?;
            let items = items.iter().map(|item| written(service, element, Some(item)));
            Node::List(items.collect::<Result<_, CommandError>>()?)
        }
        (Kind::Map, Node::Map(entries)) => {
            let element = element(shape.value.as_ref(), name)?;
            let entries = entries
                .iter()
                .map(|(key, value)| Ok((key.clone(), written(service, element, Some(value))?)));
            Node::Map(entries.collect::<Result<_, CommandError>>()?)
        }
        (Kind::Timestamp, value) => Node::text(time(value)?),
        (_, value) => value.clone(),
    })
}

/// What stands for a value that is not there: enumerations and plain booleans are no pointers in Go.
fn absent(name: &str, shape: &Shape) -> Node {
    match shape.kind {
        Kind::String if !shape.values.is_empty() => Node::text(""),
        Kind::Boolean if !name.starts_with("Boxed") => Node::Bool(false),
        _ => Node::Null,
    }
}

fn structure(service: &Service, shape: &Shape, value: &Node) -> Result<Node, CommandError> {
    let mut members: Vec<&(Box<str>, Member)> = shape.members.0.iter().collect();
    members.sort_by_key(|(name, _)| (!shape.required.contains(name), name));
    let entries = members.into_iter().map(|(name, member)| {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        let written = written(service, &member.shape, value.get(name))?;
        Ok((first.into_iter().chain(letters).collect(), written))
    });
    Ok(Node::Map(entries.collect::<Result<_, CommandError>>()?))
}

fn element<'a>(member: Option<&'a Member>, name: &str) -> Result<&'a str, CommandError> {
    let member = member.ok_or_else(|| CommandError::Usage(format!("the shape {name} has no element")))?;
    Ok(&member.shape)
}

/// A time as Go writes it, to the millisecond that EKS tells.
///
/// # Errors
/// The serializer's own.
pub fn go_time<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&time.map(|Time(moment)| moment.to_string()))
}

/// Seconds since 1970 as Go writes a time.
fn time(seconds: &Node) -> Result<String, CommandError> {
    let wrong = |error: serde_json::Error| CommandError::Usage(format!("write a time: {error}"));
    let text = serde_json::to_string(seconds).map_err(wrong)?;
    let Time(moment) = serde_json::from_str(&text).map_err(wrong)?;
    Ok(moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_written_in_go_s_order() {
        let made: jiff::Timestamp = "2026-11-30T00:54:20.999Z".parse().unwrap();
        let cluster = aws_types::eks::Cluster {
            name: Some("demo".to_owned()),
            created_at: Some(made.into()),
            tags: Some([("a-key".to_owned(), "b".to_owned())].into()),
            resources_vpc_config: Some(aws_types::eks::VpcConfigResponse::default()),
            ..Default::default()
        };
        let shown = list("Cluster", &[cluster]).unwrap();
        let shown = &shown.items()[0];
        let names: Vec<&str> = shown.entries().iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(shown.get("CreatedAt"), Some(&Node::text("2026-11-30T00:54:20.999Z")));
        assert_eq!(shown.get("Status"), Some(&Node::text("")));
        assert_eq!(shown.get("OutpostConfig"), Some(&Node::Null));
        assert_eq!(shown.get("Tags").unwrap().get("a-key"), Some(&Node::text("b")));
        let network = shown.get("ResourcesVpcConfig").unwrap();
        assert_eq!(network.get("EndpointPublicAccess"), Some(&Node::Bool(false)));
        let provider = list(
            "ConnectorConfigRequest",
            &[aws_types::eks::ConnectorConfigRequest::default()],
        )
        .unwrap();
        let names: Vec<&str> = provider.items()[0]
            .entries()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["Provider", "RoleArn"]);
    }
}
