//! `utils` that change a cluster: logging, endpoints, encryption, authentication mode, OIDC provider.

use std::path::Path;

use aws_types::eks::{
    AssociateEncryptionConfigRequest, AssociateEncryptionConfigResponse, Cluster, EncryptionConfig, LogSetup, Logging,
    Provider, UpdateAccessConfigRequest, UpdateClusterConfigRequest, UpdateClusterConfigResponse, VpcConfigRequest,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::aws_auth::edit::{self, Entry};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{AccessEntry, LOG_TYPES, log_types};

use super::config;
use super::given::{Given, POSITIONAL};
use crate::session::{CommandError, Done, Made, Session};

/// A cluster whose settings are to be changed.
struct Change {
    session: Session,
    config: ClusterConfig,
    cluster: Cluster,
    is_plan: bool,
}

impl Change {
    async fn open(given: &Given, home: &Path, own: &[&str]) -> Made<Self> {
        let (config, _) = config::existing(given, own)?;
        let session = Session::open(home, config.metadata.region.as_deref())?;
        let cluster = session.existing_cluster(&config.metadata.name).await?;
        Ok(Self {
            session,
            config,
            cluster,
            is_plan: given.is_plan(false),
        })
    }

    fn name(&self) -> String {
        self.config.metadata.name.clone()
    }

    /// Does it, or tells that it would.
    async fn apply(&self, given: &Given, request: UpdateClusterConfigRequest, what: &str) -> Done {
        if self.is_plan {
            return self.planned(what);
        }
        let request = UpdateClusterConfigRequest {
            name: Some(self.name()),
            client_request_token: Some(SystemRandom.uuid()),
            ..request
        };
        let answer: UpdateClusterConfigResponse = self.session.aws.eks("UpdateClusterConfig", &request).await?;
        self.session
            .wait_for_update(&self.name(), None, answer.update, given.timeout())
            .await?;
        self.session.progress.done(what);
        Ok(())
    }

    fn planned(&self, what: &str) -> Done {
        let progress = &self.session.progress;
        progress.info(format!("(plan) would have {what}"));
        progress.warning("no changes were applied, run again with '--approve' to apply the changes");
        Ok(())
    }
}

/// `utils update-cluster-logging`.
pub async fn logging(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &["enable-types", "disable-types"]).await?;
    let enabled = wanted_logs(given, &change)?;
    if enabled == enabled_logs(&change.cluster) {
        let name = change.name();
        change
            .session
            .progress
            .done(format!("CloudWatch logging for cluster {name:?} is already up-to-date"));
        return Ok(());
    }
    let what = format!(
        "configured CloudWatch logging for cluster {:?} (enabled types: {})",
        change.name(),
        shown(&enabled)
    );
    let request = UpdateClusterConfigRequest {
        logging: Some(log_setup(&enabled)),
        ..UpdateClusterConfigRequest::default()
    };
    change.apply(given, request, &what).await
}

/// The log types that are on after the command.
fn wanted_logs(given: &Given, change: &Change) -> Result<Vec<String>, CommandError> {
    if given.config_file().is_some() {
        let watch = change.config.cloud_watch.as_ref();
        let wanted = watch.and_then(|watch| watch.cluster_logging.as_ref());
        let named = wanted.and_then(|logging| logging.enable_types.clone());
        return Ok(log_types(&named.unwrap_or_default()));
    }
    let (on, off) = (given.list("enable-types"), given.list("disable-types"));
    if on.is_empty() && off.is_empty() {
        let message = "at least one flag has to be provided: --enable-types, --disable-types";
        return Err(CommandError::Usage(message.to_owned()));
    }
    let is_all = |name: &String| name == "all" || name == "*";
    let mut named = on.iter().chain(&off);
    if let Some(name) = named.find(|name| !LOG_TYPES.contains(&name.as_str()) && !is_all(name)) {
        let message = format!(
            "unknown log type {name:?}; known ones are all, {}",
            LOG_TYPES.join(", ")
        );
        return Err(CommandError::Usage(message));
    }
    if let Some(both) = on.iter().find(|name| off.contains(name)) {
        let message = format!("log types cannot be part of --enable-types and --disable-types simultaneously: {both}");
        return Err(CommandError::Usage(message));
    }
    let present = enabled_logs(&change.cluster);
    // What is named goes before `all`.
    let decided = |name: &String| match (on.contains(name), off.contains(name)) {
        (true, _) => true,
        (false, true) => false,
        (false, false) => on.iter().any(is_all) || (present.contains(name) && !off.iter().any(is_all)),
    };
    let known = LOG_TYPES.iter().map(|name| (*name).to_owned());
    Ok(known.filter(decided).collect())
}

