//! AWS's own managed policies, as far as guides for EKS attach them: names, and what they allow.

use jiff::Timestamp;
use serde_json::json;

use super::policy::{ManagedPolicy, Version};

/// One policy a line: path and name, then the actions that it allows on everything; `!` before an action: everything but this.
const TABLE: &str = include_str!("aws_managed.txt");
const PREFIX: &str = "arn:aws:iam::aws:policy";

fn parse(line: &str) -> Option<ManagedPolicy> {
    let mut words = line.split_whitespace();
    let full = words.next()?;
    let (path, name) = full.rsplit_once('/')?;
    let actions: Vec<&str> = words.collect();
    let (member, actions): (&str, Vec<&str>) = if actions.iter().any(|action| action.starts_with('!')) {
        (
            "NotAction",
            actions.iter().map(|action| action.trim_start_matches('!')).collect(),
        )
    } else {
        ("Action", actions)
    };
    let document =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", member: actions, "Resource": "*"}]});
    let id: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_uppercase();
    let created_at = Timestamp::UNIX_EPOCH;
    Some(ManagedPolicy {
        arn: format!("{PREFIX}{full}"),
        name: name.to_owned(),
        id: format!("ANPA{id:0<17.17}"),
        path: format!("{path}/"),
        description: None,
        created_at,
        updated_at: created_at,
        versions: [(
            1,
            Version {
                document: document.to_string(),
                created_at,
            },
        )]
        .into(),
        default: 1,
        tags: Default::default(),
    })
}

/// Every policy.
pub fn all() -> impl Iterator<Item = ManagedPolicy> {
    TABLE.lines().filter_map(parse)
}

/// The policy of that ARN.
pub fn find(arn: &str) -> Option<ManagedPolicy> {
    let full = arn.strip_prefix(PREFIX)?;
    let line = TABLE
        .lines()
        .find(|line| line.split_whitespace().next() == Some(full))?;
    parse(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_policy_that_iam_would_take() {
        for policy in all() {
            super::super::policy::check(&policy.versions[&1].document).expect(&policy.name);
            assert!(policy.path.starts_with('/') && policy.id.len() == 21, "{policy:?}");
        }
        assert!(all().count() > 35);
    }
}
