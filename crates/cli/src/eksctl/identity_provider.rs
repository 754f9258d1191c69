//! `associate|get|disassociate identityprovider`: providers of Kubernetes users that a cluster has.

use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    AssociateIdentityProviderConfigRequest, AssociateIdentityProviderConfigResponse,
    DescribeIdentityProviderConfigRequest, DescribeIdentityProviderConfigResponse,
    DisassociateIdentityProviderConfigRequest, DisassociateIdentityProviderConfigResponse, IdentityProviderConfig,
    ListIdentityProviderConfigsRequest, ListIdentityProviderConfigsResponse, OidcIdentityProviderConfig,
    OidcIdentityProviderConfigRequest,
};
use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::parts::IdentityProvider;

use super::config;
use super::given::Given;
use crate::aws::AwsError;
use crate::output;
use crate::session::{CommandError, Done, Session};

/// The one type of provider.
const OIDC: &str = "oidc";

/// `associate identityprovider`: those of a file.
pub async fn associate(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let providers = config.identity_providers.unwrap_or_default();
    if providers.is_empty() {
        return Err(none_provided().into());
    }
    let cluster = &config.metadata.name;
    session.existing_cluster(cluster).await?;
    let limit = given.is_on("wait").then(|| given.timeout());
    session.associate_identity_providers(cluster, &providers, limit).await
}

/// `get identityprovider`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    session.existing_cluster(cluster).await?;
    let names = match given.name("name")? {
        Some(name) => vec![provider(&name)],
        None => session.identity_providers(cluster).await?,
    };
    let mut rows = Vec::new();
    for name in names {
        let found = session.describe_identity_provider(cluster, name).await?;
        let texts = [
            found.identity_provider_config_name,
            Some(OIDC.to_owned()),
            found.client_id,
            found.issuer_url,
            found.identity_provider_config_arn,
            found.status,
        ];
        rows.push(texts.map(Option::unwrap_or_default));
    }
    let header = ["NAME", "TYPE", "CLIENT_ID", "ISSUER_URL", "ARN", "STATUS"];
    output::print(
        given.output()?,
        "identity provider summary",
        &rows,
        header,
        Clone::clone,
    )
}

/// `disassociate identityprovider`: the one that is named, or those of a file.
pub async fn disassociate(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let by_file = config.identity_providers.unwrap_or_default().into_iter();
    let names: Vec<IdentityProviderConfig> = match given.text("name") {
        Some(name) => vec![IdentityProviderConfig {
            r#type: given.text("type"),
            name: Some(name),
        }],
        None => by_file.map(|known| provider(&known.name.unwrap_or_default())).collect(),
    };
    if names.is_empty() {
        return Err(none_provided().into());
    }
    let cluster = &config.metadata.name;
    session.existing_cluster(cluster).await?;
    for name in names {
        let shown = name.name.clone().unwrap_or_default();
        let found = session.describe_identity_provider(cluster, name.clone()).await?;
        if found.status.as_deref() == Some("DELETING") {
            session.progress.info("provider already deleting");
            continue;
        }
        let request = DisassociateIdentityProviderConfigRequest {
            cluster_name: Some(cluster.clone()),
            identity_provider_config: Some(name),
            client_request_token: Some(SystemRandom.uuid()),
        };
        let answer: DisassociateIdentityProviderConfigResponse =
            session.aws.eks("DisassociateIdentityProviderConfig", &request).await?;
        session
            .progress
            .info(format!("started disassociating identity provider {shown}"));
        if given.is_on("wait") {
            session
                .wait_for_update(cluster, None, answer.update, given.timeout())
                .await?;
        }
    }
    Ok(())
}

fn none_provided() -> CommandError {
    CommandError::Usage("No identity providers provided".to_owned())
}

fn provider(name: &str) -> IdentityProviderConfig {
    IdentityProviderConfig {
        r#type: Some(OIDC.to_owned()),
        name: Some(name.to_owned()),
    }
}

impl Session {
    /// Associates the providers of a configuration, and waits for each when there is a limit.
    ///
    /// # Errors
    /// What EKS answers.
    pub async fn associate_identity_providers(
        &self,
        cluster: &str,
        providers: &[IdentityProvider],
        limit: Option<Duration>,
    ) -> Done {
        for known in providers {
            let name = known.name.clone().unwrap_or_default();
            let request = AssociateIdentityProviderConfigRequest {
                cluster_name: Some(cluster.to_owned()),
                oidc: Some(OidcIdentityProviderConfigRequest {
                    identity_provider_config_name: Some(name.clone()),
                    issuer_url: known.issuer_url.clone(),
                    client_id: known.client_id.clone(),
                    username_claim: known.username_claim.clone(),
                    username_prefix: known.username_prefix.clone(),
                    groups_claim: known.groups_claim.clone(),
                    groups_prefix: known.groups_prefix.clone(),
                    required_claims: known.required_claims.clone(),
                }),
                tags: known.tags.clone(),
                client_request_token: Some(SystemRandom.uuid()),
            };
            let answer: AssociateIdentityProviderConfigResponse =
                self.aws.eks("AssociateIdentityProviderConfig", &request).await?;
            self.progress
                .info(format!("started associating identity provider {name}"));
            if let Some(limit) = limit {
                self.wait_for_update(cluster, None, answer.update, limit).await?;
            }
        }
        Ok(())
    }

    async fn identity_providers(&self, cluster: &str) -> Result<Vec<IdentityProviderConfig>, AwsError> {
        let mut request = ListIdentityProviderConfigsRequest {
            cluster_name: Some(cluster.to_owned()),
            ..ListIdentityProviderConfigsRequest::default()
        };
        let mut found = Vec::new();
        loop {
            let page: ListIdentityProviderConfigsResponse =
                self.aws.eks("ListIdentityProviderConfigs", &request).await?;
            found.extend(page.identity_provider_configs.unwrap_or_default());
            request.next_token = page.next_token;
            if request.next_token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn describe_identity_provider(
        &self,
        cluster: &str,
        name: IdentityProviderConfig,
    ) -> Result<OidcIdentityProviderConfig, AwsError> {
        let request = DescribeIdentityProviderConfigRequest {
            cluster_name: Some(cluster.to_owned()),
            identity_provider_config: Some(name),
        };
        let answer: DescribeIdentityProviderConfigResponse =
            self.aws.eks("DescribeIdentityProviderConfig", &request).await?;
        let found = answer.identity_provider_config.unwrap_or_default();
        Ok(found.oidc.unwrap_or_default())
    }
}
