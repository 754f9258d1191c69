//! `create|get|update|delete addon`, and the add-ons of a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    Addon as EksAddon, AddonInfo, AddonNamespaceConfigRequest, AddonPodIdentityAssociations, AddonVersionInfo,
    CreateAddonRequest, CreateAddonResponse, DeleteAddonRequest, DeleteAddonResponse,
    DescribeAddonConfigurationRequest, DescribeAddonConfigurationResponse, DescribeAddonRequest, DescribeAddonResponse,
    DescribeAddonVersionsRequest, DescribeAddonVersionsResponse, ListAddonsRequest, ListAddonsResponse,
    UpdateAddonRequest, UpdateAddonResponse,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{Addon, PodIdentityAssociation};

use super::config;
use super::given::Given;
use crate::aws::AwsError;
use crate::role::{Role, Trust};
use crate::session::{CommandError, Done, Made, Session, Timer};

mod shown;

pub use shown::get;

/// Add-ons that every cluster has unless its file says otherwise.
const DEFAULT: &[&str] = &["vpc-cni", "kube-proxy", "coredns"];

/// `create addon`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(
        given,
        &["name", "version", "service-account-role-arn", "attach-policy-arn"],
    )?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    for addon in &wanted {
        if given.is_on("auto-apply-pod-identity-associations") && addon.pod_identity_associations.is_none() {
            let addon = Addon {
                use_default_pod_identity_associations: Some(true),
                ..addon.clone()
            };
            session
                .create_addon(&config, &addon, given.is_on("force"), given.timeout())
                .await?;
        } else {
            session
                .create_addon(&config, addon, given.is_on("force"), given.timeout())
                .await?;
        }
        // A file's add-ons are waited for, as eksctl does; one by flags only with --wait.
        if given.is_on("wait") || given.config_file().is_some() {
            session
                .wait_for_addon(&config.metadata.name, addon.name(), given.timeout())
                .await?;
        }
    }
    Ok(())
}

/// `update addon`.
pub async fn update(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(given, &["name", "version", "service-account-role-arn"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    for addon in &wanted {
        session
            .update_addon(&config, addon, given.is_on("force"), given.timeout())
            .await?;
        if given.is_on("wait") {
            session
                .wait_for_addon(&config.metadata.name, addon.name(), given.timeout())
                .await?;
        }
    }
    Ok(())
}

/// `delete addon`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    for addon in &wanted {
        let request = DeleteAddonRequest {
            cluster_name: Some(cluster.clone()),
            addon_name: addon.name.clone(),
            preserve: given.is_on("preserve").then_some(true),
        };
        session.aws.eks::<DeleteAddonResponse>("DeleteAddon", &request).await?;
        session.progress.info(format!("deleted addon: {}", addon.name()));
        let own = format!("eksctl-{cluster}-addon-{}", addon.name());
        for stack in session.stacks_of(cluster).await? {
            let is_own = stack.name == own || stack.name.starts_with(&format!("{own}-podidentityrole-"));
            if is_own && !given.is_on("preserve") {
                session.delete_stack(&stack, given.timeout()).await?;
                session.progress.info(format!("deleted stack {:?}", stack.name));
            }
        }
    }
    Ok(())
}

/// The cluster and the add-ons that a command is about.
fn wanted(given: &Given, own: &[&str]) -> Made<(ClusterConfig, Vec<Addon>)> {
    let (mut config, _) = config::existing(given, own)?;
    if given.config_file().is_some() {
        let addons = config.addons.take().unwrap_or_default();
        if addons.is_empty() {
            return Err(CommandError::Usage("no addons specified in config file".to_owned()).into());
        }
        return Ok((config, addons));
    }
    let name = given.name("name")?;
    let namespace = given.text("namespace-config");
    let addon = Addon {
        name: Some(name.ok_or_else(|| CommandError::Usage("--name must be set".to_owned()))?),
        version: given.text("version"),
        service_account_role_arn: given.text("service-account-role-arn"),
        attach_policy_arns: given.some_list("attach-policy-arn"),
        namespace_config: namespace.map(
            |namespace| cluster_lifecycle::cluster_config::parts::AddonNamespaceConfig {
                namespace: Some(namespace),
            },
        ),
        ..Addon::default()
    };
    Ok((config, vec![addon]))
}