/// The log types in EKS's form: those that are on, and the rest.
pub fn log_setup(enabled: &[String]) -> Logging {
    let all = LOG_TYPES.iter().map(|name| (*name).to_owned());
    let (on, off): (Vec<String>, Vec<String>) = all.partition(|name| enabled.contains(name));
    let setup = |types: Vec<String>, enabled| LogSetup {
        types: Some(types),
        enabled: Some(enabled),
    };
    let setups = [setup(on, true), setup(off, false)];
    let given = setups
        .into_iter()
        .filter(|one| one.types.as_ref().is_some_and(|types| !types.is_empty()));
    Logging {
        cluster_logging: Some(given.collect()),
    }
}

fn enabled_logs(cluster: &Cluster) -> Vec<String> {
    let setups = cluster
        .logging
        .as_ref()
        .and_then(|logging| logging.cluster_logging.clone());
    let on = setups.into_iter().flatten().filter(|setup| setup.enabled == Some(true));
    let on: Vec<String> = on.flat_map(|setup| setup.types.unwrap_or_default()).collect();
    log_types(&on)
}

fn shown(types: &[String]) -> String {
    if types.is_empty() {
        "none".to_owned()
    } else {
        types.join(", ")
    }
}

/// `utils update-cluster-endpoints` and `utils update-cluster-vpc-config`.
pub async fn network(home: &Path, given: &Given) -> Done {
    let own = [
        "private-access",
        "public-access",
        "public-access-cidrs",
        "control-plane-subnet-ids",
        "control-plane-security-group-ids",
    ];
    let change = Change::open(given, home, &own).await?;
    let vpc = change.config.vpc.clone().unwrap_or_default();
    let endpoints = vpc.cluster_endpoints.unwrap_or_default();
    let subnets = given
        .some_list("control-plane-subnet-ids")
        .or(vpc.control_plane_subnet_ids);
    let groups = given
        .some_list("control-plane-security-group-ids")
        .or(vpc.control_plane_security_group_ids);
    let access = VpcConfigRequest {
        endpoint_public_access: given.set_to("public-access").or(endpoints.public_access),
        endpoint_private_access: given.set_to("private-access").or(endpoints.private_access),
        public_access_cidrs: given.some_list("public-access-cidrs").or(vpc.public_access_cidrs),
        ..VpcConfigRequest::default()
    };
    let placement = VpcConfigRequest {
        subnet_ids: subnets,
        security_group_ids: groups,
        ..VpcConfigRequest::default()
    };
    if access == VpcConfigRequest::default() && placement == VpcConfigRequest::default() {
        let message = "at least one of these options must be specified: --private-access, --public-access, \
                       --public-access-cidrs, --control-plane-subnet-ids, --control-plane-security-group-ids";
        return Err(CommandError::Usage(message.to_owned()).into());
    }
    let name = change.name();
    // EKS takes one kind of change at a time.
    for (wanted, what) in [
        (
            access,
            format!("updated Kubernetes API endpoint access of cluster {name:?}"),
        ),
        (
            placement,
            format!("updated control plane subnets and security groups of cluster {name:?}"),
        ),
    ] {
        if wanted != VpcConfigRequest::default() {
            let request = UpdateClusterConfigRequest {
                resources_vpc_config: Some(wanted),
                ..UpdateClusterConfigRequest::default()
            };
            change.apply(given, request, &what).await?;
        }
    }
    Ok(())
}

/// `utils set-public-access-cidrs`: the blocks are arguments or in the file.
pub async fn public_access_cidrs(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &[POSITIONAL]).await?;
    let by_file = change.config.vpc.clone().and_then(|vpc| vpc.public_access_cidrs);
    let by_argument = given
        .text(POSITIONAL)
        .map(|text| text.split(',').map(str::to_owned).collect());
    let blocks: Option<Vec<String>> = by_argument.or(by_file);
    let blocks = blocks.ok_or_else(|| CommandError::Usage("a list of CIDRs must be given".to_owned()))?;
    let what = format!(
        "updated public access CIDRs of cluster {:?} to {}",
        change.name(),
        blocks.join(", ")
    );
    let request = UpdateClusterConfigRequest {
        resources_vpc_config: Some(VpcConfigRequest {
            public_access_cidrs: Some(blocks),
            ..VpcConfigRequest::default()
        }),
        ..UpdateClusterConfigRequest::default()
    };
    change.apply(given, request, &what).await
}

