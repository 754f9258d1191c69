//! `create|get|update|delete podidentityassociation`, and the associations of a file.

use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    CreatePodIdentityAssociationRequest, CreatePodIdentityAssociationResponse, DeletePodIdentityAssociationRequest,
    DeletePodIdentityAssociationResponse, DescribePodIdentityAssociationRequest,
    DescribePodIdentityAssociationResponse, ListPodIdentityAssociationsRequest, ListPodIdentityAssociationsResponse,
    PodIdentityAssociationSummary, UpdatePodIdentityAssociationRequest, UpdatePodIdentityAssociationResponse,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::ClusterConfig;
use cluster_lifecycle::cluster_config::parts::{PodIdentityAssociation, WellKnownPolicies};
use serde::Serialize;

use super::config;
use super::given::Given;
use crate::kubernetes::WantedAccount;
use crate::output;
use crate::role::{Role, Trust};
use crate::session::{CommandError, Done, Made, Session};

/// The tag that names a stack's association.
const TAG: &str = "alpha.eksctl.io/podidentityassociation-name";

/// What eksctl shows of an association.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(rename = "AssociationARN")]
    association_arn: String,
    namespace: String,
    service_account_name: String,
    #[serde(rename = "RoleARN")]
    role_arn: String,
    #[serde(rename = "OwnerARN")]
    owner_arn: String,
}

/// `create podidentityassociation`.
pub async fn create(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    session.existing_cluster(&config.metadata.name).await?;
    session
        .create_pod_identities(&config.metadata.name, &wanted, given.timeout())
        .await
}

/// `get podidentityassociation`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let (namespace, account) = (given.text("namespace"), given.text("service-account-name"));
    let cluster = &config.metadata.name;
    let listed = session
        .pod_identities(cluster, namespace.as_deref(), account.as_deref())
        .await?;
    let mut found = Vec::new();
    for one in listed {
        let request = DescribePodIdentityAssociationRequest {
            cluster_name: Some(cluster.clone()),
            association_id: one.association_id,
        };
        let answer: DescribePodIdentityAssociationResponse =
            session.aws.eks("DescribePodIdentityAssociation", &request).await?;
        let association = answer.association.unwrap_or_default();
        found.push(Summary {
            association_arn: association.association_arn.unwrap_or_default(),
            namespace: association.namespace.unwrap_or_default(),
            service_account_name: association.service_account.unwrap_or_default(),
            role_arn: association.role_arn.unwrap_or_default(),
            owner_arn: association.owner_arn.unwrap_or_default(),
        });
    }
    let header = [
        "ASSOCIATION ARN",
        "NAMESPACE",
        "SERVICE ACCOUNT NAME",
        "IAM ROLE ARN",
        "OWNER ARN",
    ];
    output::print(given.output()?, "podidentityassociations", &found, header, |one| {
        [
            one.association_arn.clone(),
            one.namespace.clone(),
            one.service_account_name.clone(),
            one.role_arn.clone(),
            one.owner_arn.clone(),
        ]
    })
}

/// `update podidentityassociation`.
pub async fn update(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let disable = match (
        given.set_to("disable-session-tags"),
        given.set_to("no-disable-session-tags"),
    ) {
        (Some(true), Some(true)) => {
            let message = "only one of --disable-session-tags and --no-disable-session-tags can be set";
            return Err(CommandError::Usage(message.to_owned()).into());
        }
        (Some(disable), _) => Some(disable),
        (None, enable) => enable.map(|enable| !enable),
    };
    for one in &wanted {
        let association = session.pod_identity(cluster, one).await?;
        let full = one.full_name();
        let stack = session.stack(&stack_name(cluster, one)).await?;
        let role_arn = match (&one.role_arn, stack) {
            (Some(_), Some(stack)) => {
                let message = format!(
                    "pod identity association {full} has a role of stack {}; its role cannot be changed",
                    stack.name
                );
                return Err(CommandError::Usage(message).into());
            }
            (Some(arn), None) => Some(arn.clone()),
            (None, Some(stack)) if given.config_file().is_some() => {
                let template = pod_identity_template(one).template();
                session.update_stack(&stack.name, &template, given.timeout()).await?;
                None
            }
            (None, _) => None,
        };
        let request = UpdatePodIdentityAssociationRequest {
            cluster_name: Some(cluster.clone()),
            association_id: association.association_id,
            role_arn,
            client_request_token: Some(SystemRandom.uuid()),
            disable_session_tags: disable.or(one.disable_session_tags),
            target_role_arn: one.target_role_arn.clone(),
            policy: one.policy.clone(),
        };
        session
            .aws
            .eks::<UpdatePodIdentityAssociationResponse>("UpdatePodIdentityAssociation", &request)
            .await?;
        session
            .progress
            .info(format!("updated pod identity association {full:?}"));
    }
    Ok(())
}

