//! The ConfigMap `kube-system/aws-auth`: IAM principals as Kubernetes users, the older way.

pub mod edit;

use std::collections::BTreeMap;

use serde::Deserialize;

/// One mapping of a role or user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Mapping {
    #[serde(alias = "userarn", alias = "rolearn")]
    arn: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// Who asks, as templates may use it.
#[derive(Debug, Clone, Copy)]
pub struct Principal<'a> {
    /// The ARN of the user, or of the role behind a session.
    pub canonical_arn: &'a str,
    /// The account.
    pub account: &'a str,
    /// The session's name; empty for users.
    pub session: &'a str,
    /// The key that signed.
    pub access_key_id: &'a str,
    /// The private name of the instance that the session's name is, if it is one.
    pub private_dns_name: Option<&'a str>,
}

/// A user and its groups.
pub type Mapped = (String, Vec<String>);

/// A part of the ConfigMap that cannot be read. The others count all the same.
#[derive(Debug, thiserror::Error)]
#[error("aws-auth: {part} is not a list of mappings")]
pub struct MappingError {
    /// Which part.
    pub part: &'static str,
    /// What the parser says.
    #[source]
    pub source: Box<serde_saphyr::Error>,
}

/// The user that the ConfigMap makes of a principal, and the parts that cannot be read.
#[must_use]
pub fn map(data: &BTreeMap<String, String>, principal: &Principal<'_>) -> (Option<Mapped>, Vec<MappingError>) {
    let mut broken = Vec::new();
    for part in ["mapRoles", "mapUsers"] {
        let Some(text) = data.get(part) else { continue };
        match serde_saphyr::from_str::<Option<Vec<Mapping>>>(text) {
            Ok(mappings) => {
                let mut fitting = mappings.into_iter().flatten();
                let found = fitting.find(|mapping| mapping.arn.eq_ignore_ascii_case(principal.canonical_arn));
                if let Some(mapped) = found.and_then(|mapping| filled(&mapping, principal)) {
                    return (Some(mapped), broken);
                }
            }
            Err(source) => broken.push(MappingError {
                part,
                source: Box::new(source),
            }),
        }
    }
    match data
        .get("mapAccounts")
        .map(|text| serde_saphyr::from_str::<Option<Vec<String>>>(text))
    {
        Some(Ok(accounts)) if accounts.iter().flatten().any(|account| account == principal.account) => {
            return (Some((principal.canonical_arn.to_owned(), Vec::new())), broken);
        }
        Some(Err(source)) => broken.push(MappingError {
            part: "mapAccounts",
            source: Box::new(source),
        }),
        _ => {}
    }
    (None, broken)
}

fn filled(mapping: &Mapping, principal: &Principal<'_>) -> Option<Mapped> {
    let name = template(&mapping.username, principal)?;
    let groups = mapping
        .groups
        .iter()
        .map(|group| template(group, principal))
        .collect::<Option<_>>()?;
    Some((
        if name.is_empty() {
            principal.canonical_arn.to_owned()
        } else {
            name
        },
        groups,
    ))
}

/// A text with its `{{…}}` filled in; `None` when an instance's name is wanted and the session is none.
#[must_use]
pub fn template(text: &str, principal: &Principal<'_>) -> Option<String> {
    let mut out = text
        .replace("{{AccountID}}", principal.account)
        .replace("{{SessionNameRaw}}", principal.session)
        .replace("{{SessionName}}", &principal.session.replace('@', "-"))
        .replace("{{AccessKeyID}}", principal.access_key_id);
    if out.contains("{{EC2PrivateDNSName}}") {
        out = out.replace("{{EC2PrivateDNSName}}", principal.private_dns_name?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_are_mapped_by_arn_account_and_template() {
        let data: BTreeMap<String, String> = [
            ("mapRoles", "- rolearn: arn:aws:iam::1:role/Ops\n  username: ops:{{SessionName}}\n  groups: [a, 'g:{{AccountID}}']\n- rolearn: arn:aws:iam::1:role/nodes\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n"),
            ("mapUsers", "- userarn: arn:aws:iam::1:user/kim\n  username: kim\n  groups:\n  - system:masters\n"),
            ("mapAccounts", "- \"2\"\n"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let mapped = |arn, account, session, dns| {
            let principal = Principal {
                canonical_arn: arn,
                account,
                session,
                access_key_id: "K",
                private_dns_name: dns,
            };
            map(&data, &principal).0
        };
        let groups = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            mapped("arn:aws:iam::1:role/ops", "1", "a@b", None),
            Some(("ops:a-b".to_owned(), groups(&["a", "g:1"])))
        );
        assert_eq!(
            mapped("arn:aws:iam::1:user/kim", "1", "", None),
            Some(("kim".to_owned(), groups(&["system:masters"])))
        );
        assert_eq!(
            mapped("arn:aws:iam::1:role/nodes", "1", "i-1", Some("ip-10")),
            Some(("system:node:ip-10".to_owned(), groups(&["system:nodes"])))
        );
        assert_eq!(mapped("arn:aws:iam::1:role/nodes", "1", "x", None), None);
        assert_eq!(
            mapped("arn:aws:iam::2:user/lee", "2", "", None),
            Some(("arn:aws:iam::2:user/lee".to_owned(), groups(&[])))
        );
        assert_eq!(mapped("arn:aws:iam::1:user/lee", "1", "", None), None);
    }

    #[test]
    fn a_part_that_cannot_be_read_hides_no_other() {
        let data = [
            ("mapRoles".to_owned(), "{".to_owned()),
            ("mapAccounts".to_owned(), "['1']".to_owned()),
        ]
        .into();
        let principal = Principal {
            canonical_arn: "a",
            account: "1",
            session: "",
            access_key_id: "",
            private_dns_name: None,
        };
        let (mapped, broken) = map(&data, &principal);
        assert_eq!(mapped, Some(("a".to_owned(), Vec::new())));
        assert_eq!(broken.len(), 1);
    }
}