/// `utils enable-secrets-encryption`.
pub async fn secrets_encryption(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &["key-arn"]).await?;
    let by_file = change
        .config
        .secrets_encryption
        .clone()
        .and_then(|encryption| encryption.key_arn);
    let key = given.text("key-arn").or(by_file);
    let key = key.ok_or_else(|| CommandError::Usage("--key-arn must be set".to_owned()))?;
    let what = format!("enabled secrets encryption of cluster {:?}", change.name());
    // Unlike the others this one does not wait for approval.
    if given.set_to("approve") == Some(false) {
        return change.planned(&what);
    }
    change.session.encrypt_secrets(&change.name(), &key, given).await
}

/// `utils update-authentication-mode`.
pub async fn authentication_mode(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &["authentication-mode"]).await?;
    let by_file = change
        .config
        .access_config
        .clone()
        .and_then(|access| access.authentication_mode);
    let mode = given.text("authentication-mode").or(by_file);
    let mode = mode.ok_or_else(|| CommandError::Usage("--authentication-mode must be set".to_owned()))?;
    let change = Change {
        is_plan: false,
        ..change
    };
    change.to_mode(given, &mode).await
}

impl Change {
    async fn to_mode(&self, given: &Given, mode: &str) -> Done {
        let name = self.name();
        let present = self
            .cluster
            .access_config
            .as_ref()
            .and_then(|access| access.authentication_mode.clone());
        if present.as_deref() == Some(mode) {
            self.session
                .progress
                .info(format!("authentication mode of cluster {name:?} is already {mode}"));
            return Ok(());
        }
        let request = UpdateClusterConfigRequest {
            access_config: Some(UpdateAccessConfigRequest {
                authentication_mode: Some(mode.to_owned()),
            }),
            ..UpdateClusterConfigRequest::default()
        };
        let what = format!("authentication mode of cluster {name:?} updated to {mode}");
        self.apply(given, request, &what).await
    }
}

/// `utils migrate-to-access-entry`: entries of `aws-auth` become access entries, and then the mode changes.
pub async fn migrate_to_access_entry(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &[]).await?;
    let target = given.text("target-authentication-mode");
    let target = target.unwrap_or_else(|| "API_AND_CONFIG_MAP".to_owned());
    let (session, cluster) = (&change.session, change.name());
    let client = session.kubernetes(&cluster).await?;
    let mapped = edit::entries(&session.aws_auth(&client).await?)?;
    let there = session.access_entries(&cluster).await?;
    let mut entries = Vec::new();
    for entry in mapped {
        match access_entry(entry) {
            Ok(entry) if entry.principal_arn.as_ref().is_some_and(|arn| there.contains(arn)) => {}
            Ok(entry) => entries.push(entry),
            Err(reason) => session.progress.warning(reason),
        }
    }
    for entry in &entries {
        let principal = entry.principal_arn.as_deref().unwrap_or_default();
        session
            .progress
            .info(format!("access entry for principal ARN {principal} will be created"));
    }
    if change.is_plan {
        return change.planned(&format!("migrated {} entries of cluster {cluster:?}", entries.len()));
    }
    if change
        .cluster
        .access_config
        .as_ref()
        .and_then(|access| access.authentication_mode.as_deref())
        == Some("CONFIG_MAP")
    {
        change.to_mode(given, "API_AND_CONFIG_MAP").await?;
    }
    session.create_access_entries(&cluster, &entries).await?;
    if target == "API" {
        let described = session.existing_cluster(&cluster).await?;
        let change = Change {
            cluster: described,
            ..change
        };
        return change.to_mode(given, "API").await;
    }
    Ok(())
}