/// How conflicts are resolved, in EKS's words.
fn resolution(addon: &Addon, force: bool) -> Option<String> {
    if force {
        return Some("OVERWRITE".to_owned());
    }
    addon.resolve_conflicts.as_ref().map(|word| word.to_uppercase())
}

impl Session {
    /// The add-ons of a new cluster: those of its file and those that every cluster has.
    pub fn initial_addons(&self, config: &ClusterConfig) -> Vec<Addon> {
        let settings = config.addons_config.clone().unwrap_or_default();
        let mut addons: Vec<Addon> = config.addons.clone().unwrap_or_default();
        if settings.disable_default_addons != Some(true) {
            let missing = |name: &&&str| !addons.iter().any(|addon| addon.name() == **name);
            let defaults: Vec<Addon> = DEFAULT.iter().filter(missing).map(|name| Addon::named(name)).collect();
            addons.extend(defaults);
        }
        addons.retain(|addon| cluster_lifecycle::addon::offered(addon.name()).is_some());
        if settings.auto_apply_pod_identity_associations == Some(true) {
            for addon in &mut addons {
                addon.use_default_pod_identity_associations.get_or_insert(true);
            }
        }
        addons
    }

    /// Creates an add-on with the roles that it is to have; one that is there is left alone.
    ///
    /// # Errors
    /// What EKS or CloudFormation answers.
    pub async fn create_addon(&self, config: &ClusterConfig, addon: &Addon, force: bool, limit: Duration) -> Done {
        let (cluster, name) = (&config.metadata.name, addon.name());
        if let Some(there) = self.addon(cluster, name).await?
            && there.status.as_deref() != Some("CREATE_FAILED")
        {
            self.progress.info(format!(
                "{name:?} addon is already present on the cluster, skipping creation"
            ));
            return Ok(());
        }
        let version = self.addon_version(cluster, addon).await?;
        let needs_permissions = version.requires_iam_permissions == Some(true);
        let associations = self.addon_associations(config, addon, &version, limit).await?;
        let role = match (&addon.service_account_role_arn, &associations) {
            (Some(role), _) => Some(role.clone()),
            (None, Some(_)) => None,
            (None, None) => self.addon_role(config, addon, needs_permissions, limit).await?,
        };
        self.progress.info(format!("creating addon: {name}"));
        let request = CreateAddonRequest {
            cluster_name: Some(cluster.clone()),
            addon_name: addon.name.clone(),
            addon_version: version.addon_version,
            service_account_role_arn: role,
            resolve_conflicts: resolution(addon, force),
            client_request_token: Some(SystemRandom.uuid()),
            tags: addon.tags.clone(),
            configuration_values: addon.configuration_values.clone(),
            pod_identity_associations: associations,
            namespace_config: addon
                .namespace_config
                .as_ref()
                .map(|config| AddonNamespaceConfigRequest {
                    namespace: config.namespace.clone(),
                }),
        };
        self.aws.eks::<CreateAddonResponse>("CreateAddon", &request).await?;
        self.progress.info("successfully created addon");
        Ok(())
    }

    async fn update_addon(&self, config: &ClusterConfig, addon: &Addon, force: bool, limit: Duration) -> Done {
        let (cluster, name) = (&config.metadata.name, addon.name());
        let there = self.addon(cluster, name).await?;
        let there =
            there.ok_or_else(|| CommandError::Usage(format!("No addon: {name} found in cluster: {cluster}")))?;
        let version = match &addon.version {
            None => AddonVersionInfo {
                addon_version: there.addon_version.clone(),
                ..AddonVersionInfo::default()
            },
            Some(_) => self.addon_version(cluster, addon).await?,
        };
        if version.addon_version != there.addon_version {
            let wanted = version.addon_version.as_deref().unwrap_or_default();
            self.progress.info(format!("new version provided {wanted}"));
        }
        let associations = self.addon_associations(config, addon, &version, limit).await?;
        let role = match &addon.service_account_role_arn {
            Some(role) => Some(role.clone()),
            None => {
                let made = self.addon_role(config, addon, false, limit).await?;
                made.or(there.service_account_role_arn.clone())
            }
        };
        self.progress.info(format!("updating addon: {name}"));
        let request = UpdateAddonRequest {
            cluster_name: Some(cluster.clone()),
            addon_name: addon.name.clone(),
            addon_version: version.addon_version,
            service_account_role_arn: role.filter(|_| associations.is_none()),
            resolve_conflicts: resolution(addon, force),
            client_request_token: Some(SystemRandom.uuid()),
            configuration_values: addon.configuration_values.clone(),
            pod_identity_associations: associations,
        };
        self.aws.eks::<UpdateAddonResponse>("UpdateAddon", &request).await?;
        Ok(())
    }

