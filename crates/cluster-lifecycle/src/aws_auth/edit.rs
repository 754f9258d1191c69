//! The ConfigMap `aws-auth` changed: mappings added and removed, as `eksctl create|delete iamidentitymapping` does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A mapping as the ConfigMap holds and eksctl shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A role or user.
    Principal {
        /// Its ARN.
        arn: String,
        /// Its Kubernetes name.
        username: String,
        /// Its Kubernetes groups.
        groups: Vec<String>,
    },
    /// Every principal of an account, by its ARN.
    Account(String),
}

/// Why the ConfigMap cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A part of it is not what it should be.
    #[error("aws-auth: {part} is not a list of mappings")]
    Part {
        /// Which.
        part: &'static str,
        /// What the parser says.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// A part of it cannot be written.
    #[error("aws-auth: {part} cannot be written")]
    Write {
        /// Which.
        part: &'static str,
        /// Why.
        #[source]
        source: Box<serde_saphyr::SerializeError>,
    },
    /// The ARN is neither a role's nor a user's.
    #[error("ARN {0:?} is not of a role or user")]
    Arn(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mapping {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    groups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    rolearn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    userarn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    username: Option<String>,
}

impl Mapping {
    fn entry(self) -> Entry {
        Entry::Principal {
            arn: self.rolearn.or(self.userarn).unwrap_or_default(),
            username: self.username.unwrap_or_default(),
            groups: self.groups.unwrap_or_default(),
        }
    }
}

/// Everything that the ConfigMap maps: roles, users, accounts.
///
/// # Errors
/// When a part of it cannot be read.
pub fn entries(data: &BTreeMap<String, String>) -> Result<Vec<Entry>, EditError> {
    let mut found: Vec<Entry> = Vec::new();
    for part in ["mapRoles", "mapUsers"] {
        found.extend(mappings(data, part)?.into_iter().map(Mapping::entry));
    }
    found.extend(accounts(data)?.into_iter().map(Entry::Account));
    Ok(found)
}

/// The ConfigMap's data with one more entry.
///
/// # Errors
/// When it cannot be read, or the ARN is of neither role nor user.
pub fn add(data: &mut BTreeMap<String, String>, entry: &Entry) -> Result<(), EditError> {
    match entry {
        Entry::Account(account) => {
            let mut all = accounts(data)?;
            if !all.contains(account) {
                all.push(account.clone());
            }
            put(data, "mapAccounts", &all)
        }
        Entry::Principal { arn, username, groups } => {
            let part = part_of(arn)?;
            let mut all = mappings(data, part)?;
            let is_role = part == "mapRoles";
            all.push(Mapping {
                groups: Some(groups.clone()),
                rolearn: is_role.then(|| arn.clone()),
                userarn: (!is_role).then(|| arn.clone()),
                username: Some(username.clone()),
            });
            put(data, part, &all)
        }
    }
}

/// Takes entries of that ARN or account out, all of them or the first; says how many there were.
///
/// # Errors
/// When the ConfigMap cannot be read.
pub fn remove(data: &mut BTreeMap<String, String>, name: &str, every: bool) -> Result<usize, EditError> {
    let mut removed = 0;
    let mut goes = |fits: bool| {
        let goes = fits && (every || removed == 0);
        removed += usize::from(goes);
        goes
    };
    if name.starts_with("arn:") {
        let part = part_of(name)?;
        let mut all = mappings(data, part)?;
        all.retain(|mapping| {
            let arn = mapping.rolearn.as_deref().or(mapping.userarn.as_deref());
            !goes(arn == Some(name))
        });
        put(data, part, &all)?;
    } else {
        let mut all = accounts(data)?;
        all.retain(|account| !goes(account == name));
        put(data, "mapAccounts", &all)?;
    }
    Ok(removed)
}

fn part_of(arn: &str) -> Result<&'static str, EditError> {
    if arn.contains(":role/") || arn.contains(":assumed-role/") {
        Ok("mapRoles")
    } else if arn.contains(":user/") {
        Ok("mapUsers")
    } else {
        Err(EditError::Arn(arn.to_owned()))
    }
}

fn mappings(data: &BTreeMap<String, String>, part: &'static str) -> Result<Vec<Mapping>, EditError> {
    read::<Mapping>(data, part)
}

fn accounts(data: &BTreeMap<String, String>) -> Result<Vec<String>, EditError> {
    read::<String>(data, "mapAccounts")
}

fn read<T: serde::de::DeserializeOwned>(
    data: &BTreeMap<String, String>,
    part: &'static str,
) -> Result<Vec<T>, EditError> {
    let Some(text) = data.get(part).filter(|text| !text.trim().is_empty()) else {
        return Ok(Vec::new());
    };
    let read: Result<Option<Vec<T>>, _> = serde_saphyr::from_str(text);
    read.map(Option::unwrap_or_default).map_err(|source| EditError::Part {
        part,
        source: Box::new(source),
    })
}

fn put<T: Serialize>(data: &mut BTreeMap<String, String>, part: &'static str, all: &[T]) -> Result<(), EditError> {
    let text = serde_saphyr::to_string(&all).map_err(|source| EditError::Write {
        part,
        source: Box::new(source),
    })?;
    data.insert(part.to_owned(), text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(arn: &str, username: &str) -> Entry {
        Entry::Principal {
            arn: arn.to_owned(),
            username: username.to_owned(),
            groups: vec!["system:masters".to_owned()],
        }
    }

    #[test]
    fn what_is_added_is_listed_mapped_and_removed_again() {
        let mut data = BTreeMap::new();
        let role = "arn:aws:iam::1:role/ops";
        for entry in [
            principal(role, "ops"),
            principal(role, "again"),
            principal("arn:aws:iam::1:user/kim", "kim"),
            Entry::Account("2".to_owned()),
        ] {
            add(&mut data, &entry).unwrap();
        }
        assert_eq!(entries(&data).unwrap().len(), 4);
        let asked = super::super::Principal {
            canonical_arn: role,
            account: "1",
            session: "",
            access_key_id: "",
            private_dns_name: None,
        };
        let (mapped, broken) = super::super::map(&data, &asked);
        assert_eq!(mapped.map(|(name, _)| name).as_deref(), Some("ops"));
        assert!(broken.is_empty(), "what is written can be read: {data:?}");
        assert_eq!(remove(&mut data, role, false).unwrap(), 1);
        assert_eq!(remove(&mut data, role, true).unwrap(), 1);
        assert_eq!(remove(&mut data, "2", true).unwrap(), 1);
        assert_eq!(remove(&mut data, role, true).unwrap(), 0);
        assert_eq!(entries(&data).unwrap(), [principal("arn:aws:iam::1:user/kim", "kim")]);
        assert!(add(&mut data, &principal("arn:aws:s3:::x", "x")).is_err());
    }
}
