//! `create|get|delete iamidentitymapping`: entries of `kube-system/aws-auth`.

use std::path::Path;

use cluster_lifecycle::aws_auth::edit::{self, Entry};
use cluster_lifecycle::cluster_config::parts::IdentityMapping;
use serde::Serialize;

use super::config;
use super::given::Given;
use crate::output;
use crate::session::{CommandError, Done, Made, Session};

/// What eksctl shows of a mapping.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    rolearn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    userarn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
}

impl From<Entry> for Summary {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Account(account) => Self {
                rolearn: None,
                userarn: None,
                account: Some(account),
                username: None,
                groups: None,
            },
            Entry::Principal { arn, username, groups } => {
                let is_user = arn.contains(":user/");
                Self {
                    rolearn: (!is_user).then(|| arn.clone()),
                    userarn: is_user.then_some(arn),
                    account: None,
                    username: Some(username),
                    groups: Some(groups),
                }
            }
        }
    }
}

/// `create iamidentitymapping`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let own = ["arn", "role", "account", "username", "group", "no-duplicate-arns"];
    let (mut config, _) = config::existing(given, &own)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    if given.config_file().is_none() {
        let arn = given.text("arn").or_else(|| given.text("role"));
        let mapping = IdentityMapping {
            arn,
            username: given.text("username"),
            groups: given.some_list("group"),
            account: given.text("account"),
            no_duplicate_arns: given.is_on("no-duplicate-arns").then_some(true),
        };
        if mapping.arn.is_none() && mapping.account.is_none() {
            return Err(CommandError::Usage("--arn or --account must be set".to_owned()).into());
        }
        config.iam_identity_mappings = Some(vec![mapping]);
    }
    let mappings = config.iam_identity_mappings.unwrap_or_default();
    session.create_identity_mappings(&config.metadata.name, &mappings).await
}

/// `get iamidentitymapping`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["arn", "role"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let client = session.kubernetes(&config.metadata.name).await?;
    let mut entries = edit::entries(&session.aws_auth(&client).await?)?;
    if let Some(wanted) = given.text("arn").or_else(|| given.text("role")) {
        entries.retain(|entry| matches!(entry, Entry::Principal { arn, .. } if *arn == wanted));
        if entries.is_empty() {
            return Err(CommandError::Usage(format!("no iamidentitymapping with arn {wanted:?} found")).into());
        }
    }
    let shown: Vec<Summary> = entries.into_iter().map(Summary::from).collect();
    let header = ["ARN", "USERNAME", "GROUPS", "ACCOUNT"];
    output::print(given.output()?, "iamidentitymappings", &shown, header, |mapping| {
        let arn = mapping.rolearn.clone().or_else(|| mapping.userarn.clone());
        [
            arn.unwrap_or_default(),
            mapping.username.clone().unwrap_or_default(),
            mapping.groups.clone().unwrap_or_default().join(","),
            mapping.account.clone().unwrap_or_default(),
        ]
    })
}

/// `delete iamidentitymapping`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["arn", "role", "account", "all"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let arn = given.text("arn").or_else(|| given.text("role"));
    let names: Vec<String> = match (arn, given.text("account"), &config.iam_identity_mappings) {
        (Some(_), Some(_), _) => {
            return Err(CommandError::Usage("only one of --arn and --account can be set".to_owned()).into());
        }
        (Some(name), None, _) | (None, Some(name), _) => vec![name],
        (None, None, Some(mappings)) => {
            let named = mappings
                .iter()
                .filter_map(|mapping| mapping.arn.clone().or_else(|| mapping.account.clone()));
            named.collect()
        }
        (None, None, None) => return Err(CommandError::Usage("--arn or --account must be set".to_owned()).into()),
    };
    let client = session.kubernetes(&config.metadata.name).await?;
    let mut data = session.aws_auth(&client).await?;
    for name in &names {
        let removed = edit::remove(&mut data, name, given.is_on("all"))?;
        if removed == 0 {
            return Err(CommandError::Usage(format!("no iamidentitymapping of {name:?} found")).into());
        }
        session
            .progress
            .info(format!("removing identity {name:?} from auth ConfigMap ({removed})"));
    }
    session.put_aws_auth(&client, data).await
}

impl Session {
    /// Adds mappings to `aws-auth`.
    ///
    /// # Errors
    /// When an ARN is of neither role nor user, is there already and must not be, or the API server refuses.
    pub async fn create_identity_mappings(&self, cluster: &str, mappings: &[IdentityMapping]) -> Made<()> {
        if mappings.is_empty() {
            return Ok(());
        }
        let client = self.kubernetes(cluster).await?;
        let mut data = self.aws_auth(&client).await?;
        for mapping in mappings {
            let there = edit::entries(&data)?;
            let entry = match (&mapping.arn, &mapping.account) {
                (Some(arn), _) => {
                    let same = |entry: &Entry| matches!(entry, Entry::Principal { arn: other, .. } if other == arn);
                    let is_there = there.iter().any(same);
                    if is_there && mapping.no_duplicate_arns == Some(true) {
                        return Err(
                            CommandError::Usage(format!("found existing mapping with the same arn {arn:?}")).into(),
                        );
                    }
                    if is_there {
                        self.progress.warning(format!(
                            "found existing mappings with the same arn {arn:?} (which will be shadowed)"
                        ));
                    }
                    Entry::Principal {
                        arn: arn.clone(),
                        username: mapping.username.clone().unwrap_or_default(),
                        groups: mapping.groups.clone().unwrap_or_default(),
                    }
                }
                (None, Some(account)) => Entry::Account(account.clone()),
                (None, None) => {
                    return Err(
                        CommandError::Usage("an identity mapping needs an arn or an account".to_owned()).into(),
                    );
                }
            };
            if there.contains(&entry) {
                self.progress.info("no new mappings were added to auth ConfigMap");
                continue;
            }
            self.progress.info(format!(
                "adding identity {:?} to auth ConfigMap",
                mapping
                    .arn
                    .as_ref()
                    .or(mapping.account.as_ref())
                    .cloned()
                    .unwrap_or_default()
            ));
            edit::add(&mut data, &entry)?;
        }
        self.put_aws_auth(&client, data).await
    }
}
