//! `create|get|delete|update iamserviceaccount`: a role that trusts a service account's tokens, and the account that names it.

use std::path::Path;
use std::time::Duration;

use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{
    ServiceAccount, ServiceAccountMeta, ServiceAccountStatus, WellKnownPolicies,
};

use super::config::{self, included};
use super::given::Given;
use crate::kubernetes::{ROLE_ANNOTATION, WantedAccount};
use crate::output;
use crate::role::{Role, Trust};
use crate::session::{CommandError, Done, Made, Session};
use crate::stack::Stack;

/// The tag that names a stack's service account.
const TAG: &str = "alpha.eksctl.io/iamserviceaccount-name";

/// `create iamserviceaccount`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let (config, accounts) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let client = session.kubernetes(cluster).await?;
    let mut chosen = Vec::new();
    for account in accounts {
        let foreign = session
            .has_foreign_service_account(&client, account.namespace(), account.name())
            .await?;
        let kept = foreign && !given.is_on("override-existing-serviceaccounts") && account.role_only != Some(true);
        if kept {
            session.progress.warning(format!(
                "serviceaccount {:?} exists already and is left out; use --override-existing-serviceaccounts to give it a role",
                account.full_name()
            ));
        } else {
            chosen.push(account);
        }
    }
    session
        .progress
        .info(format!("{} iamserviceaccount(s) will be created", chosen.len()));
    if given.is_plan(false) {
        return plan(&session);
    }
    session.create_service_accounts(cluster, &chosen, given.timeout()).await
}

/// `update iamserviceaccount`: the role's policies become those that are named.
pub async fn update(home: &Path, given: &Given) -> Done {
    let (config, accounts) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let stacks = session.service_account_stacks(cluster).await?;
    for account in &accounts {
        let full = account.full_name();
        let Some((stack, _)) = stacks.iter().find(|(_, shown)| shown.full_name() == full) else {
            session
                .progress
                .info(format!("cannot update IAMServiceAccount {full} as it does not exist"));
            continue;
        };
        if given.is_plan(false) {
            session
                .progress
                .info(format!("(plan) would update IAMServiceAccount {full}"));
            continue;
        }
        let role = session.service_account_role(cluster, account).await?;
        session
            .update_stack(&stack.name, &role.template(), given.timeout())
            .await?;
        session.progress.info(format!("updated IAMServiceAccount {full}"));
    }
    if given.is_plan(false) {
        plan(&session)?;
    }
    Ok(())
}

/// `get iamserviceaccount`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    session.existing_cluster(&config.metadata.name).await?;
    let (name, namespace) = (given.name("name")?, given.text("namespace"));
    let stacks = session.service_account_stacks(&config.metadata.name).await?;
    let mut accounts: Vec<ServiceAccount> = stacks.into_iter().map(|(_, account)| account).collect();
    accounts.retain(|account| {
        name.as_deref().is_none_or(|name| account.name() == name)
            && namespace
                .as_deref()
                .is_none_or(|namespace| account.namespace() == namespace)
    });
    output::print(
        given.output()?,
        "iamserviceaccounts",
        &accounts,
        ["NAMESPACE", "NAME", "ROLE ARN"],
        |account| {
            let role = account.status.as_ref().and_then(|status| status.role_arn.clone());
            [
                account.namespace().to_owned(),
                account.name().to_owned(),
                role.unwrap_or_default(),
            ]
        },
    )
}

/// `delete iamserviceaccount`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, mut accounts) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let stacks = session.service_account_stacks(cluster).await?;
    if given.is_on("only-missing") {
        let named: Vec<String> = accounts.iter().map(ServiceAccount::full_name).collect();
        let all = stacks.iter().map(|(_, account)| account.clone());
        accounts = all.filter(|account| !named.contains(&account.full_name())).collect();
    }
    session
        .progress
        .info(format!("{} iamserviceaccount(s) will be deleted", accounts.len()));
    if given.is_plan(given.config_file().is_none()) {
        return plan(&session);
    }
    let client = session.kubernetes(cluster).await?;
    for account in &accounts {
        let full = account.full_name();
        match stacks.iter().find(|(_, shown)| shown.full_name() == full) {
            Some((stack, _)) => session.delete_stack(stack, given.timeout()).await?,
            None => session
                .progress
                .info(format!("no stack of iamserviceaccount {full:?} was found")),
        }
        session
            .delete_service_account(&client, account.namespace(), account.name())
            .await?;
    }
    Ok(())
}

fn plan(session: &Session) -> Done {
    session
        .progress
        .warning("no changes were applied, run again with '--approve' to apply the changes");
    Ok(())
}

/// The accounts that a command is about.
fn wanted(given: &Given) -> Made<(ClusterConfig, Vec<ServiceAccount>)> {
    let own = [
        "name",
        "namespace",
        "attach-policy-arn",
        "attach-role-arn",
        "role-name",
        "role-only",
        "tags",
    ];
    let (mut config, _) = config::existing(given, &own)?;
    if given.config_file().is_some() {
        let named = config
            .iam
            .take()
            .and_then(|iam| iam.service_accounts)
            .unwrap_or_default();
        let chosen = named
            .into_iter()
            .filter(|account| included(given, &account.full_name()));
        return Ok((config, chosen.collect()));
    }
    let name = given.name("name")?;
    let account = ServiceAccount {
        metadata: Some(ServiceAccountMeta {
            name: Some(name.ok_or_else(|| CommandError::Usage("--name must be set".to_owned()))?),
            namespace: Some(given.text("namespace").unwrap_or_else(|| "default".to_owned())),
            ..ServiceAccountMeta::default()
        }),
        attach_policy_arns: given.some_list("attach-policy-arn"),
        attach_role_arn: given.text("attach-role-arn"),
        role_name: given.text("role-name"),
        role_only: given.is_on("role-only").then_some(true),
        tags: given.pairs("tags")?,
        ..ServiceAccount::default()
    };
    if given.words().0 == "create" && account.attach_policy_arns.is_none() && account.attach_role_arn.is_none() {
        return Err(CommandError::Usage("--attach-policy-arn or --attach-role-arn must be set".to_owned()).into());
    }
    Ok((config, vec![account]))
}