    /// The add-on; `None` when there is none.
    ///
    /// # Errors
    /// Other answers than that.
    pub async fn addon(&self, cluster: &str, name: &str) -> Result<Option<EksAddon>, AwsError> {
        let request = DescribeAddonRequest {
            cluster_name: Some(cluster.to_owned()),
            addon_name: Some(name.to_owned()),
        };
        match self.aws.eks::<DescribeAddonResponse>("DescribeAddon", &request).await {
            Ok(answer) => Ok(answer.addon),
            Err(AwsError::Service { code, message, .. })
                if code.starts_with("ResourceNotFound") && !message.starts_with("No cluster found") =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The names of a cluster's add-ons.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn addons(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let mut request = ListAddonsRequest {
            cluster_name: Some(cluster.to_owned()),
            ..ListAddonsRequest::default()
        };
        let mut names = Vec::new();
        loop {
            let page: ListAddonsResponse = self.aws.eks("ListAddons", &request).await?;
            names.extend(page.addons.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(names);
            }
        }
    }

    /// Add-ons that are offered, with their versions for a Kubernetes version.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn addon_versions(&self, request: &DescribeAddonVersionsRequest) -> Result<Vec<AddonInfo>, AwsError> {
        let mut request = request.clone();
        let mut found = Vec::new();
        loop {
            let page: DescribeAddonVersionsResponse = self.aws.eks("DescribeAddonVersions", &request).await?;
            found.extend(page.addons.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The version that is wanted: the newest for `latest`, EKS's default for none, or the one that begins so.
    async fn addon_version(&self, cluster: &str, addon: &Addon) -> Made<AddonVersionInfo> {
        let kubernetes = self.existing_cluster(cluster).await?.version;
        let request = DescribeAddonVersionsRequest {
            kubernetes_version: kubernetes,
            addon_name: addon.name.clone(),
            ..DescribeAddonVersionsRequest::default()
        };
        let offered = self.addon_versions(&request).await?;
        let versions: Vec<AddonVersionInfo> = offered
            .into_iter()
            .flat_map(|info| info.addon_versions.unwrap_or_default())
            .collect();
        let chosen = choose(&versions, addon.version.as_deref());
        chosen.cloned().ok_or_else(|| {
            let wanted = addon.version.as_deref().unwrap_or("default");
            CommandError::Usage(format!(
                "no version(s) found matching {wanted:?} for {:?}",
                addon.name()
            ))
            .into()
        })
    }

    /// The role of an add-on's service account by its token, made where policies are named or needed.
    async fn addon_role(
        &self,
        config: &ClusterConfig,
        addon: &Addon,
        needs_permissions: bool,
        limit: Duration,
    ) -> Made<Option<String>> {
        let (cluster, name) = (&config.metadata.name, addon.name());
        let offered = cluster_lifecycle::addon::offered(name);
        let mut policies = addon.attach_policy_arns.clone().unwrap_or_default();
        let named = !policies.is_empty() || addon.attach_policy.is_some() || addon.well_known_policies.is_some();
        if !named && !needs_permissions {
            return Ok(None);
        }
        let described = self.existing_cluster(cluster).await?;
        let issuer = self.issuer(&described)?;
        let Some(provider) = self.oidc_provider(&issuer).await? else {
            self.progress.warning(format!(
                "policies are wanted for {name:?} addon, but OIDC is disabled on the cluster: its role is the node group's"
            ));
            return Ok(None);
        };
        let account = offered.map_or_else(
            || "*".to_owned(),
            |offered| format!("kube-system:{}", offered.service_account),
        );
        if !named {
            policies.extend(
                offered
                    .map(|offered| offered.policy.to_owned())
                    .filter(|policy| !policy.is_empty()),
            );
        }
        let mut role = Role::new(
            "Role1",
            format!("role of add-on {name} of {cluster}"),
            Trust::ServiceAccount {
                provider,
                issuer,
                account,
            },
        );
        role.managed = policies;
        role.document.clone_from(&addon.attach_policy);
        role.boundary.clone_from(&addon.permissions_boundary);
        if let Some(words) = &addon.well_known_policies {
            role.well_known(words);
        }
        let tags = [("alpha.eksctl.io/addon-name", name)];
        let own = format!("eksctl-{cluster}-addon-{name}");
        let stack = self.create_stack(cluster, &own, &role.template(), &tags, limit).await?;
        Ok(stack.outputs.get("Role1").cloned())
    }

    /// The roles of an add-on's service accounts by EKS Pod Identity; `None` when none are wanted.
    async fn addon_associations(
        &self,
        config: &ClusterConfig,
        addon: &Addon,
        version: &AddonVersionInfo,
        limit: Duration,
    ) -> Made<Option<Vec<AddonPodIdentityAssociations>>> {
        let (cluster, name) = (&config.metadata.name, addon.name());
        let mut wanted: Vec<PodIdentityAssociation> = match &addon.pod_identity_associations {
            Some(wanted) => wanted.clone(),
            None if addon.use_default_pod_identity_associations == Some(true) => Vec::new(),
            None => return Ok(None),
        };
        if addon.pod_identity_associations.is_none() {
            let request = DescribeAddonConfigurationRequest {
                addon_name: addon.name.clone(),
                addon_version: version.addon_version.clone(),
            };
            let answer: DescribeAddonConfigurationResponse =
                self.aws.eks("DescribeAddonConfiguration", &request).await?;
            let recommended = answer.pod_identity_configuration.unwrap_or_default();
            wanted.extend(recommended.into_iter().map(|one| PodIdentityAssociation {
                service_account_name: one.service_account,
                permission_policy_arns: one.recommended_managed_policies,
                ..PodIdentityAssociation::default()
            }));
            if wanted.is_empty() {
                return Ok(None);
            }
        }
        let mut made = Vec::new();
        for one in wanted {
            let account = one.service_account_name.clone().unwrap_or_default();
            let stack = format!("eksctl-{cluster}-addon-{name}-podidentityrole-{account}");
            let tags = [("alpha.eksctl.io/addon-podidentityassociation-name", account.as_str())];
            let role = self.pod_identity_role(cluster, &one, &stack, &tags, limit).await?;
            made.push(AddonPodIdentityAssociations {
                service_account: Some(account),
                role_arn: Some(role),
            });
        }
        Ok(Some(made))
    }

    /// Waits until an add-on is ACTIVE.
    ///
    /// # Errors
    /// When it is not, with EKS's reason.
    pub async fn wait_for_addon(&self, cluster: &str, name: &str, limit: Duration) -> Done {
        let mut timer = Timer::new(format!("addon {name} becoming ACTIVE"), limit);
        loop {
            let addon = self.addon(cluster, name).await?.unwrap_or_default();
            let status = addon.status.unwrap_or_else(|| "gone".to_owned());
            match status.as_str() {
                "ACTIVE" => {
                    self.progress.done(format!("addon {name:?} active"));
                    return Ok(());
                }
                "CREATING" | "UPDATING" => timer.pause(&status).await?,
                _ => {
                    let issues = addon.health.and_then(|health| health.issues).unwrap_or_default();
                    let reasons: BTreeMap<String, String> = issues
                        .into_iter()
                        .map(|issue| (issue.code.unwrap_or_default(), issue.message.unwrap_or_default()))
                        .collect();
                    let reason: Vec<String> = reasons
                        .into_iter()
                        .map(|(code, text)| format!("{code}: {text}"))
                        .collect();
                    return Err(CommandError::Usage(format!("addon {name} is {status}: {}", reason.join("; "))).into());
                }
            }
        }
    }
}

/// The version of that name among those that are offered.
fn choose<'a>(versions: &'a [AddonVersionInfo], wanted: Option<&str>) -> Option<&'a AddonVersionInfo> {
    let number = |info: &AddonVersionInfo| shown::numbers(info.addon_version.as_deref().unwrap_or_default());
    match wanted {
        None | Some("default") => versions.iter().find(|info| {
            let kinds = info.compatibilities.as_deref().unwrap_or_default();
            kinds.first().is_some_and(|kind| kind.default_version == Some(true))
        }),
        Some("latest") => versions.iter().max_by_key(|info| number(info)),
        Some(prefix) => {
            let fits = |info: &&AddonVersionInfo| {
                let version = info.addon_version.as_deref().unwrap_or_default();
                version
                    .trim_start_matches('v')
                    .starts_with(prefix.trim_start_matches('v'))
            };
            versions.iter().filter(fits).max_by_key(|info| number(info))
        }
    }
}
