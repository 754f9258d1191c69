//! `register cluster` and `deregister cluster`: clusters of other makers, for the EKS Connector. Its manifests are AWS's and are not
//! here, so none are written.

use std::path::Path;

use aws_types::eks::{
    ConnectorConfigRequest, DeregisterClusterRequest, DeregisterClusterResponse, RegisterClusterRequest,
    RegisterClusterResponse,
};
use clock::{Random, SystemRandom};

use super::given::Given;
use crate::role::{Role, Trust, statements};
use crate::session::{CommandError, Done, Made, Session};

/// Who may have made a cluster.
const PROVIDERS: &[&str] = &[
    "EKS_ANYWHERE",
    "ANTHOS",
    "GKE",
    "AKS",
    "OPENSHIFT",
    "TANZU",
    "RANCHER",
    "EC2",
    "OTHER",
];
/// By this tag eksctl knows the roles that it made.
const CLUSTER_TAG: &str = "alpha.eksctl.io/cluster-name";

/// `register cluster`.
pub async fn register(home: &Path, given: &Given) -> Done {
    let name = given.required("name")?;
    let provider = given.required("provider")?.to_uppercase();
    if !PROVIDERS.contains(&provider.as_str()) {
        let message = format!(
            "invalid provider {provider:?}; must be one of [{}]",
            PROVIDERS.join(" ")
        );
        return Err(CommandError::Usage(message).into());
    }
    let session = Session::open(home, given.text("region").as_deref())?;
    if session.cluster(&name).await?.is_some() {
        let message = "cluster already exists; deregister the cluster first using `ondol deregister cluster";
        let message = format!(
            "{message} --name {name} --region {}` and try again",
            session.aws.region()
        );
        return Err(CommandError::Usage(message).into());
    }
    let own_role = given.text("role-arn");
    let (role_arn, made) = match own_role {
        Some(arn) => (arn, None),
        None => session.connector_role(&name).await?,
    };
    let request = RegisterClusterRequest {
        name: Some(name.clone()),
        connector_config: Some(ConnectorConfigRequest {
            role_arn: Some(role_arn),
            provider: Some(provider),
        }),
        client_request_token: Some(SystemRandom.uuid()),
        tags: None,
    };
    let asked = session.aws.eks::<RegisterClusterResponse>("RegisterCluster", &request);
    if let Err(error) = asked.await {
        if let Some(role) = made {
            session.delete_role(&role).await?;
        }
        return Err(error.into());
    }
    let progress = &session.progress;
    progress.info(format!("registered cluster {name:?} successfully"));
    progress.warning("the manifests of the EKS Connector are not written: no agent can connect to this region");
    Ok(())
}

/// `deregister cluster`.
pub async fn deregister(home: &Path, given: &Given) -> Done {
    let name = given.required("name")?;
    let session = Session::open(home, given.text("region").as_deref())?;
    let request = DeregisterClusterRequest {
        name: Some(name.clone()),
    };
    let asked = session
        .aws
        .eks::<DeregisterClusterResponse>("DeregisterCluster", &request);
    let gone = match asked.await {
        Ok(answer) => answer.cluster.unwrap_or_default(),
        Err(error) if error.code() == "ResourceNotFound" => {
            return Err(CommandError::Usage(format!("cluster {name:?} does not exist")).into());
        }
        Err(error) => return Err(error.into()),
    };
    let role = gone.connector_config.and_then(|connector| connector.role_arn);
    let role = role.and_then(|arn| arn.rsplit('/').next().map(str::to_owned));
    if let Some(role) = role.filter(|role| !role.is_empty()) {
        session.delete_connector_role(&name, &role).await?;
    }
    let progress = &session.progress;
    progress.info(format!("unregistered cluster {name:?} successfully"));
    Ok(())
}

impl Session {
    /// Makes a role for the agent of a cluster; tells its ARN and name.
    async fn connector_role(&self, cluster: &str) -> Made<(String, Option<String>)> {
        let name = format!("eksctl-{}", SystemRandom.hex(20));
        self.progress.info(format!("creating IAM role {name:?}"));
        let trust = Trust::Service("ssm.amazonaws.com");
        let mut role = Role::new("ConnectorRole", format!("role of the connector of {cluster}"), trust);
        let policy = "eks-connector-agent";
        role.inline = vec![(policy.to_owned(), statements(policy))];
        let arn = self.create_role(&name, &role).await?;
        let tag = [
            ("RoleName", name.as_str()),
            ("Tags.member.1.Key", CLUSTER_TAG),
            ("Tags.member.1.Value", cluster),
        ];
        self.aws.iam("TagRole", &tag).await?;
        Ok((arn, Some(name)))
    }

    /// Removes the role of a cluster's agent, if it was made for it.
    async fn delete_connector_role(&self, cluster: &str, role: &str) -> Done {
        let tags = match self.aws.iam("ListRoleTags", &[("RoleName", role)]).await {
            Ok(tags) => tags,
            Err(error) if error.code() == "NoSuchEntity" => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let is_own = tags
            .list("Tags")
            .iter()
            .any(|tag| tag.member("Key") == Some(CLUSTER_TAG) && tag.member("Value") == Some(cluster));
        if is_own {
            self.progress.info(format!("deleting IAM role {role:?}"));
            self.delete_role(role).await?;
        }
        Ok(())
    }
}