impl Session {
    /// Makes roles and service accounts.
    ///
    /// # Errors
    /// When the cluster has no OIDC provider, or what CloudFormation and the API server answer.
    pub async fn create_service_accounts(&self, cluster: &str, accounts: &[ServiceAccount], limit: Duration) -> Done {
        if accounts.is_empty() {
            return Ok(());
        }
        let client = self.kubernetes(cluster).await?;
        for account in accounts {
            let role_arn = match &account.attach_role_arn {
                Some(arn) => Some(arn.clone()),
                None => {
                    let role = self.service_account_role(cluster, account).await?;
                    let full = account.full_name();
                    let mut tags = vec![(TAG, full.as_str())];
                    tags.extend(
                        account
                            .tags
                            .iter()
                            .flatten()
                            .map(|(key, value)| (key.as_str(), value.as_str())),
                    );
                    let name = stack_name(cluster, account);
                    let stack = self
                        .create_stack(cluster, &name, &role.template(), &tags, limit)
                        .await?;
                    self.progress.info(format!("deployed stack {name:?}"));
                    stack.outputs.get("Role1").cloned()
                }
            };
            if account.role_only == Some(true) {
                continue;
            }
            let metadata = account.metadata.clone().unwrap_or_default();
            let mut annotations = metadata.annotations.unwrap_or_default();
            annotations.extend(role_arn.map(|arn| (ROLE_ANNOTATION.to_owned(), arn)));
            let wanted = WantedAccount {
                namespace: account.namespace().to_owned(),
                name: account.name().to_owned(),
                labels: metadata.labels.unwrap_or_default(),
                annotations,
            };
            self.ensure_service_account(&client, &wanted).await?;
        }
        Ok(())
    }

    async fn service_account_role(&self, cluster: &str, account: &ServiceAccount) -> Made<Role> {
        let described = self.existing_cluster(cluster).await?;
        let issuer = self.issuer(&described)?;
        let provider = self.oidc_provider(&issuer).await?.ok_or_else(|| {
            CommandError::Usage(format!(
                "unable to create iamserviceaccount(s) without IAM OIDC provider enabled; \
                 run `ondol utils associate-iam-oidc-provider --cluster {cluster} --approve` first"
            ))
        })?;
        let trust = Trust::ServiceAccount {
            provider,
            issuer,
            account: format!("{}:{}", account.namespace(), account.name()),
        };
        let mut role = Role::new(
            "Role1",
            format!("role of serviceaccount {}", account.full_name()),
            trust,
        );
        role.managed = account.attach_policy_arns.clone().unwrap_or_default();
        role.name.clone_from(&account.role_name);
        role.document.clone_from(&account.attach_policy);
        role.boundary.clone_from(&account.permissions_boundary);
        if let Some(words) = &account.well_known_policies {
            role.well_known(words);
        }
        Ok(role)
    }

    /// The stacks of a cluster's service accounts, and the accounts as they are shown.
    async fn service_account_stacks(&self, cluster: &str) -> Made<Vec<(Stack, ServiceAccount)>> {
        let stacks = self.stacks_of(cluster).await?.into_iter();
        let shown = stacks.filter_map(|stack| {
            let (namespace, name) = stack.tags.get(TAG)?.split_once('/')?;
            let account = ServiceAccount {
                metadata: Some(ServiceAccountMeta {
                    name: Some(name.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    ..ServiceAccountMeta::default()
                }),
                well_known_policies: Some(no_words()),
                status: Some(status(&stack)),
                ..ServiceAccount::default()
            };
            Some((stack, account))
        });
        Ok(shown.collect())
    }
}

/// Words are not read back from a stack: eksctl shows each as not given.
fn no_words() -> WellKnownPolicies {
    WellKnownPolicies {
        image_builder: Some(false),
        auto_scaler: Some(false),
        aws_load_balancer_controller: Some(false),
        external_dns: Some(false),
        cert_manager: Some(false),
        ebs_csi_controller: Some(false),
        efs_csi_controller: Some(false),
    }
}

fn status(stack: &Stack) -> ServiceAccountStatus {
    let is_own = |key: &str| key.starts_with("alpha.eksctl.io/");
    let tags = stack.tags.iter().filter(|(key, _)| !is_own(key));
    ServiceAccountStatus {
        role_arn: stack.outputs.get("Role1").cloned(),
        stack_name: Some(stack.name.clone()),
        tags: Some(tags.map(|(key, value)| (key.clone(), value.clone())).collect()),
        capabilities: Some(stack.capabilities.clone()),
    }
}

fn stack_name(cluster: &str, account: &ServiceAccount) -> String {
    let (namespace, name) = (account.namespace(), account.name());
    format!("eksctl-{cluster}-addon-iamserviceaccount-{namespace}-{name}").replace('.', "-")
}