/// The access entry that stands for an entry of `aws-auth`, or why there is none.
fn access_entry(entry: Entry) -> Result<AccessEntry, String> {
    let Entry::Principal { arn, username, groups } = entry else {
        return Err("accounts of aws-auth have no counterpart among access entries".to_owned());
    };
    let (system, own): (Vec<String>, Vec<String>) = groups.into_iter().partition(|group| group.starts_with("system:"));
    let principal_arn = Some(arn.clone());
    if system.iter().any(|group| group == "system:nodes") {
        return Ok(AccessEntry {
            principal_arn,
            r#type: Some("EC2_LINUX".to_owned()),
            ..AccessEntry::default()
        });
    }
    let is_master = system.iter().any(|group| group == "system:masters");
    if system.len() > usize::from(is_master) {
        return Err(format!(
            "the groups of {arn} begin with \"system:\", which access entries must not have"
        ));
    }
    let policy = cluster_lifecycle::cluster_config::parts::AccessPolicy {
        policy_arn: Some("arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy".to_owned()),
        access_scope: Some(cluster_lifecycle::cluster_config::parts::AccessScope {
            r#type: Some("cluster".to_owned()),
            namespaces: None,
        }),
    };
    Ok(AccessEntry {
        principal_arn,
        r#type: Some("STANDARD".to_owned()),
        kubernetes_username: Some(username).filter(|name| !name.is_empty() && !name.starts_with("system:")),
        kubernetes_groups: Some(own).filter(|groups| !groups.is_empty()),
        access_policies: is_master.then(|| vec![policy]),
    })
}

/// `utils associate-iam-oidc-provider`.
pub async fn oidc_provider(home: &Path, given: &Given) -> Done {
    let change = Change::open(given, home, &[]).await?;
    let (session, name) = (&change.session, change.name());
    let issuer = session.issuer(&change.cluster)?;
    if session.oidc_provider(&issuer).await?.is_some() {
        session.progress.info(format!(
            "IAM Open ID Connect provider is already associated with cluster {name:?}"
        ));
        return Ok(());
    }
    if change.is_plan {
        return change.planned(&format!("created IAM Open ID Connect provider for cluster {name:?}"));
    }
    session.create_oidc_provider(&change.cluster).await?;
    session
        .progress
        .done(format!("created IAM Open ID Connect provider for cluster {name:?}"));
    Ok(())
}

impl Session {
    async fn encrypt_secrets(&self, cluster: &str, key: &str, given: &Given) -> Done {
        let request = AssociateEncryptionConfigRequest {
            cluster_name: Some(cluster.to_owned()),
            encryption_config: Some(vec![encryption(key)]),
            client_request_token: Some(SystemRandom.uuid()),
        };
        let answer: AssociateEncryptionConfigResponse = self.aws.eks("AssociateEncryptionConfig", &request).await?;
        self.progress.info("initiated KMS encryption, this may take a while");
        self.wait_for_update(cluster, None, answer.update, given.timeout())
            .await?;
        self.progress
            .done(format!("KMS encryption successfully enabled on cluster {cluster:?}"));
        Ok(())
    }
}

/// Secrets encrypted by a key, in EKS's form.
pub fn encryption(key: &str) -> EncryptionConfig {
    EncryptionConfig {
        resources: Some(vec!["secrets".to_owned()]),
        provider: Some(Provider {
            key_arn: Some(key.to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_aws_auth_become_access_entries_where_they_can() {
        let entry = |groups: &[&str]| Entry::Principal {
            arn: "arn:aws:iam::1:role/a".to_owned(),
            username: "system:node:{{EC2PrivateDNSName}}".to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        };
        let kind = |groups: &[&str]| access_entry(entry(groups)).map(|made| made.r#type.unwrap());
        assert_eq!(
            kind(&["system:bootstrappers", "system:nodes"]).as_deref(),
            Ok("EC2_LINUX")
        );
        assert_eq!(kind(&["viewers"]).as_deref(), Ok("STANDARD"));
        assert!(
            access_entry(entry(&["system:masters"]))
                .unwrap()
                .access_policies
                .is_some()
        );
        assert!(access_entry(entry(&["system:other"])).is_err());
        assert!(access_entry(Entry::Account("1".to_owned())).is_err());
    }

    #[test]
    fn every_log_type_is_on_or_off() {
        let setup = log_setup(&["api".to_owned()]).cluster_logging.unwrap();
        assert_eq!(setup[0].types.as_ref().unwrap(), &["api"]);
        assert_eq!(setup[1].types.as_ref().unwrap().len(), 4);
        assert_eq!(log_types(&["*".to_owned()]).len(), 5);
    }
}