/// `delete podidentityassociation`.
pub async fn delete(home: &Path, given: &Given) -> Done {
    let (config, wanted) = wanted(given)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    for one in &wanted {
        let association = session.pod_identity(cluster, one).await?;
        let request = DeletePodIdentityAssociationRequest {
            cluster_name: Some(cluster.clone()),
            association_id: association.association_id,
        };
        session
            .aws
            .eks::<DeletePodIdentityAssociationResponse>("DeletePodIdentityAssociation", &request)
            .await?;
        if let Some(stack) = session.stack(&stack_name(cluster, one)).await? {
            session.delete_stack(&stack, given.timeout()).await?;
        }
        session
            .progress
            .info(format!("deleted pod identity association {:?}", one.full_name()));
    }
    Ok(())
}

fn wanted(given: &Given) -> Made<(ClusterConfig, Vec<PodIdentityAssociation>)> {
    let own = [
        "namespace",
        "service-account-name",
        "role-arn",
        "role-name",
        "permission-policy-arns",
        "well-known-policies",
        "target-role-arn",
        "tags",
    ];
    let (mut config, _) = config::existing(given, &own)?;
    if given.config_file().is_some() {
        let named = config.iam.take().and_then(|iam| iam.pod_identity_associations);
        return Ok((config, named.unwrap_or_default()));
    }
    let association = PodIdentityAssociation {
        namespace: Some(given.required("namespace")?),
        service_account_name: Some(given.required("service-account-name")?),
        create_service_account: given.set_to("create-service-account"),
        role_arn: given.text("role-arn"),
        role_name: given.text("role-name"),
        permission_policy_arns: given.some_list("permission-policy-arns"),
        permissions_boundary_arn: given.text("permission-boundary-arn"),
        well_known_policies: well_known(&given.list("well-known-policies"))?,
        target_role_arn: given.text("target-role-arn"),
        disable_session_tags: given.set_to("disable-session-tags"),
        tags: given.pairs("tags")?,
        ..PodIdentityAssociation::default()
    };
    let has_policies = association.permission_policy_arns.is_some() || association.well_known_policies.is_some();
    if given.words().0 == "create" && association.role_arn.is_none() && !has_policies {
        let message = "at least one of the following flags must be specified: --role-arn, --permission-policy-arns, \
                       --well-known-policies";
        return Err(CommandError::Usage(message.to_owned()).into());
    }
    Ok((config, vec![association]))
}

/// `--well-known-policies=autoScaler,externalDNS`.
fn well_known(words: &[String]) -> Result<Option<WellKnownPolicies>, CommandError> {
    if words.is_empty() {
        return Ok(None);
    }
    let mut policies = WellKnownPolicies::default();
    for word in words {
        let word = word.trim_end_matches("=true");
        let place = match word {
            "autoScaler" => &mut policies.auto_scaler,
            "awsLoadBalancerController" => &mut policies.aws_load_balancer_controller,
            "certManager" => &mut policies.cert_manager,
            "ebsCSIController" => &mut policies.ebs_csi_controller,
            "efsCSIController" => &mut policies.efs_csi_controller,
            "externalDNS" => &mut policies.external_dns,
            "imageBuilder" => &mut policies.image_builder,
            _ => {
                return Err(CommandError::Usage(format!(
                    "--well-known-policies: {word:?} is not known"
                )));
            }
        };
        *place = Some(true);
    }
    Ok(Some(policies))
}

