//! Where the members of an EKS request travel: in the path, in the query string, or in the body.

use aws_types::shapes::{Location, Service};
use serde::Serialize;
use stack_planner::Node;

use crate::signing;

/// A request with its members in their places.
#[derive(Debug, PartialEq)]
pub struct Placed {
    /// The path.
    pub path: String,
    /// The query string, a list as a parameter for each element.
    pub query: Vec<(String, String)>,
    /// The body, JSON; empty when no member travels there.
    pub body: Vec<u8>,
}

/// Places the members of a request of an operation.
///
/// # Errors
/// When the request cannot be written.
pub fn place(model: &Service, operation: &str, request: &impl Serialize) -> Result<Placed, serde_json::Error> {
    let modelled = &model.operations[operation];
    let members: Node = serde_json::from_str(&serde_json::to_string(request)?)?;
    let mut path = modelled.uri.to_string();
    let mut query = Vec::new();
    let mut body = Vec::new();
    for (name, member) in modelled.input.iter().flat_map(|shape| &model.shape(shape).members.0) {
        let Some(value) = members.get(name) else { continue };
        let wire = member.location_name.as_deref().unwrap_or(name);
        match member.location {
            Some(Location::Uri) => path = path.replace(&format!("{{{wire}}}"), &signing::encode(&text(value))),
            Some(Location::Querystring) => match value {
                Node::List(items) => query.extend(items.iter().map(|item| (wire.to_owned(), text(item)))),
                one => query.push((wire.to_owned(), text(one))),
            },
            _ => body.push((wire.to_owned(), value.clone())),
        }
    }
    let body = if body.is_empty() {
        Vec::new()
    } else {
        serde_json::to_vec(&Node::Map(body))?
    };
    Ok(Placed { path, query, body })
}

fn text(value: &Node) -> String {
    value.scalar().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_types::eks::{DescribeAddonVersionsRequest, TagResourceRequest};
    use aws_types::shapes;

    use super::*;

    #[test]
    fn members_are_in_path_query_and_body_and_lists_are_repeated() {
        let model = shapes::service("eks").unwrap();
        let request = DescribeAddonVersionsRequest {
            addon_name: Some("coredns".to_owned()),
            owners: Some(vec!["aws".to_owned(), "community".to_owned()]),
            max_results: Some(5),
            ..DescribeAddonVersionsRequest::default()
        };
        let mut placed = place(model, "DescribeAddonVersions", &request).unwrap();
        placed.query.sort();
        let wanted = [
            ("addonName", "coredns"),
            ("maxResults", "5"),
            ("owners", "aws"),
            ("owners", "community"),
        ];
        assert_eq!(
            placed.query,
            wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(placed.body.is_empty());
        let request = TagResourceRequest {
            resource_arn: Some("arn:aws:eks:a/b".to_owned()),
            tags: Some([("k".to_owned(), "v".to_owned())].into()),
        };
        let placed = place(model, "TagResource", &request).unwrap();
        assert_eq!(placed.path, "/tags/arn%3Aaws%3Aeks%3Aa%2Fb");
        assert_eq!(placed.body, br#"{"tags":{"k":"v"}}"#);
    }
}