/// The role that an association's service account gets.
fn pod_identity_template(association: &PodIdentityAssociation) -> Role {
    let mut role = Role::new("Role1", "role of a pod identity association", Trust::PodIdentity);
    role.managed = association.permission_policy_arns.clone().unwrap_or_default();
    role.name.clone_from(&association.role_name);
    role.document.clone_from(&association.permission_policy);
    role.boundary.clone_from(&association.permissions_boundary_arn);
    if let Some(words) = &association.well_known_policies {
        role.well_known(words);
    }
    role
}

fn stack_name(cluster: &str, association: &PodIdentityAssociation) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let (namespace, account) = (part(&association.namespace), part(&association.service_account_name));
    format!("eksctl-{cluster}-podidentityrole-{namespace}-{account}").replace('.', "-")
}

impl Session {
    /// Makes associations with their roles, and their service accounts where that is wanted.
    ///
    /// # Errors
    /// What CloudFormation, EKS and the API server answer.
    pub async fn create_pod_identities(
        &self,
        cluster: &str,
        associations: &[PodIdentityAssociation],
        limit: Duration,
    ) -> Done {
        for one in associations {
            let full = one.full_name();
            let tags = [(TAG, full.as_str())];
            let role = self
                .pod_identity_role(cluster, one, &stack_name(cluster, one), &tags, limit)
                .await?;
            if one.create_service_account == Some(true) {
                let client = self.kubernetes(cluster).await?;
                let wanted = WantedAccount {
                    namespace: one.namespace.clone().unwrap_or_default(),
                    name: one.service_account_name.clone().unwrap_or_default(),
                    ..WantedAccount::default()
                };
                self.ensure_service_account(&client, &wanted).await?;
            }
            let request = CreatePodIdentityAssociationRequest {
                cluster_name: Some(cluster.to_owned()),
                namespace: one.namespace.clone(),
                service_account: one.service_account_name.clone(),
                role_arn: Some(role),
                client_request_token: Some(SystemRandom.uuid()),
                tags: one.tags.clone(),
                disable_session_tags: one.disable_session_tags,
                target_role_arn: one.target_role_arn.clone(),
                policy: one.policy.clone(),
            };
            self.aws
                .eks::<CreatePodIdentityAssociationResponse>("CreatePodIdentityAssociation", &request)
                .await?;
            self.progress.info(format!(
                "created pod identity association for service account {:?} in namespace {:?}",
                one.service_account_name.clone().unwrap_or_default(),
                one.namespace.clone().unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// The role of an association: the one that it names, or one that is made as a stack of that name.
    ///
    /// # Errors
    /// What CloudFormation answers.
    pub async fn pod_identity_role(
        &self,
        cluster: &str,
        association: &PodIdentityAssociation,
        stack: &str,
        tags: &[(&str, &str)],
        limit: Duration,
    ) -> Made<String> {
        if let Some(role) = &association.role_arn {
            return Ok(role.clone());
        }
        let template = pod_identity_template(association).template();
        let made = self.create_stack(cluster, stack, &template, tags, limit).await?;
        let role = made.outputs.get("Role1").cloned();
        role.ok_or_else(|| CommandError::Usage(format!("stack {stack} tells no role")).into())
    }

    async fn pod_identities(
        &self,
        cluster: &str,
        namespace: Option<&str>,
        account: Option<&str>,
    ) -> Made<Vec<PodIdentityAssociationSummary>> {
        let mut request = ListPodIdentityAssociationsRequest {
            cluster_name: Some(cluster.to_owned()),
            namespace: namespace.map(str::to_owned),
            service_account: account.map(str::to_owned),
            ..ListPodIdentityAssociationsRequest::default()
        };
        let mut found = Vec::new();
        loop {
            let page: ListPodIdentityAssociationsResponse =
                self.aws.eks("ListPodIdentityAssociations", &request).await?;
            found.extend(page.associations.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// The association of a namespace and service account, which must be there.
    async fn pod_identity(
        &self,
        cluster: &str,
        wanted: &PodIdentityAssociation,
    ) -> Made<PodIdentityAssociationSummary> {
        let found = self
            .pod_identities(
                cluster,
                wanted.namespace.as_deref(),
                wanted.service_account_name.as_deref(),
            )
            .await?;
        found.into_iter().next().ok_or_else(|| {
            let full = wanted.full_name();
            CommandError::Usage(format!("no pod identity association of {full} in cluster {cluster}")).into()
        })
    }
}
